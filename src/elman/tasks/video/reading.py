"""How far the reading of many files has come, said on standard error while it takes long.

Reading that is over at once says nothing.  A bar on a terminal would need to know about others
that stand there; a line every few seconds gets along with everything.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

SECONDS = 5.0


def told(items: Sequence[T], what: str) -> Iterator[T]:
    """The items, and a line such as ``1,200 of 9,516 videos are read`` every few seconds.

    >>> list(told([1, 2], "videos are read"))
    [1, 2]
    """
    last = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - last >= SECONDS:
            last = time.monotonic()
            print(f"{done:,} of {len(items):,} {what}", file=sys.stderr, flush=True)
        yield item
