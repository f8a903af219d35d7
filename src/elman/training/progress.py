"""Progress of training on screen: a progress bar on a terminal, plain lines elsewhere.

The loop reports batches and validations; how they are shown is decided here.  Everything goes to
standard error, so that standard output stays free for results.  ``elman.stages`` shows the progress
of what comes before: reading, features and vocabularies.
"""

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from elman.stages import duration
from elman.training.options import LoopOptions

PLAIN_SECONDS = 30.0


@dataclass(frozen=True)
class BatchInfo:
    """A finished batch: its position, and the mean loss of the epoch so far."""

    epoch: int
    batch: int
    batches: int
    loss: float
    seconds: float  # of training, over all resumptions


class Progress(Protocol):
    """What the loop reports to."""

    def begin(self, options: LoopOptions, metric: str, seconds: float) -> None:
        """Training starts, or resumes after ``seconds`` of training."""

    def say(self, sentence: str) -> None:
        """Show a message on a line of its own."""

    def batch(self, info: BatchInfo) -> None:
        """A batch is done."""

    def validated(self, line: Mapping[str, Any]) -> None:
        """The model was validated: a line of ``history.jsonl``."""

    def close(self) -> None:
        """Training has ended."""


def choose_progress(stream: TextIO | None = None) -> Progress:
    """A bar if ``stream`` (default: standard error) is a terminal, otherwise plain lines."""
    stream = sys.stderr if stream is None else stream
    return TerminalProgress(stream) if stream.isatty() else PlainProgress(stream)


class Silence:
    """Shows nothing: for all processes but the main one, and for quiet training."""

    def begin(self, options: LoopOptions, metric: str, seconds: float) -> None: ...
    def say(self, sentence: str) -> None: ...
    def batch(self, info: BatchInfo) -> None: ...
    def validated(self, line: Mapping[str, Any]) -> None: ...
    def close(self) -> None: ...


class Pace:
    """Estimates the remaining time from the batches and validations so far.

    >>> pace = Pace(LoopOptions(epochs=3), seconds=0.0)
    >>> pace.batch(BatchInfo(epoch=1, batch=1, batches=10, loss=0.5, seconds=2.0))
    >>> pace.left_in_epoch, pace.left
    (18.0, 58.0)
    """

    def __init__(self, options: LoopOptions, seconds: float) -> None:
        self._options = options
        self._last = seconds
        self._batches = 0
        self._batch_seconds = 0.0
        self._validation_seconds = 0.0
        self.left_in_epoch = math.nan
        self.left = math.nan

    def batch(self, info: BatchInfo) -> None:
        self._batches += 1
        self._batch_seconds += info.seconds - self._last
        self._last = info.seconds
        each = self._batch_seconds / self._batches
        epochs = max(0, self._options.epochs - info.epoch)
        epoch = info.batches * each + self._validation_seconds
        self.left_in_epoch = (info.batches - info.batch) * each
        self.left = self.left_in_epoch + self._validation_seconds + epochs * epoch
        if self._options.max_minutes is not None:
            until = 60 * self._options.max_minutes - info.seconds
            self.left = min(self.left, max(0.0, until))

    def validated(self, seconds: float) -> None:
        self._validation_seconds = seconds - self._last
        self._last = seconds


class PlainProgress:
    """One line per validation, and about one every 30 seconds in between."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock

    def begin(self, options: LoopOptions, metric: str, seconds: float) -> None:
        self._epochs = options.epochs
        self._metric = metric
        self._pace = Pace(options, seconds)
        self._last_line = self._clock()

    def say(self, sentence: str) -> None:
        print(sentence, file=self._stream, flush=True)
        self._last_line = self._clock()

    def batch(self, info: BatchInfo) -> None:
        self._pace.batch(info)
        if self._clock() - self._last_line >= PLAIN_SECONDS:
            self.say(
                f"epoch {info.epoch} of {self._epochs}, batch {info.batch} of "
                f"{info.batches}: loss {info.loss:.4g}, "
                f"{duration(self._pace.left_in_epoch)} left in this epoch, "
                f"at most {duration(self._pace.left)} in total"
            )

    def validated(self, line: Mapping[str, Any]) -> None:
        self._pace.validated(line["seconds"])
        self.say(validation_line(line, self._epochs, self._metric))

    def close(self) -> None: ...


class TerminalProgress:
    """A bar for the epoch with the remaining time, and a line above it for each validation."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        self._console = Console(file=stream, highlight=False)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            console=self._console,
            transient=True,
            expand=True,
        )
        self._task = self._bar.add_task("", total=None, state="")

    def begin(self, options: LoopOptions, metric: str, seconds: float) -> None:
        self._epochs = options.epochs
        self._metric = metric
        self._best = ""
        self._pace = Pace(options, seconds)
        self._bar.start()

    def say(self, sentence: str) -> None:
        self._console.print(sentence, markup=False, soft_wrap=True)

    def batch(self, info: BatchInfo) -> None:
        self._pace.batch(info)
        self._bar.update(
            self._task,
            description=f"epoch {info.epoch} of {self._epochs}",
            completed=info.batch,
            total=info.batches,
            state=f"loss {info.loss:.4f}{self._best} · {duration(self._pace.left_in_epoch)} left, "
            f"at most {duration(self._pace.left)} in total",
        )

    def validated(self, line: Mapping[str, Any]) -> None:
        self._pace.validated(line["seconds"])
        if line["best"]:
            self._best = f" · best {self._metric} {line['valid'][self._metric]:.4f}"
        self.say(validation_line(line, self._epochs, self._metric))

    def close(self) -> None:
        self._bar.stop()


def validation_line(line: Mapping[str, Any], epochs: int, metric: str) -> str:
    """A line of ``history.jsonl`` as text.

    >>> valid = {"loss": 0.5, "f1": 0.75}
    >>> line = {"epoch": 3, "train_loss": 0.4, "valid": valid, "best": True,
    ...         "learning_rate": 0.001, "seconds": 90.0}
    >>> validation_line(line, epochs=50, metric="f1")
    'epoch 3 of 50: loss 0.4000, validation loss 0.5000, f1 0.7500 (best), rate 0.001, after 90 s'
    """
    parts = [f"loss {line['train_loss']:.4f}"]
    if metric != "loss" and line["valid"].get("loss") is not None:
        parts.append(f"validation loss {line['valid']['loss']:.4f}")
    name = "validation loss" if metric == "loss" else metric
    best = " (best)" if line["best"] else ""
    parts.append(f"{name} {line['valid'][metric]:.4f}{best}")
    parts.append(f"rate {line['learning_rate']:.3g}")
    parts.append(f"after {duration(line['seconds'])}")
    return f"epoch {line['epoch']:.4g} of {epochs}: {', '.join(parts)}"
