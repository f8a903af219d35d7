"""The search space: a list of values or a range for each option.

    cell = ["lstm", "gru"]
    hidden_size = { low = 32, high = 256, log = true }
    dropout = { low = 0.0, high = 0.6 }

The default space of a task is the file ``tasks/<task>/space.toml``.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elman.errors import ElmanError, OptionError
from elman.options import known_options, parse, refuse_unknown
from elman.saved import parse_toml
from elman.tasks.task import Task
from elman.tasks.train import find_cell
from elman.training import LoopOptions


@dataclass(frozen=True)
class Choice:
    """One of these values."""

    values: tuple[Any, ...]

    def suggest(self, trial: Any, name: str) -> Any:
        """The value that optuna samples for this trial."""
        return trial.suggest_categorical(name, list(self.values))

    def __contains__(self, value: object) -> bool:
        return value in self.values


@dataclass(frozen=True)
class Range:
    """A number from ``low`` to ``high`` inclusive; with ``log``, uniform on a logarithmic scale."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def suggest(self, trial: Any, name: str) -> Any:
        """The number that optuna samples for this trial."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Space:
    """The values to try for each option, by the option's name.

    >>> from elman.tasks import TASKS
    >>> read_space(TASKS["ner"], 'cell = ["gru"]', "my.toml").parts
    {'cell': Choice(values=('gru',))}
    """

    parts: Mapping[str, Choice | Range]

    def suggest(self, trial: Any) -> dict[str, Any]:
        """A value for each option."""
        return {name: part.suggest(trial, name) for name, part in self.parts.items()}

    def defaults(self, task: Task) -> dict[str, Any]:
        """The task's default for each option, if it is in the space."""
        own = {**vars(task.Options()), **vars(task.training)}
        return {name: own[name] for name, part in self.parts.items() if own[name] in part}

    def without(self, names: Iterable[str]) -> Space:
        """The same space without the options that are fixed."""
        settled = set(names)
        return Space({name: part for name, part in self.parts.items() if name not in settled})


def default_space(task: Task) -> Space:
    """The default search space of the task."""
    return read_space(task, default_text(task), f"the space of {task.name}")


def default_text(task: Task) -> str:
    """The text of the file of ``default_space``, as a template for your own."""
    path = Path(inspect.getfile(type(task))).parent / "space.toml"
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise OptionError(
            f"the task {task.name} has no default search space ({path}); name a file with --space."
        ) from None


def read_space(task: Task, text: str, where: str) -> Space:
    """Parse a search space from TOML text; the ``OptionError`` for an invalid one names ``where``.

    >>> from elman.tasks import TASKS
    >>> read_space(TASKS["ner"], "dropout = { low = 0.5, high = 0.1 }", "my.toml")
    Traceback (most recent call last):
        ...
    elman.errors.OptionError: my.toml: dropout goes from 0.5 to 0.1; low must be below high.
    """
    table = parse_toml(text, where)
    refuse_unknown(table, [task.Options, LoopOptions], where)
    kinds = {name: kind for kind in (LoopOptions, task.Options) for name in known_options([kind])}
    if not table:
        raise OptionError(f"{where}: there is nothing to try; give an option and its values.")
    parts: dict[str, Choice | Range] = {}
    for name, config in table.items():
        try:
            parts[name] = _part(name, config, kinds[name])
        except ElmanError as error:
            raise OptionError(f"{where}: {error}") from error
    return Space(parts)


def _part(name: str, config: Any, kind: type) -> Choice | Range:
    if isinstance(config, list):
        if not config:
            raise OptionError(f"{name} has no values; give at least one.")
        values = tuple([parse(kind, name, value) for value in config])
        if name == "cell":
            for value in values:
                find_cell(value)
        return Choice(values)
    if not isinstance(config, dict) or not {"low", "high"} <= config.keys() <= {
        "low",
        "high",
        "log",
    }:
        raise OptionError(
            f"{name} is {config!r}; give a list of values, or {{ low = ..., high = ... }}, with "
            "log = true for a logarithmic scale."
        )
    low, high, log = (
        parse(kind, name, config["low"]),
        parse(kind, name, config["high"]),
        config.get("log"),
    )
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
    if not numbers or not all(math.isfinite(end) for end in (low, high)):
        raise OptionError(f"{name} goes from {low!r} to {high!r}; a range must be of numbers.")
    if not low < high:
        raise OptionError(f"{name} goes from {low} to {high}; low must be below high.")
    if log and low <= 0:
        raise OptionError(f"{name} starts at {low}; with log it must be above 0.")
    return Range(low, high, bool(log), whole=isinstance(low, int) and isinstance(high, int))
