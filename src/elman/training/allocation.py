"""Memory that a training step has freed stays with the process, for the next step.

By default, the C library of Linux returns large blocks to the system when they are freed, and takes
fresh pages for the next ones, which the system has to clear: work of each step that trains nothing.
"""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache

#: ``mallopt``'s numbers for its limits, and their values in bytes: free memory at the end of the
#: heap that is kept, and the size from which a block is mapped by itself (glibc allows no more)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
KEPT, MAPPED = 1 << 30, 1 << 25


@cache
def keep_freed_memory() -> bool:
    """Let malloc keep what is freed; whether it does.

    Only glibc is asked, and not if the user has set its limits in the environment.

    >>> keep_freed_memory() in (True, False)
    True
    """
    by_user = any([name.startswith("MALLOC_") for name in os.environ])
    if by_user or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return bool(mallopt(_MMAP_THRESHOLD, MAPPED)) and bool(mallopt(_TRIM_THRESHOLD, KEPT))
