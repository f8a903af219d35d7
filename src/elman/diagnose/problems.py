"""The standard problems with long-term dependencies.

The answer at the end depends on inputs long before it, with noise or blanks in between.  Each
problem defines the score of chance and the score that counts as solved.  ``long_term.py`` trains
cells on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

import torch
from torch import Generator, Tensor

from elman.extras import extra

Part = Literal["train", "valid", "test"]
#: (sequences, generator, part) -> inputs (time, batch, input) and targets
Draw = Callable[[int, Generator, Part], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Problem:
    """Sequences with targets for their last ``answers`` steps.

    A target is a number (``measure`` is "squared error", targets (answers, batch)) or one of
    ``output_size`` classes ("accuracy").  ``chance`` is the score of a trivial baseline, ``solved``
    the score that counts as solved.
    """

    name: str
    title: str
    measure: Literal["squared error", "accuracy"]
    chance: float
    solved: float
    time: int
    input_size: int
    output_size: int
    answers: int
    draw: Draw

    def is_solved(self, score: float) -> bool:
        """Whether the score is at least as good as ``solved``."""
        return score <= self.solved if self.measure == "squared error" else score >= self.solved


def adding(time: int) -> Problem:
    """Add the two marked numbers of a sequence (Hochreiter and Schmidhuber 1997, problem 4).

    Each step has a number, uniform in [0, 1], and a mark, which is 1 at one step of each half.
    Always answering 1 has a squared error of 1/6.
    """
    return Problem(
        name=f"adding-{time}",
        title=f"adding, {time} steps",
        measure="squared error",
        chance=1 / 6,
        solved=0.01,
        time=time,
        input_size=2,
        output_size=1,
        answers=1,
        draw=partial(_adding, time),
    )


def _adding(time: int, batch: int, generator: Generator, part: Part) -> tuple[Tensor, Tensor]:
    numbers = torch.rand(time, batch, generator=generator)
    marks = torch.zeros(time, batch)
    half = time // 2
    for start, stop in ((0, half), (half, time)):
        marks.scatter_(0, torch.randint(start, stop, (1, batch), generator=generator), 1.0)
    return torch.stack([numbers, marks], -1), (numbers * marks).sum(0, keepdim=True)


#: the number of letters of the copying problem, and of letters to remember
LETTERS, KEPT = 4, 3


def copying(delay: int) -> Problem:
    """Repeat letters after a delay (after Arjovsky, Shah and Bengio 2016).

    Three letters out of four, then ``delay`` blanks, then three steps with a symbol that asks for
    the letters in order.  Guessing has an accuracy of 1/4.
    """
    return Problem(
        name=f"copying-{delay}",
        title=f"copying, delay {delay}",
        measure="accuracy",
        chance=1 / LETTERS,
        solved=0.99,
        time=KEPT + delay + KEPT,
        input_size=LETTERS + 2,
        output_size=LETTERS,
        answers=KEPT,
        draw=partial(_copying, delay),
    )


def _copying(delay: int, batch: int, generator: Generator, part: Part) -> tuple[Tensor, Tensor]:
    letters = torch.randint(LETTERS, (KEPT, batch), generator=generator)
    blank, ask = LETTERS, LETTERS + 1
    steps = torch.cat([letters, torch.full((delay, batch), blank), torch.full((KEPT, batch), ask)])
    return torch.nn.functional.one_hot(steps, LETTERS + 2).float(), letters


def temporal_order(time: int = 100) -> Problem:
    """Classify the order of two symbols (Hochreiter and Schmidhuber 1997, problem 6a).

    X or Y occurs once between 10 % and 20 % of the sequence and once between 50 % and 60 %; all
    other steps have one of four letters.  The classes are the four orders.
    """
    return Problem(
        name="temporal-order",
        title=f"temporal order, {time} steps",
        measure="accuracy",
        chance=0.25,
        solved=0.99,
        time=time,
        input_size=6,
        output_size=4,
        answers=1,
        draw=partial(_temporal_order, time),
    )


def _temporal_order(
    time: int, batch: int, generator: Generator, part: Part
) -> tuple[Tensor, Tensor]:
    steps = torch.randint(4, (time, batch), generator=generator)
    signs = torch.randint(2, (2, batch), generator=generator)
    for k, start in enumerate((time // 10, time // 2)):
        place = torch.randint(start, start + time // 10, (1, batch), generator=generator)
        steps.scatter_(0, place, 4 + signs[k : k + 1])
    return torch.nn.functional.one_hot(steps, 6).float(), 2 * signs[:1] + signs[1:]


def digits() -> Problem:
    """Handwritten digits, one pixel per step (after Le, Jaitly and Hinton 2015).

    scikit-learn's 1797 images of 8 by 8 pixels: the last 360 for the test, the 180 before them for
    validation.
    """
    return Problem(
        name="digits",
        title="digits, pixel by pixel",
        measure="accuracy",
        chance=0.1,
        solved=0.9,
        time=64,
        input_size=1,
        output_size=10,
        answers=1,
        draw=_digits,
    )


#: the range of each part's images in scikit-learn's order
IMAGES: dict[Part, tuple[int, int]] = {
    "train": (0, 1257),
    "valid": (1257, 1437),
    "test": (1437, 1797),
}


def _digits(batch: int, generator: Generator, part: Part) -> tuple[Tensor, Tensor]:
    images, labels = _images()
    rows = torch.arange(*IMAGES[part])
    if part == "train":
        rows = rows[torch.randint(len(rows), (batch,), generator=generator)]
    return images[rows].T.unsqueeze(-1).contiguous(), labels[rows].unsqueeze(0)


@lru_cache(maxsize=1)
def _images() -> tuple[Tensor, Tensor]:
    with extra("diagnose", "the problem of the digits"):
        from sklearn.datasets import load_digits

    found = load_digits()
    return torch.tensor(found.data, dtype=torch.float32) / 16, torch.tensor(found.target)


#: the problems of ``elman diagnose --tasks`` by name
PROBLEMS: dict[str, Problem] = {
    problem.name: problem
    for problem in (
        *[adding(time) for time in (100, 200, 400)],
        *[copying(delay) for delay in (20, 50, 100)],
        temporal_order(),
        digits(),
    )
}
