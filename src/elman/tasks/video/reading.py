"""Reports the progress of reading many files on standard error.

Prints a line every few seconds, and nothing if reading is fast.  Lines do not interfere with other
progress bars on the terminal.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

SECONDS = 5.0


def with_progress(items: Sequence[T], what: str) -> Iterator[T]:
    """Yields the items; prints ``1,200 of 9,516 videos read`` every few seconds.

    >>> list(with_progress([1, 2], "videos read"))
    [1, 2]
    """
    last = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - last >= SECONDS:
            last = time.monotonic()
            print(f"{done:,} of {len(items):,} {what}", file=sys.stderr, flush=True)
        yield item
