"""What a layer's gates and units do on given sequences: open, shut, dead, frozen.

A gate is any sigmoid, tanh or rectifier of the cell's equations, whatever its author calls it.
Saturated is a sigmoid below 0.1 or above 0.9 (Karpathy, Johnson and Li 2015), and a tanh as close
to its ends: there its derivative is small, and what makes it up hardly learns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.diagnose.trajectory import Trajectory
from elman.graph.node import Node
from elman.graph.ops import SATURATING
from elman.graph.show import expression, labels
from elman.passes import hoist, simplify

#: below the first, or above the second, a gate counts as saturated: a tenth of its range from an
#: end, where it has two
ENDS = {
    name: (low + (high - low) / 10, high - (high - low) / 10) if np.isfinite(high) else (low, high)
    for name, (low, high) in SATURATING.items()
}
#: a unit is frozen if it varies by less than this part of what its layer's values amount to
FROZEN = 1e-3

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Gate:
    """A sigmoid, tanh or rectifier of the equations, over all steps of all sequences.

    ``mean`` is each unit's mean value, ``low`` and ``high`` the shares of steps at which it is at
    the lower and the upper end; a rectifier's lower end is 0, and it has no upper.
    """

    name: str
    kind: str
    mean: Numbers
    low: Numbers
    high: Numbers


@dataclass(frozen=True)
class Units:
    """A state's units over all steps of all sequences: mean, standard deviation, and who is out.

    ``dead`` units are always zero, ``frozen`` ones have some other value that does not change.
    """

    mean: Numbers
    deviation: Numbers
    dead: NDArray[np.int64]
    frozen: NDArray[np.int64]


def gates_of(trajectory: Trajectory) -> tuple[Gate, ...]:
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


def _gate_nodes(trajectory: Trajectory) -> dict[Node, str]:
    """The values of the plan that are gates, with the names that the equations give them."""
    cell = trajectory.cell
    called = labels(cell)
    found: dict[Node, str] = {}
    for node in [*called, *cell.nodes]:
        if node.operation in ENDS:
            # a pass of its own for each, as the plan's own passes leave it
            *_, planned = hoist(simplify([*cell.next_states, node])).roots
            if planned in trajectory.values and trajectory.values[planned].dim() == 2:
                found.setdefault(planned, called.get(node) or expression(node, cell))
    return found


def units_of(trajectory: Trajectory) -> dict[str, Units]:
    """What the units of each state do, by the state's name."""
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
