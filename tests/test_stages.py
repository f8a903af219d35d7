"""Reading, features and vocabularies show their progress, and count as training time."""

import io
import sys
import time

import pytest

from elman import stages
from elman.stages import counted, silently, stage
from elman.tasks import TASKS, Data, train
from elman.training.progress import PlainProgress, Silence
from tasks.conftest import SMALL, needs, samples


class Screen(io.StringIO):
    """Standard error that is a terminal, or is not."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture
def clock(monkeypatch):
    """A clock that is moved by hand."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def shown(monkeypatch, clock, *, seconds: float, terminal: bool = False, total=None) -> str:
    """What is shown while ten items take ``seconds``."""
    screen = Screen(terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    for _ in counted(range(10) if total is None else iter(range(10)), "reading x", total):
        clock[0] += seconds / 10
    return screen.getvalue()


def test_fast_reading_is_silent(monkeypatch, clock):
    assert shown(monkeypatch, clock, seconds=2.0) == ""


def test_slow_reading_prints_a_line_now_and_then_with_an_estimate(monkeypatch, clock):
    lines = shown(monkeypatch, clock, seconds=100.0).splitlines()
    assert lines == [
        "reading x: 1 of 10, about 90 s left",
        "reading x: 3 of 10, about 70 s left",
        "reading x: 5 of 10, about 50 s left",
        "reading x: 7 of 10, about 30 s left",
        "reading x: 9 of 10, about 10 s left",
    ]


def test_a_terminal_shows_one_line_and_clears_it(monkeypatch, clock):
    text = shown(monkeypatch, clock, seconds=100.0, terminal=True)
    parts = text.split("\r\x1b[2K")
    assert parts[1] == "reading x: 1 of 10, about 90 s left"
    assert len(parts) == 11
    assert parts[-1] == ""


def test_an_estimated_total_that_is_too_small_ends_the_estimates(monkeypatch, clock):
    lines = shown(monkeypatch, clock, seconds=100.0, total=4).splitlines()
    assert lines[:2] == ["reading x: 1 of 4, about 30 s left", "reading x: 3 of 4, about 10 s left"]
    assert lines[2] == "reading x: 5 after 50 s"


def test_nothing_is_shown_silently_or_by_other_processes(monkeypatch, clock):
    with silently():
        assert shown(monkeypatch, clock, seconds=100.0) == ""
    monkeypatch.setenv("RANK", "1")
    assert shown(monkeypatch, clock, seconds=100.0) == ""


@pytest.mark.parametrize(("seconds", "said"), [(0.0, ""), (0.3, "hashing ...\n")])
def test_a_stage_is_named_if_it_takes_long(monkeypatch, seconds, said):
    monkeypatch.setattr(stages, "STAGE_SECONDS", 0.05 if seconds else 10.0)
    screen = Screen(terminal=False)
    monkeypatch.setattr(sys, "stderr", screen)
    with stage("hashing"):
        time.sleep(seconds)
    assert screen.getvalue() == said


def slow_task(monkeypatch, name: str):
    """A task that takes 0.3 seconds to read a file."""
    task, read = TASKS[name], TASKS[name].read

    def slowly(path, options):
        time.sleep(0.3)
        return read(path, options)

    monkeypatch.setattr(task, "read", slowly)
    return task


@needs("sentiment")
def test_reading_counts_as_training_time(tmp_path, monkeypatch):
    task, folder = slow_task(monkeypatch, "sentiment"), samples(tmp_path, "sentiment")
    data = Data(folder / task.train_file, folder / task.valid_file)
    settings = {**SMALL, "max_minutes": 0.5 / 60, "epochs": 1000, "patience": 1000}
    _, result = train(task, data, folder / "run", settings, progress=Silence())
    assert result.stopped_because == "time"
    assert result.seconds > 0.6, "two files were read before the first step"
    assert result.epochs < 1, "the time was over after the first step"


@needs("sentiment")
def test_what_takes_long_before_training_is_shown_unless_progress_is_silent(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "STAGE_SECONDS", 0.1)
    task, folder = slow_task(monkeypatch, "sentiment"), samples(tmp_path, "sentiment")
    data = Data(folder / task.train_file, folder / task.valid_file)
    for progress in (PlainProgress(io.StringIO()), Silence()):
        screen = Screen(terminal=False)
        monkeypatch.setattr(sys, "stderr", screen)
        train(task, data, folder / "run", {**SMALL, "epochs": 1}, progress=progress, overwrite=True)
        named = [line for line in screen.getvalue().splitlines() if line.startswith("reading ")]
        expected = ["reading train.csv ...", "reading valid.csv ..."]
        assert named == ([] if isinstance(progress, Silence) else expected)


@needs("speech", "video", "music", "ner", "sentiment", "translation", "dna")
@pytest.mark.parametrize("name", TASKS)
def test_every_reader_counts_what_it_reads(name, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(stages, "LINE_SECONDS", 0.0)
    task, folder = TASKS[name], samples(tmp_path, name)
    screen = Screen(terminal=False)
    monkeypatch.setattr(sys, "stderr", screen)
    path = folder / task.train_file
    if name == "music":  # its sample is a JSON file, which is read at once
        path = folder / "tunes"
        path.mkdir()
        (path / "a.mid").write_bytes((folder / "primer.mid").read_bytes())
    task.read(path, task.Options())
    assert screen.getvalue().startswith(("reading ", "labelling "))
