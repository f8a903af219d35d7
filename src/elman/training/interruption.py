"""Ctrl-C (and a scheduler's SIGTERM) as a request that the loop checks between two batches.

After the first signal the batch finishes and a checkpoint is saved; a second Ctrl-C exits at once.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """``asked`` is true once a signal has requested the end of training."""

    def __init__(self) -> None:
        self.asked = False
        self._first = 0.0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.asked:
            self.asked, self._first = True, time.monotonic()
        # The terminal and torchrun may each deliver the same Ctrl-C within a moment.
        elif number == signal.SIGINT and time.monotonic() - self._first > 1:
            raise KeyboardInterrupt


@contextmanager
def caught_interruption() -> Iterator[Interruption]:
    """Inside the ``with`` block, termination signals are recorded instead of handled at once."""
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
