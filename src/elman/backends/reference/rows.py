"""The rows of a ragged batch that run at each step.

Rows are sorted by length, so that the rows running at a step come first and padding is never
computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """The rows that run at each step, in the order of computation.

    At the k-th step, the first ``counts[k]`` rows of the batch in ``order`` (longest first) run.
    ``index`` holds their positions in (time * batch), or ``None`` for all rows in the caller's
    order.
    """

    counts: tuple[int, ...]
    order: Tensor | None
    index: Tensor | None
    batch: int
    time: int

    @cached_property
    def inverse(self) -> Tensor | None:
        """The position of each row of the batch in ``order``."""
        return None if self.order is None else torch.argsort(self.order)

    def flatten(self, x: Tensor) -> Tensor:
        """(time, batch, size) -> (rows, size), in the order of computation."""
        flat = x.reshape(self.time * self.batch, x.shape[-1])
        return flat if self.index is None else flat.index_select(0, self.index)

    def unflatten(self, flat: Tensor) -> Tensor:
        """(rows, size) -> (time, batch, size), zero where no row runs."""
        if self.index is not None:
            whole = flat.new_zeros(self.time * self.batch, flat.shape[-1])
            flat = whole.index_copy(0, self.index, flat)
        return flat.reshape(self.time, self.batch, flat.shape[-1])

    def sort(self, state: Tensor) -> Tensor:
        """(batch, size), longest row first."""
        return state if self.order is None else state.index_select(0, self.order)

    def unsort(self, state: Tensor) -> Tensor:
        """(batch, size) in the caller's order."""
        return state if self.inverse is None else state.index_select(0, self.inverse)


def rows_of(time: int, batch: int, lengths: Tensor | None, reverse: bool, like: Tensor) -> Rows:
    """The rows of each step; ``lengths`` in any order; ``reverse`` starts at each row's end."""
    if lengths is None:
        index = None
        if reverse:
            index = torch.arange(time * batch, device=like.device).reshape(time, batch)
            index = index.flip(0).reshape(-1)
        return Rows((batch,) * time, None, index, batch, time)
    order = torch.argsort(lengths, descending=True, stable=True)
    steps = torch.arange(time, device=lengths.device)
    if reverse:
        steps = steps.flip(0)
    running = steps[:, None] < lengths[order][None, :]  # time batch
    places = steps[:, None] * batch + order[None, :]
    counts = tuple(running.sum(1).tolist())
    return Rows(counts, order.to(like.device), places[running].to(like.device), batch, time)
