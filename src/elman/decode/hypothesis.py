"""The result of a search over a step function: tokens and their scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

State = TypeVar("State")

#: ``step(tokens, state)``: tokens (rows,) -> log probabilities (rows, vocabulary) and next state
Step = Callable[[Tensor, State], tuple[Tensor, State]]
#: ``select(state, rows)``: the state of these rows, in this order; rows may be repeated
Select = Callable[[State, Tensor], State]


@dataclass(frozen=True)
class Hypothesis:
    """A sequence without start and end token, its log probability, and its ranking score.

    ``ended`` is False if it was truncated at the maximum length.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    ended: bool = True
