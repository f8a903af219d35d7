"""Forecasts: the quantiles of the next steps of series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.markup import escape

from elman.tasks.series.times import Floats, Step


@dataclass(frozen=True, eq=False)
class Forecast:
    """The quantiles of the next steps of one series.

    ``quantiles`` is (step, target, level).  ``times`` and ``values`` are what comes before, and the
    times go on to the end of the forecast, for a picture.
    """

    name: str
    targets: tuple[str, ...]
    dates: tuple[str, ...]
    levels: tuple[float, ...]
    quantiles: Floats
    times: Floats
    values: Floats
    step: Step

    @property
    def median(self) -> Floats:
        """(step, target): the forecast values."""
        median: Floats = self.quantiles[:, :, self.levels.index(0.5)]
        return median

    def record(self) -> dict[str, Any]:
        """The forecast as a JSON object."""
        return {
            "series": self.name,
            "times": [*self.dates],
            "forecast": {
                target: [_rounded(value) for value in self.median[:, k]]
                for k, target in enumerate(self.targets)
            },
            "quantiles": {
                target: {
                    f"{level:g}": [_rounded(value) for value in self.quantiles[:, k, at]]
                    for at, level in enumerate(self.levels)
                }
                for k, target in enumerate(self.targets)
            },
        }

    def line(self) -> str:
        """The next step in one line."""
        parts = []
        for k, target in enumerate(self.targets):
            named = f"{escape(target)} " if len(self.targets) > 1 else ""
            low, high = self.quantiles[0, k, 0], self.quantiles[0, k, -1]
            parts.append(f"{named}[bold cyan]{self.median[0, k]:.6g}[/] ({low:.6g} to {high:.6g})")
        return f"{self.dates[0]}   {'   '.join(parts)}"


@dataclass(frozen=True)
class Continuation:
    """The forecasts of all series of a file."""

    file: str
    forecasts: tuple[Forecast, ...]


def _rounded(value: float) -> float | None:
    return float(f"{value:.7g}") if np.isfinite(value) else None
