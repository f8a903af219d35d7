"""Run native functions on several threads: torch's OpenMP team, if available.

A second thread pool competes with torch's workers, which spin while they wait.  Partitions of the
work therefore run on the team of torch's libgomp (Linux).  On other platforms they run on threads
of our own (``workers.py``), with the same result.

A fork copies only one thread, and OpenMP in the child would wait forever for the others.  The child
of a process with several threads therefore has no team: its kernels run on one thread.  Torch's
operations would hang as well, so torch is limited to one thread there if the team was in use.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm
import torch

from elman.backends.native import tuning
from elman.backends.native.llvm.jit import Kernel, load
from elman.backends.native.llvm.target import find_target
from elman.backends.native.llvm.workers import Workers

#: words before the bounds: function, table, begin, end, number of partitions
_HEAD = 5

_BODY = """\
declare i32 @omp_get_thread_num()
declare i32 @omp_get_num_threads()

define void @body(ptr %data) nounwind {
entry:
  %function = load ptr, ptr %data
  %at1 = getelementptr inbounds i64, ptr %data, i64 1
  %table = load ptr, ptr %at1
  %at2 = getelementptr inbounds i64, ptr %data, i64 2
  %begin = load i64, ptr %at2
  %at3 = getelementptr inbounds i64, ptr %data, i64 3
  %end = load i64, ptr %at3
  %at4 = getelementptr inbounds i64, ptr %data, i64 4
  %partitions = load i64, ptr %at4
  %bounds = getelementptr inbounds i64, ptr %data, i64 5
  %own = call i32 @omp_get_thread_num()
  %all = call i32 @omp_get_num_threads()
  %first = zext i32 %own to i64
  %step = zext i32 %all to i64
  br label %head
head:
  %partition = phi i64 [%first, %entry], [%next, %work]
  %more = icmp slt i64 %partition, %partitions
  br i1 %more, label %work, label %leave
work:
  %at = getelementptr inbounds i64, ptr %bounds, i64 %partition
  %low = load i64, ptr %at
  %after = getelementptr inbounds i64, ptr %at, i64 1
  %high = load i64, ptr %after
  call void %function(ptr %table, i64 %low, i64 %high, i64 %begin, i64 %end)
  %next = add i64 %partition, %step
  br label %head
leave:
  ret void
}
"""


class Team:
    """torch's OpenMP threads."""

    title = "torch's threads"

    def __init__(self, library: Any) -> None:
        for name in ("omp_get_thread_num", "omp_get_num_threads"):
            address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
            llvm.add_symbol(name, address)
        self._kernel: Kernel = load("team", find_target("host"), lambda: _BODY)
        self._body = self._kernel.address("body")
        self._parallel = library.GOMP_parallel
        self._parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        self._parallel.restype = None
        #: whether it has run work
        self.is_up = False

    @property
    def min_work(self) -> float:
        """Work below which one thread is faster than two."""
        return tuning.MIN_PARALLEL_WORK

    def run(self, function: int, table: int, bounds: Sequence[int], begin: int, end: int) -> None:
        """Call ``function(table, bounds[k], bounds[k + 1], begin, end)`` for each k."""
        self.is_up = True
        partitions = len(bounds) - 1
        data = (ctypes.c_int64 * (_HEAD + partitions + 1))(
            function, table, begin, end, partitions, *bounds
        )
        self._parallel(self._body, ctypes.addressof(data), partitions, 0)


class _Here:
    """The state of this process."""

    team: Team | Workers | None = None
    #: whether the team has been looked for
    is_known = False
    #: whether there were several threads when the last fork began
    had_threads = False


def find_team() -> Team | Workers | None:
    """The threads that run kernels; ``None`` after a fork: one thread."""
    if not _Here.is_known:
        _Here.team, _Here.is_known = _team_of_this_process(), True
    return _Here.team


def _team_of_this_process() -> Team | Workers:
    if not sys.platform.startswith("linux"):
        return Workers()
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            paths = [line.split()[-1] for line in maps if "libgomp" in line]
        return Team(ctypes.CDLL(paths[0])) if paths else Workers()
    except (OSError, AttributeError):
        return Workers()


def _before_fork() -> None:
    try:
        _Here.had_threads = len(os.listdir("/proc/self/task")) > 1
    except OSError:
        _Here.had_threads = True


def _in_child() -> None:
    if not _Here.had_threads:
        return
    if _Here.team is not None and _Here.team.is_up:
        torch.set_num_threads(1)
    _Here.team, _Here.is_known = None, True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_in_child)
