"""The diagnosis of one layer in one direction: arrays, and statistics of them.

The statistics are medians, the memory horizon and the rate of decay of the gradient.
``examination.py`` computes a ``Diagnosis``; ``comparison.py`` compares several.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.diagnose.gates import Gate, Units
from elman.diagnose.jacobian import Jacobians
from elman.graph import Cell

Numbers = NDArray[np.float64]

#: the memory horizon is where the gradient falls below this fraction of its initial norm
TENTH = 0.1
#: a step explodes if the norm of the gradient grows by more than this factor
EXPLODING = 2.0


@dataclass(frozen=True)
class Exploding:
    """A step back in time, counted from 0, that multiplies a gradient's norm by ``factor``."""

    sequence: int
    step: int
    factor: float


@dataclass(frozen=True)
class Diagnosis:
    """One layer in one direction on some sequences.

    ``gradient`` has, for each state, the norm of ∂L⟨t⟩/∂state⟨t-k⟩ as (distance, loss): the row is
    the distance k from 0 on, the column a loss, at step ``steps`` of sequence ``sequences``; NaN
    before a sequence's start.  Norms are relative to that of ∂L⟨t⟩/∂y⟨t⟩.

    ``terms`` has, for each parameter, the norm of each distance's contribution to its gradient,
    over all losses, (distance,).  ``gates``, ``units`` and ``jacobians`` are as in ``Gate``,
    ``Units`` and ``Jacobians``; ``jacobians`` is ``None`` if not requested.
    """

    name: str
    cell: Cell
    gradient: Mapping[str, Numbers]
    steps: NDArray[np.int64]
    sequences: NDArray[np.int64]
    terms: Mapping[str, Numbers]
    gates: tuple[Gate, ...]
    units: Mapping[str, Units]
    jacobians: Jacobians | None

    @property
    def distance(self) -> int:
        """The largest distance."""
        return len(next(iter(self.gradient.values()))) - 1

    @cached_property
    def whole(self) -> Numbers:
        """The norm of the gradient of all states as one vector, (distance, loss)."""
        return np.sqrt(sum([np.square(values) for values in self.gradient.values()]))

    def median(self, state: str | None = None) -> Numbers:
        """The median over losses at each distance, of one state or of all states as one vector."""
        return np.nanmedian(self.whole if state is None else self.gradient[state], axis=1)

    def horizon(self, state: str | None = None) -> int:
        """The number of steps over which the gradient stays above a tenth of its initial norm.

        It starts at distance 0 for the output, and at distance 1 for other states.  If it never
        falls below a tenth, the result is ``distance``.
        """
        values = self.median(state)
        begun = np.flatnonzero(values > 0)
        if not len(begun):
            return 0
        below = np.flatnonzero(values[begun[0] :] < TENTH * values[begun[0]])
        return int(begun[0] + below[0] - 1) if len(below) else self.distance

    @cached_property
    def rate(self) -> float:
        """The factor of the gradient's norm per step back, by least squares on its logarithm."""
        values = self.median()
        used = np.flatnonzero((values > 1e-200) & np.isfinite(values))
        if len(used) < 2:
            return 0.0
        slope = np.polyfit(used, np.log(values[used]), 1)[0]
        return float(np.exp(slope))

    @property
    def half_life(self) -> float:
        """The number of steps in which the gradient halves; negative if it doubles."""
        if self.rate in (0, 1):
            return math.inf if self.rate else 0.0
        return math.log(0.5) / math.log(self.rate)

    def below(self, part: float) -> int | None:
        """The distance from which the gradient stays below the fraction ``part`` of its start."""
        values = self.median()
        above = np.flatnonzero(~(values < part * values[0]))
        first = int(above[-1]) + 1 if len(above) else 0
        return first if first <= self.distance else None

    @cached_property
    def exploding(self) -> tuple[Exploding, ...]:
        """The steps in which a gradient more than doubles, worst first, without repetition."""
        with np.errstate(divide="ignore", invalid="ignore"):
            factors = self.whole[1:] / self.whole[:-1]
        worst: dict[tuple[int, int], float] = {}
        for k, loss in np.argwhere(np.isfinite(factors) & (factors > EXPLODING)):
            place = int(self.sequences[loss]), int(self.steps[loss] - k)
            worst[place] = max(worst.get(place, 0.0), float(factors[k, loss]))
        ordered = sorted(worst.items(), key=lambda item: -item[1])
        return tuple([Exploding(*place, factor) for place, factor in ordered])

    def record(self) -> dict[str, Any]:
        """The figures as a JSON object; arrays by distance are medians."""
        jacobians = self.jacobians
        found: dict[str, Any] = {
            "cell": self.cell.name,
            "states": {
                state: {"gradient": _plain(self.median(state)), "horizon": self.horizon(state)}
                for state in self.gradient
            },
            "gradient": _plain(self.median()),
            "horizon": self.horizon(),
            "rate": _plain(self.rate),
            "half_life": _plain(self.half_life),
            "terms": {key: _plain(values) for key, values in self.terms.items()},
            "gates": {
                gate.name: {
                    "kind": gate.kind,
                    "mean": _plain(gate.mean.mean()),
                    "low": _plain(gate.low.mean()),
                    "high": _plain(gate.high.mean()),
                    "units": {
                        "mean": _plain(gate.mean),
                        "low": _plain(gate.low),
                        "high": _plain(gate.high),
                    },
                }
                for gate in self.gates
            },
            "dead": {state: units.dead.tolist() for state, units in self.units.items()},
            "frozen": {state: units.frozen.tolist() for state, units in self.units.items()},
            "exploding": [
                {"sequence": each.sequence, "step": each.step, "factor": _plain(each.factor)}
                for each in self.exploding[:20]
            ],
            "exploding_steps": len(self.exploding),
        }
        if jacobians is not None:
            found["jacobians"] = {
                "distances": jacobians.distances.tolist(),
                "largest": _plain(np.nanmedian(jacobians.largest, 1)),
                "smallest": _plain(np.nanmedian(jacobians.smallest, 1)),
                "steps": jacobians.steps.tolist(),
                "spectral_radius": _plain(np.nanmedian(jacobians.spectral_radius, 1)),
            }
        return found


def _plain(value: Any) -> Any:
    """Numbers for JSON with four significant digits; NaN and infinity become null."""
    if isinstance(value, np.ndarray):
        return [_plain(each) for each in value.tolist()]
    value = float(value)
    return float(f"{value:.4g}") if math.isfinite(value) else None
