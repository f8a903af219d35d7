"""Statistics of a layer's gates and units on given sequences: saturated, dead, frozen.

A gate is any sigmoid, tanh or ReLU of the cell's equations.  A sigmoid is saturated below 0.1 or
above 0.9 (Karpathy, Johnson and Li 2015), a tanh equally close to the ends of its range: there the
derivative is small, and the weights before it hardly learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.diagnose.whole import AnyTrajectory
from elman.graph.node import Node
from elman.graph.ops import SATURATING
from elman.graph.show import expression, labels

#: a gate is saturated below the first or above the second value: within a tenth of its range from
#: an end, if both ends are finite
ENDS = {
    name: (low + (high - low) / 10, high - (high - low) / 10) if np.isfinite(high) else (low, high)
    for name, (low, high) in SATURATING.items()
}
#: a unit is frozen if its standard deviation is below this fraction of the layer's RMS value
FROZEN = 1e-3

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Gate:
    """A sigmoid, tanh or ReLU of the equations, over all steps of all sequences.

    ``mean`` is each unit's mean value, ``low`` and ``high`` the fractions of steps at which it is
    saturated at the lower and the upper end; the lower end of a ReLU is 0, and it has no upper end.
    """

    name: str
    kind: str
    mean: Numbers
    low: Numbers
    high: Numbers


@dataclass(frozen=True)
class Units:
    """A state's units over all steps of all sequences: mean, standard deviation, dead and frozen.

    ``dead`` units are always zero; ``frozen`` units have another value that does not change.
    """

    mean: Numbers
    deviation: Numbers
    dead: NDArray[np.int64]
    frozen: NDArray[np.int64]


def gates_of(trajectory: AnyTrajectory) -> tuple[Gate, ...]:
    """The statistics of every gate, in the order of the equations."""
    running = trajectory.running()
    found = []
    for node, name in _gate_nodes(trajectory).items():
        values = trajectory.values[node][running].numpy()
        low, high = ENDS[node.operation]
        found.append(
            Gate(
                name=name,
                kind=node.operation,
                mean=values.mean(0),
                low=(values <= low).mean(0),
                high=(values >= high).mean(0),
            )
        )
    return tuple(found)


def _gate_nodes(trajectory: AnyTrajectory) -> dict[Node, str]:
    """The values of the plan that are gates, with their names in the equations."""
    cell = trajectory.cell
    called = labels(cell)
    found: dict[Node, str] = {}
    for node in [*called, *cell.nodes]:
        if node.operation in ENDS:
            planned = trajectory.planned(node)
            if planned in trajectory.values and trajectory.values[planned].dim() == 2:
                found.setdefault(planned, called.get(node) or expression(node, cell))
    return found


def units_of(trajectory: AnyTrajectory) -> dict[str, Units]:
    """The statistics of each state's units, by the state's name."""
    running = trajectory.running()
    found = {}
    for name, state in zip(trajectory.cell.states, trajectory.states, strict=True):
        values = state[1:].reshape(len(running), -1)[running].numpy()
        deviation, largest = values.std(0), np.abs(values).max(0)
        still = deviation < FROZEN * np.sqrt(np.square(values).mean())
        found[name] = Units(
            mean=values.mean(0),
            deviation=deviation,
            dead=np.flatnonzero(largest == 0),
            frozen=np.flatnonzero(still & (largest > 0)),
        )
    return found
