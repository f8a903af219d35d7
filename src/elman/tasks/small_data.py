"""Defaults for small data: a rule for each option whose best value depends on the amount of data.

An option has one ordinary default, which suits large data.  ``Task.small_data`` names those whose
default is another one for small data.  ``tasks/train.py`` applies the rules once the training data
are read, to options that the user has not set, and records the values in the run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar

Options = TypeVar("Options")
Unit = Literal["examples", "steps"]


@dataclass(frozen=True)
class SmallData:
    """The default of an option for at most ``most`` examples or time steps of training data.

    From ``large`` on it is the ordinary default.  In between, the value follows the logarithm of
    the amount.  Without ``large``, the ordinary default starts just above ``most``.  The rule holds
    only while the option ``without`` of the same group is off, if one is named.

    >>> rule = SmallData(0.2, most=50_000, large=1_000_000, unit="steps")
    >>> [rule.value(0.5, amount) for amount in (1_000, 50_000, 224_000, 1_000_000)]
    [0.2, 0.2, 0.35, 0.5]
    >>> rule.text(0.5)
    '0.2 for up to 50,000 time steps of training data, 0.5 from 1,000,000'
    >>> SmallData(2, most=5_000).value(0, 5_001)
    0
    """

    small: Any
    most: int
    large: int | None = None
    unit: Unit = "examples"
    without: str = ""

    def value(self, ordinary: Any, amount: float) -> Any:
        """The default for this amount of training data, of an option with this ordinary one."""
        if amount <= self.most:
            return self.small
        if self.large is None or amount >= self.large:
            return ordinary
        place = math.log(amount / self.most) / math.log(self.large / self.most)
        value = self.small + place * (ordinary - self.small)
        return round(value) if isinstance(ordinary, int) else float(f"{value:.2g}")

    def text(self, ordinary: Any) -> str:
        """The rule in words."""
        unit = "examples" if self.unit == "examples" else "time steps of training data"
        above = "above" if self.large is None else f"from {self.large:,}"
        only = f" without {self.without}" if self.without else ""
        small, large = _shown(self.small), _shown(ordinary)
        return f"{small} for up to {self.most:,} {unit}{only}, {large} {above}"


def amounts(lengths: Sequence[int]) -> dict[Unit, float]:
    """The amount of training data in each unit, from the lengths of the examples.

    >>> amounts([3, 4])
    {'examples': 2, 'steps': 7}
    """
    return {"examples": len(lengths), "steps": sum(lengths)}


def for_small_data(
    options: Options,
    rules: Mapping[str, SmallData],
    given: Mapping[str, object],
    found: Mapping[Unit, float],
) -> Options:
    """The options, with the values for this amount of data of those that are not ``given``.

    >>> from elman.training import LoopOptions
    >>> rules = {"epochs": SmallData(90, most=100)}
    >>> for_small_data(LoopOptions(), rules, {}, {"examples": 80}).epochs
    90
    >>> for_small_data(LoopOptions(epochs=7), rules, {"epochs": 7}, {"examples": 80}).epochs
    7
    """
    names = [each.name for each in fields(options)]  # type: ignore[arg-type]
    values = {
        name: rule.value(getattr(options, name), found[rule.unit])
        for name, rule in rules.items()
        if name in names and name not in given
        if not (rule.without and getattr(options, rule.without))
    }
    changed: Options = replace(options, **values)  # type: ignore[type-var]
    return changed


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
