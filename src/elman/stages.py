"""Progress of what comes before training and prediction: reading, features, vocabularies.

``counted`` reports the progress of a loop over files or rows, with an estimate of the time that is
left; ``stage`` names other work that takes long.  Both are silent for the first seconds.  A
terminal shows one line that is overwritten; elsewhere a plain line is printed now and then.
Everything goes to standard error.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")

#: nothing is shown before this many seconds
QUIET_SECONDS = 2.0
#: a stage is named after this many seconds if nothing was shown before
STAGE_SECONDS = 3.0
#: seconds between two lines, and between two updates of a terminal
LINE_SECONDS, TERMINAL_SECONDS = 15.0, 0.2

_silent: ContextVar[bool] = ContextVar("silent", default=False)
_shown_at = -math.inf


@contextmanager
def silently(silent: bool = True) -> Iterator[None]:
    """Show no progress inside the ``with`` block."""
    token = _silent.set(silent or _silent.get())
    try:
        yield
    finally:
        _silent.reset(token)


def counted(items: Iterable[Item], doing: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items, and show how many are done and how long the others will take.

    ``total`` is the number of items if they are no sequence; it may be an estimate.

    >>> list(counted([1, 2], "reading numbers"))
    [1, 2]
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    begun = time.monotonic()
    due, shown = begun + QUIET_SECONDS, False
    for done, item in enumerate(items):
        now = time.monotonic()
        if now >= due and not _is_silent():
            _show(progress_line(doing, done, total, now - begun))
            shown = True
            due = now + (TERMINAL_SECONDS if sys.stderr.isatty() else LINE_SECONDS)
        yield item
    if shown:
        _clear()


def progress_line(doing: str, done: int, total: int | None, seconds: float) -> str:
    """A line of progress after this many seconds.

    >>> progress_line("reading train.jsonl", 2000, 8000, 60.0)
    'reading train.jsonl: 2,000 of 8,000, about 3 min left'
    >>> progress_line("reading train.csv", 2000, None, 60.0)
    'reading train.csv: 2,000 after 60 s'
    """
    if not total or not done or done > total:
        return f"{doing}: {done:,} after {duration(seconds)}"
    left = duration(seconds / done * (total - done))
    return f"{doing}: {done:,} of {total:,}, about {left} left"


@contextmanager
def stage(doing: str) -> Iterator[None]:
    """Say what is being done if it takes longer than a moment.

    >>> with stage("learning subwords"):
    ...     pass
    """
    if _is_silent():
        yield
        return
    begun = time.monotonic()

    def name() -> None:
        if _shown_at < begun:
            _show(f"{doing} ...")

    timer = threading.Timer(STAGE_SECONDS, name)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if _shown_at >= begun:
            _clear()


def duration(seconds: float) -> str:
    """Seconds as readable text.

    >>> duration(4.2), duration(250), duration(3900)
    ('4 s', '4 min', '1 h 05 min')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _is_silent() -> bool:
    """Whether progress is unwanted, or another process shows it."""
    return _silent.get() or os.environ.get("RANK", "0") != "0"


def _show(line: str) -> None:
    global _shown_at
    _shown_at = time.monotonic()
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[2K{line}")
    else:
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()
