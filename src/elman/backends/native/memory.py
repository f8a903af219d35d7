"""A pool of large memory blocks, which are reused when their tensor is freed.

The first access to a page of fresh memory costs as much as some hundred multiplications, and C
libraries return large blocks to the system immediately, so a training step would touch thousands
of new pages each time.  The blocks of this pool stay mapped, in huge pages if available; when a
tensor is freed, the next tensor of about the same size gets its block.
"""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from collections import OrderedDict
from math import prod

import numpy as np
import torch
from torch import Tensor

from elman.backends.native import tuning

_LINE = 64
_PAGE = 1 << 12

_NUMPY = {torch.float32: np.float32, torch.float64: np.float64, torch.bfloat16: np.int16}


class _Loan(np.ndarray):
    """An array that returns its block when freed; plain arrays do not support weak references."""


class Pool:
    """Free blocks keyed by size.  Thread-safe.

    >>> pool = Pool()
    >>> first = pool.empty(1 << 20, torch.float32)
    >>> address = first.data_ptr()
    >>> del first
    >>> pool.empty(1 << 20, torch.float32).data_ptr() == address
    True
    """

    def __init__(self) -> None:
        self._idle: OrderedDict[int, tuple[int, mmap.mmap]] = OrderedDict()
        self._idle_bytes = 0
        self._made = 0
        # the same thread may return a block while it takes another
        self.lock = threading.RLock()

    def empty(self, count: int, dtype: torch.dtype) -> Tensor:
        """An uninitialised tensor, aligned to a cache line."""
        needed = _rounded(count * dtype.itemsize + _PAGE)
        block = self._take(needed)
        # blocks are page-aligned; page-aligned tensors would compete for a few sets of the cache
        start = (id(block) // _LINE * 5) % (_PAGE // _LINE) * _LINE
        array = np.frombuffer(block, _NUMPY[dtype], count, start).view(_Loan)
        weakref.finalize(array, self._give_back, needed, block).atexit = False
        tensor = torch.from_numpy(array)
        return tensor.view(dtype) if dtype is torch.bfloat16 else tensor

    def _take(self, needed: int) -> mmap.mmap:
        with self.lock:
            for key, (size, block) in reversed(self._idle.items()):
                if size == needed:
                    del self._idle[key]
                    self._idle_bytes -= size
                    return block
        block = _fresh(needed)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            block.madvise(mmap.MADV_HUGEPAGE)
        return block

    def _give_back(self, size: int, block: mmap.mmap) -> None:
        with self.lock:
            self._made += 1
            self._idle[self._made] = (size, block)
            self._idle_bytes += size
            while self._idle_bytes > tuning.MAX_IDLE_BYTES:
                _, (oldest, _) = self._idle.popitem(last=False)
                self._idle_bytes -= oldest


def _fresh(size: int) -> mmap.mmap:
    """Private pages: a forked child has its own copy."""
    if hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return mmap.mmap(-1, size)  # platforms without fork


def _rounded(size: int) -> int:
    """Round up to one of four sizes per power of two, so that similar sizes share blocks."""
    step = max(_PAGE, 1 << max(0, size.bit_length() - 3))
    return -(-size // step) * step


POOL = Pool()
if hasattr(os, "register_at_fork"):  # a child must not inherit a lock that another thread holds
    os.register_at_fork(
        before=POOL.lock.acquire,
        after_in_parent=POOL.lock.release,
        after_in_child=POOL.lock.release,
    )


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor."""
    count = prod(shape)
    if count * dtype.itemsize < tuning.MIN_POOLED_BYTES:
        return torch.empty(shape, dtype=dtype, device="cpu")
    return POOL.empty(count, dtype).view(shape)


def aligned(count: int, dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor, aligned to a cache line."""
    if count * dtype.itemsize >= tuning.MIN_POOLED_BYTES:
        return POOL.empty(count, dtype)
    width = _LINE // dtype.itemsize
    found = torch.empty(count + width, dtype=dtype, device="cpu")
    first = -(found.data_ptr() // dtype.itemsize) % width
    return found[first : first + count]
