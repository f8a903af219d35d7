"""A series: the values of one or more targets on a grid of time, with covariates.

``reading.py`` makes series of tables, ``features.py`` makes tensors of series.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from elman.tasks.series.times import Clocks, Floats, Step, shown, times_after

#: numbers, or the names of categories
Covariate = Floats | NDArray[np.object_]


def spread(column: Covariate, places: NDArray[np.int64], count: int) -> Covariate:
    """A column on a grid of ``count`` steps, missing where ``places`` does not lead."""
    if column.dtype == object:
        names = np.full(count, "", object)
        names[places] = column
        return names
    found = np.full(count, np.nan)
    found[places] = column
    return found


@dataclass(frozen=True, eq=False)
class Series:
    """The values and covariates of one group.

    ``values`` (time, target) is NaN where a value is missing; ``times`` and the covariates may
    continue into the future.  ``static`` values are constant.
    """

    file: str
    name: str
    targets: tuple[str, ...]
    step: Step
    #: whether the times lie on the grid of ``step``
    regular: bool
    times: Floats
    values: Floats
    known: dict[str, Covariate] = field(default_factory=dict)
    past: dict[str, Covariate] = field(default_factory=dict)
    static: dict[str, float | str] = field(default_factory=dict)
    #: the label of each step, "" where there is none
    labels: NDArray[np.object_] | None = None
    #: the zone of the clocks, where the times are UTC
    zone: str = ""

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"Series({self.name!r}, {len(self)} steps)"

    @cached_property
    def digest(self) -> str:
        """What identifies the times and values."""
        digest = hashlib.sha256(self.times[: len(self)].tobytes() + self.values.tobytes())
        for covariate in (*self.known.values(), *self.past.values()):
            digest.update(repr(covariate.tolist()).encode())
        if self.labels is not None:
            digest.update(repr(self.labels.tolist()).encode())
        return f"{self.name} {digest.hexdigest()}"

    def until(self, end: int) -> Series:
        """The first ``end`` steps, without anything later."""
        known, past = [
            {name: column[:end] for name, column in group.items()}
            for group in (self.known, self.past)
        ]
        labels = None if self.labels is None else self.labels[:end]
        return replace(
            self, times=self.times[:end], values=self.values[:end], known=known, past=past,
            labels=labels,
        )  # fmt: skip

    @property
    def label(self) -> str:
        """The label of the whole series: the first there is, or ""."""
        return "" if self.labels is None else next((each for each in self.labels if each), "")

    def times_until(self, end: int) -> Floats:
        """The times of the first ``end`` steps, continued on the grid."""
        if end <= len(self.times):
            return self.times[:end]
        last = float(self.times[-1])
        return np.concatenate([self.times, times_after(last, self.step, end - len(self.times))])

    def clock(self, end: int) -> Floats:
        """The times of the first ``end`` steps by the local clocks."""
        times = self.times_until(end)
        return Clocks(self.zone).local(times) if self.zone else times

    def dates(self, start: int, end: int) -> list[str]:
        """The times of these steps as text, by the local clocks."""
        times = self.times_until(end)[start:]
        return shown(Clocks(self.zone).local(times) if self.zone else times, self.step)


@dataclass(frozen=True, eq=False)
class Window:
    """A series, and the step from which it is forecast; a training example.

    Without ``origin`` it is the whole series, of which ``cut`` makes windows and backtests score
    the steps from ``first`` on.
    """

    series: Series
    horizon: int
    stride: int
    origin: int | None = None
    first: int = 0

    @property
    def end(self) -> int:
        """The number of steps that are known to the forecast."""
        return max(0, len(self.series) - self.horizon) if self.origin is None else self.origin

    @property
    def whole(self) -> bool:
        """Whether the series is read as a whole, without a forecast."""
        return self.horizon == 0

    def at(self, origin: int) -> Window:
        """The same series, forecast from another step."""
        return replace(self, origin=origin)

    def training_origins(self, longest: int) -> list[int]:
        """Where training windows end: as many steps of past as there are, but for the first."""
        last = len(self.series) - self.horizon
        first = min(longest, max(1, (last + 1) // 2))
        origins = [*range(last, first - 1, -self.stride)][::-1]
        return [origin for origin in origins if self._has_values(origin)]

    def origins(self, longest: int, most: int = 0) -> list[int]:
        """Where forecasts of a backtest begin, a horizon apart, the last ones if ``most`` is given.

        They forecast steps from ``first`` on, or else leave ``longest`` steps of past, or half.
        """
        last = len(self.series) - self.horizon
        first = self.first or min(longest, max(1, (last + 1) // 2))
        found = [*range(last, max(0, first - 1), -self.horizon)][::-1] or [max(1, last)]
        found = [origin for origin in found if self._has_values(origin)]
        return found[-most:] if most else found

    def _has_values(self, origin: int) -> bool:
        values = self.series.values
        ahead = values[origin : origin + self.horizon]
        return bool(np.isfinite(values[:origin]).any() and np.isfinite(ahead).any())
