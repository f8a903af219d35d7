"""Which sequences run at which step, as the tables that native kernels read.

Sequences of a ragged batch are put in order of length, so that those that run at a step are the
first ones, and the rows of all steps follow each other without gaps: padding is neither computed
nor stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from elman.backends.reference import Rows, rows_of

#: gradients of about so many bytes are made and used before the next
STRETCH_BYTES = 1 << 24

Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Schedule:
    """``counts[k + 1]`` sequences run at the k-th step; their rows begin at ``offsets[k + 1]``.

    Before the first step and after the last none runs.  ``rows`` puts tensors in order.
    """

    rows: Rows
    counts: Whole
    offsets: Whole
    total: int

    @property
    def time(self) -> int:
        """The number of steps."""
        return len(self.counts) - 2

    @property
    def batch(self) -> int:
        """The number of sequences."""
        return self.rows.batch

    @cached_property
    def previous(self) -> Whole:
        """For each row the row of the step before; below 0 where there is none.

        -1 stands for the first sequence's starting state, -2 for the second's ...
        """
        found = np.empty(self.total, np.int64)
        for k in range(1, self.time + 1):
            count, before = int(self.counts[k]), int(self.counts[k - 1])
            start = int(self.offsets[k])
            row = np.arange(count)
            found[start : start + count] = np.where(row < before, self.offsets[k - 1] + row, ~row)
        return found

    def shares(self, threads: int) -> list[int]:
        """Bounds of parts of the batch that have about the same number of rows each."""
        if self.rows.order is None:
            return [self.batch * k // threads for k in range(threads + 1)]
        lengths = (self.counts[None, 1:-1] > np.arange(self.batch)[:, None]).sum(1)
        reached = np.concatenate([[0], np.cumsum(lengths)])
        wanted = [self.total * k / threads for k in range(1, threads)]
        inner = [int(np.argmin(np.abs(reached - w))) for w in wanted]
        return [0, *sorted(inner), self.batch]

    def stretches(self, width: int, bytes_each: int) -> list[tuple[int, int, int, int]]:
        """The steps cut into stretches, of whose rows a buffer that wide fits a cache.

        Each is (first step, step after the last, first row, row after the last).
        """
        found = []
        begin = 0
        ends = np.cumsum(self.counts[1:-1])
        rows = STRETCH_BYTES // max(1, width * bytes_each)
        while begin < self.time:
            done = int(ends[begin - 1]) if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, done + rows, "right")))
            first = self.offsets[[begin + 1, end]]  # rows of a reversed batch run backwards
            start = int(first.min())
            found.append((begin, end, start, start + int(ends[end - 1]) - done))
            begin = end
        return found


def make_schedule(time: int, batch: int, lengths: Tensor | None, reverse: bool) -> Schedule:
    """The schedule of a batch; ``lengths`` as for the operator of ``autograd.py``."""
    if lengths is None:
        return _whole(time, batch, reverse)
    rows = rows_of(time, batch, lengths, reverse, lengths)
    counts = np.array([0, *rows.counts, 0], np.int64)
    offsets = np.zeros(time + 2, np.int64)
    offsets[1:] = np.cumsum(counts[:-1])
    return Schedule(rows, counts, offsets, int(counts.sum()))


@lru_cache(maxsize=32)
def _whole(time: int, batch: int, reverse: bool) -> Schedule:
    """All sequences run at all steps; their rows stay where torch has them."""
    counts = np.zeros(time + 2, np.int64)
    counts[1:-1] = batch
    offsets = np.zeros(time + 2, np.int64)
    order = np.arange(time)[::-1] if reverse else np.arange(time)
    offsets[1:-1] = order * batch
    return Schedule(Rows((batch,) * time, None, None, batch, time), counts, offsets, time * batch)


@lru_cache(maxsize=32)
def all_at_once(total: int) -> Schedule:
    """Rows without time: one step with all of them."""
    return _whole(1, total, False)
