"""A layer's run over sequences in float64, with every value of every step recorded.

The reference engine computes values and derivatives from the cell's graph: ``step_back`` runs the
adjoint step (``passes/gradient.py``) on any of the steps, with any adjoints of the next states.
``flow.py`` and ``jacobian.py`` use it.  ``whole.py`` is the same for cells with side inputs or a
matrix state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from elman.backends.plan import Plan, plan_of
from elman.backends.reference.interpreter import INPUT, Interpreter, Values
from elman.graph import Cell
from elman.graph.node import Node, intern
from elman.graph.sizes import Sizes
from elman.passes import hoist, simplify


@dataclass(frozen=True)
class Trajectory:
    """The values of all steps: row ``t * batch + b`` is step t of sequence b, both from 0.

    ``states`` are (time + 1, batch, hidden) for each state: index t is the state before step t,
    t + 1 the state after it.  Values past a sequence's length are meaningless.
    """

    plan: Plan
    engine: Interpreter
    states: tuple[Tensor, ...]
    values: Values
    lengths: Tensor

    @property
    def cell(self) -> Cell:
        """The cell of this run."""
        return self.plan.cell

    @property
    def time(self) -> int:
        """The number of steps."""
        return self.states[0].shape[0] - 1

    @property
    def batch(self) -> int:
        """The number of sequences."""
        return self.states[0].shape[1]

    @property
    def hidden_size(self) -> int:
        """The number of units of each state."""
        return self.states[0].shape[2]

    @cached_property
    def _adjoint_step(self) -> list[Callable[[Values], None]]:
        return self.engine.compile((*self.engine.schedule.back, *self.engine.schedule.after))

    def running(self) -> Tensor:
        """(time * batch,): whether a row is within its sequence's length."""
        return (torch.arange(self.time)[:, None] < self.lengths[None, :]).reshape(-1)

    def planned(self, node: Node) -> Node:
        """The node of ``values`` that has a node's value."""
        # a separate pass for each, to get the node of the plan
        *_, found = hoist(simplify([*self.cell.next_states, node])).roots
        return found

    def parameter_gradients(self, values: Any) -> list[Tensor]:
        """The gradients of the parameters, from the values that ``step_back`` returned."""
        return self.engine.parameter_gradients(values)

    def step_back(self, rows: Tensor, adjoints: Sequence[Tensor]) -> tuple[list[Tensor], Values]:
        """dL/d(states before the steps ``rows``) from dL/d(states after them).

        ``adjoints`` are (rows, hidden) for each state.  Also returns the adjoint step's values.
        """
        gradient, count = self.plan.gradient, self.time * self.batch
        values = {
            node: value.index_select(0, rows) if value.dim() == 2 and len(value) == count else value
            for node, value in self.values.items()
        }
        values.update(zip(gradient.seeds, adjoints, strict=True))
        for instruction in self._adjoint_step:
            instruction(values)
        entering = [
            torch.zeros_like(adjoint) if node is None else values[node]
            for node, adjoint in zip(gradient.states, adjoints, strict=True)
        ]
        return entering, values


@torch.no_grad()
def run_in_float64(
    cell: Cell,
    parameters: Sequence[Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    lengths: Tensor,
) -> Trajectory:
    """Run one layer in one direction over x (time, batch, input) from ``states`` (batch, hidden).

    ``parameters`` are in the order of the cell.
    """
    plan = plan_of(cell.text)
    x = x.detach().double()
    time, batch, input_size = x.shape
    sizes = Sizes(input_size, states[0].shape[-1])
    engine = Interpreter(plan, sizes, [p.detach() for p in parameters], x)
    nodes = [intern("state", (), name) for name in cell.states]

    whole = engine.leaves() | {INPUT: x.reshape(time * batch, input_size)}
    for instruction in engine.compile(engine.schedule.before):
        instruction(whole)
    by_step = {
        node: value.reshape(time, batch, -1)
        for node, value in whole.items()
        if value.dim() == 2 and len(value) == time * batch
    }
    program, values = engine.compile(engine.schedule.step), dict(whole)
    visited = [[state.detach().double()] for state in states]
    for t in range(time):
        values.update({node: value[t] for node, value in by_step.items()})
        values.update(zip(nodes, [steps[-1] for steps in visited], strict=True))
        for instruction in program:
            instruction(values)
        for steps, node in zip(visited, plan.next_states, strict=True):
            steps.append(values[node].expand(batch, sizes.hidden))
    stacked = tuple([torch.stack(steps) for steps in visited])

    # run again on the rows of all steps at once, to get every value, not only the states
    for node, state in zip(nodes, stacked, strict=True):
        whole[node] = state[:-1].reshape(time * batch, sizes.hidden)
    for instruction in program:
        instruction(whole)
    return Trajectory(plan, engine, stacked, whole, lengths)


def in_reverse(x: Tensor, lengths: Tensor) -> Tensor:
    """x (time, batch, ...) with the steps of each sequence reversed.

    >>> in_reverse(torch.tensor([[1, 5], [2, 6], [3, 0]]), torch.tensor([3, 2]))
    tensor([[3, 6],
            [2, 5],
            [1, 0]])
    """
    steps = torch.arange(len(x))[:, None]
    places = torch.where(steps < lengths, lengths - 1 - steps, steps)
    places = places.reshape(*places.shape, *[1] * (x.dim() - 2)).expand_as(x)
    return x.gather(0, places)
