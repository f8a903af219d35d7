"""Run native functions on threads of our own, where torch's cannot be used (``team.py``)."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cached_property

from elman.backends.native import tuning
from elman.backends.native.llvm.jit import as_function


class Workers:
    """Threads that wait for partitions of the work.

    The caller computes the first partition itself.  A call returns when all partitions are
    computed, even if Ctrl-C interrupts it, since the memory that they write may be freed then.
    """

    title = "threads of its own"

    @property
    def min_work(self) -> float:
        """Work below which one thread is faster than two."""
        return tuning.MIN_WORKERS_WORK

    @property
    def is_up(self) -> bool:
        """Whether it has run work."""
        return "_threads" in vars(self)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), "elman")

    def run(self, function: int, table: int, bounds: Sequence[int], begin: int, end: int) -> None:
        """Call ``function(table, bounds[k], bounds[k + 1], begin, end)`` for each k."""
        call = as_function(function)
        first, *others = itertools.pairwise(bounds)
        started: list[Future[None]] = []
        own = [first]
        for low, high in others:
            try:
                started.append(self._threads.submit(call, table, low, high, begin, end))
            except RuntimeError:  # Python is about to exit, and starts no more work
                own.append((low, high))
        try:
            for low, high in own:
                call(table, low, high, begin, end)
        finally:
            _finish(started)


def _finish(started: Sequence[Future[None]]) -> None:
    try:
        wait(started)
    except BaseException:
        _finish(started)
        raise
