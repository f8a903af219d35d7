"""Progress over a file of inputs: a bar on a terminal, a line every half minute elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from elman.stages import duration
from elman.training.progress import PLAIN_SECONDS


class BulkProgress:
    """Shows on standard error how many inputs are answered, and how long the rest will take."""

    def __init__(self) -> None:
        self._start = self._last = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> BulkProgress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        if sys.stderr.isatty():
            columns = (BarColumn(bar_width=None), TextColumn("{task.description}"))
            screen = Console(stderr=True, highlight=False)
            self._bar = Progress(*columns, console=screen, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("reading", total=None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, read: float | None) -> None:
        """``done`` inputs are answered; ``read`` is the fraction that has been read, if known."""
        now = time.monotonic()
        line = f"{done:,} answers"
        if read:
            line += f", {duration((now - self._start) * (1 - read) / read)} left"
        if self._bar is not None:
            self._bar.update(
                self._task, description=line, total=1.0 if read else None, completed=read
            )
        elif now - self._last >= PLAIN_SECONDS:
            print(line, file=sys.stderr, flush=True)
            self._last = now
