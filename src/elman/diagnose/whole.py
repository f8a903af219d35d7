"""A run in float64 of a layer with side inputs, a matrix state or sizes, differentiated by torch.

``trajectory.py`` is the same for all other cells, by the adjoint step that Elman derives.  Here, a
step computes everything from x, side inputs and states, so that gradients reach every parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from elman.diagnose.trajectory import Trajectory, in_reverse
from elman.graph import Cell
from elman.graph.node import Node
from elman.graph.ops import SATURATING
from elman.nn.early_steps import EarlyStep, steps_of, value_of
from elman.nn.matrix_states import value_with_axes
from elman.nn.stack import Stack

#: a step's loss, and the parameters that it depends on
Graph = tuple[Tensor, Sequence[Tensor]]


@dataclass(frozen=True)
class WholeTrajectory:
    """The states of all steps, with the members that ``Trajectory`` has.

    ``states`` are (time + 1, batch, values of a row).  ``x`` and ``sides`` are (time, batch, size).
    """

    stack: Stack
    parameters: Sequence[Tensor]
    x: Tensor
    sides: Mapping[str, Tensor]
    states: tuple[Tensor, ...]
    values: Mapping[Node, Tensor]
    lengths: Tensor

    @property
    def cell(self) -> Cell:
        """The cell of this run."""
        return self.stack.in_evaluation

    @property
    def time(self) -> int:
        """The number of steps."""
        return self.x.shape[0]

    @property
    def batch(self) -> int:
        """The number of sequences."""
        return self.x.shape[1]

    @property
    def hidden_size(self) -> int:
        """The number of units of the output."""
        return self.stack.output_units

    def running(self) -> Tensor:
        """(time * batch,): whether a row is within its sequence's length."""
        return (torch.arange(self.time)[:, None] < self.lengths[None, :]).reshape(-1)

    def planned(self, node: Node) -> Node:
        """The node of ``values`` that has a node's value."""
        return node

    def step_back(self, rows: Tensor, adjoints: Sequence[Tensor]) -> tuple[list[Tensor], Graph]:
        """dL/d(states before the steps ``rows``) from dL/d(states after them).

        ``adjoints`` are (rows, values of a row) for each state.
        """
        with torch.enable_grad():
            parameters = [p.detach().requires_grad_() for p in self.parameters]
            before = [_rows(s[:-1])[rows].requires_grad_() for s in self.states]
            sides = {name: _rows(side)[rows] for name, side in self.sides.items()}
            after = _step(self.stack, parameters, _rows(self.x)[rows], sides, before)
            terms = [(a * b).sum() for a, b in zip(after, adjoints, strict=True)]
            loss = torch.stack(terms).sum()
        return _gradients(loss, before), (loss, parameters)

    def parameter_gradients(self, values: Any) -> list[Tensor]:
        """The gradients of the parameters, from what ``step_back`` returned beside the states'."""
        return _gradients(*values)


AnyTrajectory = Trajectory | WholeTrajectory


def _gradients(loss: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    if not (leaves and loss.requires_grad):
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(
        loss, leaves, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return [*found]


def _rows(tensor: Tensor) -> Tensor:
    """(time, batch, size) as (time * batch, size)."""
    return tensor.reshape(-1, tensor.shape[-1])


def _step(
    stack: Stack,
    parameters: Sequence[Tensor],
    x: Tensor,
    sides: Mapping[str, Tensor],
    states: Sequence[Tensor],
) -> list[Tensor]:
    """The next states (rows, values) of x (rows, input)."""
    sizes = stack.sizes(x.shape[-1])
    shapes = [sizes.of_row(stack.cell.state_size(name)) for name in stack.cell.states]
    given = [state.reshape(len(x), *shape) for state, shape in zip(states, shapes, strict=True)]
    each = {name: side.unsqueeze(0) for name, side in sides.items()}
    _, after = stack.run_direction(0, parameters, x.unsqueeze(0), given, None, False, None, each)
    return [state.reshape(len(x), -1) for state in after]


@torch.no_grad()
def run_whole(
    stack: Stack,
    parameters: Sequence[Tensor],
    x: Tensor,
    sides: Mapping[str, Tensor],
    states: Sequence[Tensor],
    lengths: Tensor,
    *,
    reverse: bool,
) -> WholeTrajectory:
    """Run one layer in one direction over x (time, batch, input) from ``states``, in float64.

    ``sides`` are (time, batch, size).
    """
    stack = replace(stack, backend="reference", truncate=None)
    if reverse:
        x = in_reverse(x, lengths)
        sides = {name: in_reverse(side, lengths) for name, side in sides.items()}
    visited = [[state.reshape(x.shape[1], -1)] for state in states]
    for t in range(len(x)):
        own = {name: side[t] for name, side in sides.items()}
        after = _step(stack, parameters, x[t], own, [steps[-1] for steps in visited])
        for steps, state in zip(visited, after, strict=True):
            steps.append(state)
    stacked = tuple([torch.stack(steps) for steps in visited])
    flat = {name: _rows(side) for name, side in sides.items()}
    values = _gates(stack, parameters, _rows(x), flat, [_rows(s[:-1]) for s in stacked])
    return WholeTrajectory(stack, parameters, x, sides, stacked, values, lengths)


def _gates(
    stack: Stack,
    parameters: Sequence[Tensor],
    x: Tensor,
    sides: Mapping[str, Tensor],
    states: Sequence[Tensor],
) -> dict[Node, Tensor]:
    """The values (rows, units) of the functions that saturate."""
    cell, sizes = stack.in_evaluation, stack.sizes(x.shape[-1])
    given = dict(zip(cell.state_leaves, states, strict=True))

    def value(node: Node, step: EarlyStep) -> Tensor:
        if cell.has_memory:
            if node in given:
                return given[node].reshape(-1, *sizes.axes(node.size))
            return value_with_axes(step, values, {"x": x, **sides}, parameters, sizes)
        return given[node] if node in given else value_of(step, values, x, sides, parameters, sizes)

    values: list[Tensor] = []
    found: dict[Node, Tensor] = {}
    for node, step in zip(cell.nodes, steps_of(cell, cell.nodes), strict=True):
        values.append(value(node, step))
        if node.operation in SATURATING and len(values[-1]) == len(x):
            found[node] = values[-1].reshape(len(x), -1)
    return found
