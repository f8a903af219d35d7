"""Copies of a run at a URL: whole, in an order that can be resumed from, and resumed exactly."""

import fsspec
import pytest
from small_task import small_model, train, without_times

from elman.errors import RunError
from elman.training.copies import RunCopy
from elman.training.options import LoopOptions
from elman.training.progress import Silence
from elman.training.run_folder import RunFolder

OPTIONS = {"batch_size": 4, "epochs": 3, "threads": 1, "checkpoint_seconds": 0.0}


class Heard(Silence):
    def __init__(self):
        self.said = []

    def say(self, sentence):
        self.said.append(sentence)


class Stop(Exception):
    pass


class Dying(Silence):
    """Ends the process, as it were, in batch ``at``."""

    def __init__(self, at):
        self.at = at

    def batch(self, info):
        self.at -= 1
        if self.at == 0:
            raise Stop


def test_a_run_resumes_on_another_machine_from_its_copy(tmp_path):
    train(tmp_path / "whole", LoopOptions(**OPTIONS), model=small_model())
    url = "memory://runs/first"
    options = LoopOptions(**OPTIONS, copy_to=url)
    with pytest.raises(Stop):
        train(tmp_path / "here", options, model=small_model(), progress=Dying(7))
    there = RunFolder(tmp_path / "there")
    assert RunCopy(url).restore(there)
    assert not (there.path / "lock.json").exists()
    train(there.path, options, model=small_model(), resume=True)
    whole, history = [
        without_times(RunFolder(tmp_path / run).history()) for run in ("whole", "there")
    ]
    assert history == whole
    weights = [(tmp_path / run / "model.safetensors").read_bytes() for run in ("whole", "there")]
    assert weights[0] == weights[1]
    system = fsspec.filesystem("memory")
    assert system.cat_file("/runs/first/model.safetensors") == weights[0]


def test_the_checkpoint_is_copied_last(tmp_path, monkeypatch):
    train(tmp_path / "run", LoopOptions(**OPTIONS), model=small_model())
    written = []
    memory = type(fsspec.filesystem("memory"))
    pipe = memory.pipe_file
    monkeypatch.setattr(memory, "pipe_file", lambda self, path, *rest, **more: (
        written.append(path.rpartition("/")[2]), pipe(self, path, *rest, **more)))  # fmt: skip
    copy = RunCopy("memory://runs/order")
    copy.save(RunFolder(tmp_path / "run"))
    assert written[-1] == "checkpoint.safetensors"
    assert {"run.toml", "model.safetensors", "history.jsonl"} <= set(written)
    written.clear()
    copy.save(RunFolder(tmp_path / "run"))
    assert written == [], "files that have not changed stay"


def test_a_copy_that_fails_ends_training_only_at_its_start(tmp_path, monkeypatch):
    with pytest.raises(RunError, match="copy_to: nowhere://a: the run could not be copied there"):
        train(tmp_path / "a", LoopOptions(**OPTIONS, copy_to="nowhere://a"), model=small_model())
    calls = []
    save = RunCopy.save

    def failing(self, run):
        calls.append(run)
        if len(calls) in (2, 3):
            raise RunError("copy_to: the network is down.")
        save(self, run)

    monkeypatch.setattr(RunCopy, "save", failing)
    heard = Heard()
    options = LoopOptions(**OPTIONS, copy_to=f"{tmp_path}/copy")
    train(tmp_path / "b", options, model=small_model(), progress=heard)
    failures = [said for said in heard.said if "the network is down" in said]
    assert len(failures) == 2
    assert "The next checkpoint tries again." in failures[0]
    assert not list((tmp_path / "copy").rglob("*.part"))
    assert (tmp_path / "copy" / "model.safetensors").read_bytes() == (
        tmp_path / "b" / "model.safetensors"
    ).read_bytes()


def test_there_may_be_no_copy(tmp_path):
    assert not RunCopy("memory://runs/none").restore(RunFolder(tmp_path / "x"))
    assert not (tmp_path / "x").exists()
