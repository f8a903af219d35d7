"""Ctrl-C (and a scheduler's SIGTERM) as a wish that the loop looks at between two batches.

The first one lets the batch end and the checkpoint be saved; another Ctrl-C ends at once.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """``asked`` is true once somebody wants training to end."""

    def __init__(self) -> None:
        self.asked = False
        self._first = 0.0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.asked:
            self.asked, self._first = True, time.monotonic()
        # The terminal and torchrun each pass on one and the same Ctrl-C within a moment.
        elif number == signal.SIGINT and time.monotonic() - self._first > 1:
            raise KeyboardInterrupt


@contextmanager
def caught_interruption() -> Iterator[Interruption]:
    """Within the ``with``, signals to end are noted instead of obeyed at once."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption  # Python delivers signals to the main thread only
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, interruption)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
