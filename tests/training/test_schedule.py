"""The learning rate by step, part done and halvings, in values."""

import math

import pytest

from elman.training.options import LoopOptions
from elman.training.schedule import learning_rate


@pytest.mark.parametrize(
    ("schedule", "done", "halvings", "expected"),
    [
        ("constant", 0.9, 3, 0.1),
        ("plateau", 0.9, 0, 0.1),
        ("plateau", 0.9, 3, 0.0125),
        ("cosine", 0.0, 0, 0.1),
        ("cosine", 0.25, 0, 0.1 * (1 + math.sqrt(0.5)) / 2),
        ("cosine", 0.5, 3, 0.05),
        ("cosine", 1.0, 0, 0.0),
        ("linear", 0.0, 0, 0.1),
        ("linear", 0.75, 3, 0.025),
        ("linear", 1.0, 0, 0.0),
    ],
)
def test_each_schedule_has_its_shape(
    schedule: str, done: float, halvings: int, expected: float
) -> None:
    options = LoopOptions(learning_rate=0.1, schedule=schedule)  # type: ignore[arg-type]
    rate = learning_rate(options, step=7, done=done, halvings=halvings)
    assert rate == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("schedule", ["constant", "plateau", "cosine", "linear"])
def test_warm_up_rises_evenly_and_then_is_over(schedule: str) -> None:
    options = LoopOptions(learning_rate=0.1, schedule=schedule, warmup_steps=4)  # type: ignore[arg-type]
    rates = [learning_rate(options, step=step, done=0.0, halvings=0) for step in range(6)]
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])
