"""The sequences that run at each step, as tables for native kernels.

A ragged batch is sorted by length, so that the sequences running at a step come first.  In the
engine's buffers, the rows of all steps are contiguous: padding is neither computed nor stored.
Rows of the caller's tensors stay in place; ``order`` and ``times`` give their positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elman.backends.native import tuning

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Schedule:
    """Tables for the steps of a batch.

    ``counts[k + 1]`` sequences run at the k-th step; ``counts`` is 0 before the first step and
    after the last.  ``offsets[k + 1]`` is the row of the step's first sequence in the engine's
    buffers, ``times[k + 1]`` the row of the batch's first sequence in the caller's tensors.
    ``order`` maps sorted sequences to their positions in the batch.
    """

    batch: int
    counts: Integers
    offsets: Integers
    times: Integers
    order: Integers
    is_whole: bool

    @property
    def time(self) -> int:
        """The number of steps."""
        return len(self.counts) - 2

    @cached_property
    def addresses(self) -> tuple[int, int, int, int]:
        """The addresses of the first step in counts, offsets, order and times."""
        word = self.counts.itemsize
        counts, offsets, times = [
            table.ctypes.data + word for table in (self.counts, self.offsets, self.times)
        ]
        return counts, offsets, self.order.ctypes.data, times

    @cached_property
    def total(self) -> int:
        """The number of rows of all steps."""
        return int(self.counts.sum())

    def sort(self, state: Tensor) -> Tensor:
        """(batch, size), sorted by length."""
        if self.is_whole:
            return state.contiguous()
        return state.index_select(0, torch.from_numpy(self.order))

    @cached_property
    def _sequence(self) -> Integers:
        """The sorted sequence of each row, step by step."""
        starts = np.cumsum(self.counts[:-2])
        return np.arange(self.total) - np.repeat(starts, self.counts[1:-1])

    def _in_buffers(self, values: Integers) -> Integers:
        """Reorder values from the order of steps to that of the engine's rows."""
        found = np.empty_like(values)
        found[self._rows] = values
        return found

    @cached_property
    def _rows(self) -> Integers:
        return np.repeat(self.offsets[1:-1], self.counts[1:-1]) + self._sequence

    @cached_property
    def places(self) -> Integers:
        """The position in the caller's tensors of each row of the engine's buffers."""
        times = np.repeat(self.times[1:-1], self.counts[1:-1])
        return self._in_buffers(times + self.order[self._sequence])

    @cached_property
    def previous(self) -> Integers:
        """The row of the previous step for each row of the engine's buffers; negative at a start.

        -1 is the initial state of the first sorted sequence, -2 that of the second, and so on.
        """
        before = np.repeat(self.offsets[:-2], self.counts[1:-1]) + self._sequence
        return self._in_buffers(np.where(self._has_previous, before, ~self._sequence))

    @cached_property
    def previous_places(self) -> Integers:
        """``previous`` in the caller's tensors; -1 is the first sequence of the batch."""
        sequence = self.order[self._sequence]
        before = np.repeat(self.times[:-2], self.counts[1:-1]) + sequence
        return self._in_buffers(np.where(self._has_previous, before, ~sequence))

    @cached_property
    def _has_previous(self) -> NDArray[np.bool_]:
        return self._sequence < np.repeat(self.counts[:-2], self.counts[1:-1])

    @cached_property
    def idle(self) -> Tensor:
        """The positions of padding in the caller's tensors."""
        runs = np.zeros(self.time * self.batch, np.bool_)
        runs[self.places] = True
        return torch.from_numpy(np.flatnonzero(~runs))

    def partitions(self, parts: int) -> list[int]:
        """The bounds of partitions of the batch with about equal work."""
        if self.is_whole or parts == 1:
            return [self.batch * k // parts for k in range(parts + 1)]
        if parts not in self._partitions:
            bounds = [0]
            for left in range(parts, 1, -1):
                low = bounds[-1]
                spent = self._time_of(low, np.arange(low, self.batch + 1))
                near = np.abs(spent - spent[-1] / left)
                bounds.append(low + int(np.argmin(near)))
            self._partitions[parts] = [*bounds, self.batch]
        return self._partitions[parts]

    @cached_property
    def _partitions(self) -> dict[int, list[int]]:
        return {}

    def _time_of(self, low: int, high: Integers) -> Integers:
        """The work, in rows, of the sequences from ``low`` to before each of ``high``.

        A step with few rows still reads all weights, which costs as much as some rows.
        """
        counts = self.counts[1:-1]
        rows = np.clip(counts[None, :], low, high[:, None]) - low
        found: Integers = (rows + tuning.STEP_ROWS * (rows > 0)).sum(1)
        return found

    def chunks(self, row_bytes: int) -> list[tuple[int, int, int, int]]:
        """Chunks of steps whose rows of so many bytes fit ``tuning.CHUNK_BYTES``.

        Each is (first step, step after the last, first row, row after the last).
        """
        rows = tuning.CHUNK_BYTES // max(1, row_bytes)
        if self.total <= rows:
            return [(0, self.time, 0, self.total)] if self.total else []
        found = []
        begin = 0
        ends = np.cumsum(self.counts[1:-1])
        while begin < self.time:
            done = int(ends[begin - 1]) if begin else 0
            # at least one step, and following steps without rows: no chunk is empty
            most = max(done + rows, int(ends[begin]))
            end = int(np.searchsorted(ends, most, "right"))
            first = self.offsets[[begin + 1, end]]  # the rows of a reversed batch descend
            start = int(first.min())
            found.append((begin, end, start, start + int(ends[end - 1]) - done))
            begin = end
        return found


def make_schedule(time: int, batch: int, lengths: Tensor | None, reverse: bool) -> Schedule:
    """The schedule of a batch; ``lengths`` as for the operator of ``autograd.py``."""
    if lengths is None:
        return _whole(time, batch, reverse)
    return _ragged(time, lengths.numpy().astype(np.int64).tobytes(), reverse)


@lru_cache(maxsize=32)
def _whole(time: int, batch: int, reverse: bool) -> Schedule:
    """The schedule without lengths; rows stay in torch's order."""
    counts = np.zeros(time + 2, np.int64)
    counts[1:-1] = batch
    offsets = np.zeros(time + 2, np.int64)
    offsets[1:-1] = _steps(time, reverse) * batch
    return Schedule(batch, counts, offsets, offsets, np.arange(batch), is_whole=True)


@lru_cache(maxsize=32)
def _ragged(time: int, lengths: bytes, reverse: bool) -> Schedule:
    each = np.frombuffer(lengths, np.int64)
    batch = len(each)
    order = np.argsort(-each, kind="stable")
    steps = _steps(time, reverse)
    counts = np.zeros(time + 2, np.int64)
    counts[1:-1] = batch - np.searchsorted(np.sort(each), steps, "right")
    offsets = np.zeros(time + 2, np.int64)
    offsets[1:] = np.cumsum(counts[:-1])
    times = np.zeros(time + 2, np.int64)
    times[1:-1] = steps * batch
    return Schedule(batch, counts, offsets, times, order, is_whole=False)


def _steps(time: int, reverse: bool) -> Integers:
    return np.arange(time)[::-1] if reverse else np.arange(time)


@lru_cache(maxsize=64)
def all_at_once(schedule: Schedule, start: int, stop: int) -> Schedule:
    """The rows ``start`` to before ``stop`` as a single step."""
    counts = np.array([0, stop - start, 0])
    zeros = np.zeros(3, np.int64)
    places = schedule.places[start:stop]
    return Schedule(stop - start, counts, zeros, zeros, places, is_whole=True)
