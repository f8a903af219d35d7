"""Whatever happens to a run folder, it is loaded as it was, or refused in a sentence.

``ELMAN_MUTANTS=2000`` draws so many for each task; see ``damaged_runs.py`` for a program that does.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

import elman
from elman.errors import ElmanError, OptionError, RunError
from elman.tasks import TASKS, Data, train
from elman.training.progress import Silence
from elman.training.weights import read_tensors, write_tensors
from tasks.conftest import SMALL, samples
from tasks.damaged_runs import damage, said_of, small_run

MUTANTS = int(os.environ.get("ELMAN_MUTANTS", "8"))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("task_name", TASKS)
def test_a_damaged_run_is_as_it_was_or_refused_in_a_sentence(tmp_path, task_name):
    original = tmp_path / "original"
    shutil.move(small_run(task_name, tmp_path), original)
    weights, _ = read_tensors(original / "model.safetensors")
    refused = 0
    for seed in range(MUTANTS):
        run = tmp_path / "run"
        shutil.copytree(original, run)
        name = damage(run, Random(seed))
        try:
            refused += said_of(run, name, task_name, weights) != ""
        except Exception as error:
            raise AssertionError(f"seed {seed}, {name}") from error
        shutil.rmtree(run)
    assert MUTANTS / 3 < refused < MUTANTS, "the damage does no harm, or all is refused"


@pytest.fixture
def run(tmp_path, trained):
    shutil.copytree(trained["sentiment"], tmp_path / "run")
    return tmp_path / "run"


def change(name: str, old: str, new: str) -> Callable[[Path], None]:
    def do(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new))

    return do


def write(name: str, text: str) -> Callable[[Path], None]:
    return lambda run: (run / name).write_text(text) and None


def weights(do: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def change_them(run: Path) -> None:
        tensors, notes = read_tensors(run / "model.safetensors")
        do(tensors)
        write_tensors(run / "model.safetensors", tensors, notes)

    return change_them


def link(name: str) -> Callable[[Path], None]:
    def do(run: Path) -> None:
        (run / name).unlink()
        (run / name).symlink_to(name)

    return do


def pipe(name: str) -> Callable[[Path], None]:
    def do(run: Path) -> None:
        (run / name).unlink()
        os.mkfifo(run / name)

    return do


def digest_of_the_old(run: Path) -> None:
    content = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(content[:-4] + b"\0\0\0\0")


BIAS = "reader.output.bias"
CASES: dict[str, tuple[Callable[[Path], None], str]] = {
    "deep JSON": (write("symbols.json", "[" * 100_000), "/symbols.json cannot be read (it is nest"),
    "deep TOML": (change("run.toml", "hidden_size = 12", f"hidden_size = {'[' * 9999}"), "not TOML ("),
    "long key": (change("run.toml", "hidden_size = 12", f"{'a.' * 99_999}b = 1"), "more than 16 parts"),
    "long quoted key": (change("run.toml", "hidden_size = 12", '"a".' * 9_999 + "b = 1"), "more than"),
    "long file": (change("run.toml", "[options]", f"# {'x' * 10**6}\n[options]"), "characters, too many"),
    "long number": (change("run.toml", "hidden_size = 12", f"hidden_size = {'9' * 5000}"), "not TOML ("),
    "units": (change("run.toml", "hidden_size = 12", "hidden_size = 1_000_000_000"), "in run.toml"),
    "a million units": (change("run.toml", "hidden_size = 12", "hidden_size = 1_000_000"), "in run.toml"),
    "layers": (change("run.toml", "num_layers = 1", "num_layers = 1_000_000_000"), "in run.toml"),
    "2^63": (change("run.toml", "hidden_size = 12", f"hidden_size = {2**63}"), "an integer"),
    "a list": (change("run.toml", "hidden_size = 12", "hidden_size = [1, 2]"), "[1, 2]; it must be an integer"),
    "a table": (change("run.toml", "dropout = 0.0", "dropout = { a = 1 }"), "it must be a number"),
    "nan": (change("run.toml", "dropout = 0.0", "dropout = nan"), "is nan; it must be"),
    "infinity": (change("run.toml", "label_smoothing = 0.0", "label_smoothing = inf"), "is inf; it must"),
    "no options": (change("run.toml", "[options]", "[choices]"), "there is no table [options]"),
    "a task of a list": (change("run.toml", 'job = "sentiment"', "job = [1]"), "the task is '[1]'"),
    "a long job": (change("run.toml", 'job = "sentiment"', f'job = "{"x" * 9999}"'), "xxx..., and this"),
    "labels twice": (change("symbols.json", '"negative"', '"positive"'), '"positive" occurs twice in lab'),
    "labels as a text": (change("symbols.json", '["negative", "positive"]', '"np"'), "labels is 'np'"),
    "a label less": (change("symbols.json", '"negative", ', ""), "has changed since training wrote it"),
    "another label": (change("symbols.json", '"negative"', '"awful"'), "has changed since training wrote"),
    "a name twice": (change("symbols.json", '{"words"', '{"words": 1, "words"'), '"words" occurs twice'),
    "a format": (change("symbols.json", '{"format": 1', '{"format": "a\\nb"'), "is saved in format a b"),
    "a long format": (change("symbols.json", '{"format": 1', f'{{"format": "{"b" * 9999}"'), "bbb..."),
    "no symbols": (lambda run: (run / "symbols.json").unlink(), "has no symbols.json"),
    "no cell": (lambda run: (run / "cell.json").unlink(), "has no cell.json"),
    "no weights": (lambda run: (run / "model.safetensors").unlink(), "there is no model.safetensors"),
    "a circle": (link("symbols.json"), "has no symbols.json"),
    "a circle of run.toml": (link("run.toml"), "it has no run.toml"),
    "a pipe": (pipe("symbols.json"), "this is not a file"),
    "a pipe of run.toml": (pipe("run.toml"), "this is not a file"),
    "a pipe of weights": (pipe("model.safetensors"), "this is not a file"),
    "NaN": (weights(lambda t: t[BIAS].fill_(torch.nan)), "output.bias holds values that are not finite"),
    "infinite": (weights(lambda t: t[BIAS].fill_(torch.inf)), "output.bias holds values that are not finite"),
    "whole numbers": (weights(lambda t: t.update({BIAS: t[BIAS].long()})), "has dtype int64, not float32"),
    "complex": (weights(lambda t: t.update({BIAS: t[BIAS] + 0j})), "has dtype complex64, not float32"),
    "large": (weights(lambda t: t.update({BIAS: t[BIAS].double() + 1e300})), "too large"),
    "a shape": (weights(lambda t: t.update({BIAS: t[BIAS][:1]})), "output.bias has shape (1,), not (2,)"),
    "a tensor less": (weights(lambda t: t.pop(BIAS)), "output.bias is missing"),
    "a tensor more": (weights(lambda t: t.update(x=torch.ones(1))), "x is not part of the model"),
    "numbers": (digest_of_the_old, "its tensors are not those that were saved"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_run_is_one_sentence(run, case):
    do, sentence = CASES[case]
    do(run)
    with pytest.raises((RunError, OptionError)) as caught:
        elman.load(run)
    said = str(caught.value)
    assert sentence in said
    assert "\n" not in said
    assert len(said) < 1000


def position(**changes: object) -> Callable[[dict[str, Any]], None]:
    return lambda about: about["position"].update(changes)


CHECKPOINTS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "format": (lambda about: about.update(format="1"), "format is '1'"),
    "options": (lambda about: about.update(options=[]), "options is []"),
    "epoch": (position(epoch=-3), "epoch is -3"),
    "epochs": (position(epoch=10**30), "epoch is 1000"),
    "batch": (position(batch=1.5), "batch is 1.5"),
    "threads": (position(threads=10**9), "with 1000000000 threads"),
    "seconds": (position(seconds="long"), "seconds is 'long'"),
    "further": (position(further=1), "further"),
    "lines": (position(history_lines=99), "but the checkpoint is of a run with 99"),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_a_hostile_checkpoint_is_one_sentence(run, trained, case):
    do, sentence = CHECKPOINTS[case]
    path = run / "resume" / "checkpoint.safetensors"
    tensors, notes = read_tensors(path)
    about = json.loads(notes["elman"])
    do(about)
    write_tensors(path, tensors, {"elman": json.dumps(about)})
    assert sentence in refusal(run, trained)


@pytest.mark.parametrize(
    ("name", "do", "sentence"),
    [
        ("optimizer.0.exp_avg", lambda t: t[:1], "optimizer.0.exp_avg has shape"),
        ("optimizer.0.exp_avg", None, "the optimiser's tensors are incomplete"),
        ("model.reader.output.bias", lambda t: t * torch.nan, "output.bias holds values"),
        ("model.reader.output.bias", None, "output.bias is missing"),
    ],
)
def test_a_checkpoint_with_other_tensors_is_one_sentence(run, trained, name, do, sentence):
    path = run / "resume" / "checkpoint.safetensors"
    tensors, notes = read_tensors(path)
    value = tensors.pop(name)
    if do is not None:
        tensors[name] = do(value).clone()
    write_tensors(path, tensors, notes)
    assert sentence in refusal(run, trained)


def refusal(run, trained):
    before = (run / "model.safetensors").read_bytes()
    folder, task = trained["sentiment"].parent, TASKS["sentiment"]
    with pytest.raises(RunError) as caught:
        train(
            task, Data(folder / task.train_file, folder / task.valid_file), run, {"epochs": 13},
            resume=True, progress=Silence(),
        )  # fmt: skip
    assert (run / "model.safetensors").read_bytes() == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"hidden_size": 10**9}, "this machine"),
        ({"num_layers": 10**9, "hidden_size": 1}, "this machine"),
        ({"embedding_size": 10**12}, "this machine"),
        ({"epochs": 10**30}, "it must be an integer"),
        ({"threads": 10**9}, "from 1 to 1024"),
        ({"label_smoothing": "nan"}, "is nan; it must be"),
        ({"learning_rate": "inf"}, "it must be a number"),
    ],
)
def test_a_training_that_no_machine_can_do_is_one_sentence(tmp_path, changes, sentence):
    folder = samples(tmp_path, "sentiment")
    with pytest.raises(ElmanError, match=sentence):
        train(
            TASKS["sentiment"], Data(folder / "train.csv"), tmp_path / "run", {**SMALL, **changes},
            progress=Silence(),
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "text",
    ["train = 3", "out = [1]", "options = 3", "training = []", "title = 1", "a." * 999 + "b = 1"],
)
def test_a_hostile_run_file_is_one_sentence(command, tmp_path, text):
    file = tmp_path / "my.toml"
    file.write_text(text)
    status, _, err = command("train", "sentiment", "--run-file", file)
    assert status == 1
    assert str(file) in err
    assert err.count("\n") == 1
