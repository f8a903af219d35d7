"""Which rows of a ragged batch run at which step.

Rows are put in order of length, so that those still running at a step are the first ones, and
padding is never computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Which rows run at which step, in the order of computation.

    ``counts[k]`` rows run at the k-th step, always the first ones of the batch in ``order``
    (longest first).  ``index`` are their places in (time * batch), ``None`` where they are all
    of them in their own order.
    """

    counts: tuple[int, ...]
    order: Tensor | None
    index: Tensor | None
    batch: int
    time: int

    @cached_property
    def inverse(self) -> Tensor | None:
        """Where each row of the batch stands in ``order``."""
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
        """(batch, size) with the longest row first."""
        return state if self.order is None else state.index_select(0, self.order)

    def unsort(self, state: Tensor) -> Tensor:
        """(batch, size) in the caller's order."""
        return state if self.inverse is None else state.index_select(0, self.inverse)


def rows_of(time: int, batch: int, lengths: Tensor | None, reverse: bool, like: Tensor) -> Rows:
    """Which rows run when; ``lengths`` are in any order, ``reverse`` begins at each row's end."""
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
