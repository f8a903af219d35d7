"""Watching a training of a search: prune it if it is worse than others, stop it if time is up.

The training loop reports to a ``TrialProgress`` (see ``training/progress.py``), which passes the
metric on, and raises an exception to end the training; the run folder stays as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from elman.training import LoopOptions
from elman.training.progress import BatchInfo

#: seconds between two heartbeats
SIGN = 10.0


class Pruned(Exception):
    """The training was pruned because others were better."""


class OutOfTime(Exception):
    """The search has run out of time; the training can be resumed."""


class TrialProgress:
    """Reports each validation to ``should_prune``, which returns whether to prune the trial.

    ``alive`` is called now and then: this worker's heartbeat.
    """

    def __init__(
        self,
        should_prune: Callable[[int, float], bool],
        *,
        alive: Callable[[], object],
        until: float,
        tell: Callable[[str], None],
    ) -> None:
        self._should_prune, self._alive, self._until, self._tell = should_prune, alive, until, tell
        self._signed = 0.0
        self._metric = ""
        self._epochs = 0
        self._last = ""

    def begin(self, options: LoopOptions, metric: str, seconds: float) -> None:
        self._metric, self._epochs = metric, options.epochs

    def say(self, sentence: str) -> None:
        """Ignored: the loop's messages are for a single training."""

    def batch(self, info: BatchInfo) -> None:
        now = time.time()
        if now - self._signed >= SIGN:
            self._signed = now
            self._alive()
            self._tell(f"epoch {info.epoch} of {self._epochs}{self._last}")
        if now >= self._until:
            raise OutOfTime

    def validated(self, line: Mapping[str, Any]) -> None:
        value = line["valid"][self._metric]
        self._last = f", {self._metric} {value:.4f}"
        if self._should_prune(round(line["epoch"]), value):
            raise Pruned

    def close(self) -> None: ...
