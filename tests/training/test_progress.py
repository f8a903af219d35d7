"""Progress says where training stands and what is left, on a terminal and without one."""

import io
from typing import Any

import pytest

from elman.stages import duration
from elman.training.options import LoopOptions
from elman.training.progress import (
    BatchInfo,
    Pace,
    PlainProgress,
    TerminalProgress,
    choose_progress,
    validation_line,
)


def line(**changes: Any) -> dict[str, Any]:
    return {
        "epoch": 1, "step": 4, "learning_rate": 0.001, "train_loss": 0.5, "best": True,
        "valid": {"loss": 0.25, "f1": 0.75}, "seconds": 50.0, **changes,
    }  # fmt: skip


def batch_info(epoch: int, batch: int, seconds: float) -> BatchInfo:
    return BatchInfo(epoch=epoch, batch=batch, batches=4, loss=0.5, seconds=seconds)


def test_what_is_left_counts_batches_and_validations() -> None:
    pace = Pace(LoopOptions(epochs=3), seconds=100.0)  # resumed: the first 100 s do not count
    pace.batch(batch_info(1, 3, 110.0))
    assert (pace.left_in_epoch, pace.left) == (10.0, 10.0 + 2 * 40.0)
    pace.batch(batch_info(1, 4, 120.0))
    pace.validated(125.0)
    pace.batch(batch_info(2, 1, 135.0))
    assert (pace.left_in_epoch, pace.left) == (30.0, 30.0 + 5.0 + 45.0)


@pytest.mark.parametrize(("minutes", "left"), [(10.0, 110.0), (1.0, 50.0), (0.1, 0.0)])
def test_no_more_is_left_than_max_minutes_allow(minutes: float, left: float) -> None:
    pace = Pace(LoopOptions(epochs=3, max_minutes=minutes), seconds=0.0)
    pace.batch(batch_info(1, 1, 10.0))
    assert pace.left == left


def test_plain_lines_come_with_each_validation_and_every_half_minute() -> None:
    now = [0.0]
    stream = io.StringIO()
    progress = PlainProgress(stream, clock=lambda: now[0])
    progress.begin(LoopOptions(epochs=3), "f1", 0.0)
    for batch in (1, 2, 3, 4):
        now[0] += 12.5
        progress.batch(batch_info(1, batch, now[0]))
    progress.validated(line())
    progress.close()
    assert stream.getvalue().splitlines() == [
        "epoch 1 of 3, batch 3 of 4: loss 0.5, 12 s left in this epoch, at most 112 s in total",
        validation_line(line(), epochs=3, metric="f1"),
    ]


def test_a_metric_that_is_the_loss_is_said_once() -> None:
    said = validation_line(line(best=False, epoch=1.25), epochs=3, metric="loss")
    assert said == ("epoch 1.25 of 3: loss 0.5000, validation loss 0.2500, rate 0.001, after 50 s")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (3569, "59 min"), (3600, "1 h 00 min")],
)
def test_durations_are_said_as_people_do(seconds: float, said: str) -> None:
    assert duration(seconds) == said


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_with_epoch_batch_loss_metric_and_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    progress = choose_progress(stream)
    assert isinstance(progress, TerminalProgress)
    progress.begin(LoopOptions(epochs=3), "f1", 0.0)
    for batch in (1, 2, 3, 4):
        progress.batch(batch_info(1, batch, 10.0 * batch))
    progress.validated(line())
    progress.say("[a sentence] in brackets")
    progress.batch(batch_info(2, 1, 60.0))
    progress.close()
    shown = stream.getvalue()
    for part in (
        "epoch 2 of 3",
        "1/4",
        "loss 0.5000 · best f1 0.7500 · 30 s left, at most 90 s in total",
        "epoch 1 of 3: loss 0.5000, validation loss 0.2500, f1 0.7500 (best)",
        "[a sentence] in brackets",
    ):
        assert part in shown


def test_elsewhere_lines_are_plain() -> None:
    assert isinstance(choose_progress(io.StringIO()), PlainProgress)
