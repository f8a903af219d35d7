"""What a search over a step function finds: tokens and what the model thinks of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

State = TypeVar("State")

#: ``step(tokens, state)``: tokens (rows,) -> log-probabilities (rows, vocabulary) and next state
Step = Callable[[Tensor, State], tuple[Tensor, State]]
#: ``select(state, rows)``: the state of these rows only, in this order; rows may be repeated
Select = Callable[[State, Tensor], State]


@dataclass(frozen=True)
class Hypothesis:
    """A sequence without its start and its end, its log-probability, and the score it ranks by.

    ``ended`` is False where it was cut at the longest length allowed.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    ended: bool = True
