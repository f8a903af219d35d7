"""A layer's run over sequences in float64, with every value of every step at hand.

The numbers come from the cell's own graph by the reference engine, and so do the derivatives:
``step_back`` runs the adjoint step (``passes/gradient.py``) on any of the steps, with any adjoints
of the next states.  What is made of it is in ``flow.py`` and ``jacobian.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from elman.backends.plan import Plan, plan_of
from elman.backends.reference.interpreter import INPUT, Interpreter, Values
from elman.graph import Cell
from elman.graph.node import intern
from elman.graph.sizes import Sizes


@dataclass(frozen=True)
class Trajectory:
    """The values of all steps: row ``t * batch + b`` is step t of sequence b, both from 0.

    ``states`` are (time + 1, batch, hidden) for each state: the one at [t] enters step t, the one
    at [t + 1] leaves it.  Steps past a sequence's length are run too, and mean nothing.
    """

    plan: Plan
    engine: Interpreter
    states: tuple[Tensor, ...]
    values: Values
    lengths: Tensor

    @property
    def cell(self) -> Cell:
        """The cell whose run this is."""
        return self.plan.cell

    @property
    def time(self) -> int:
        """How many steps there are."""
        return self.states[0].shape[0] - 1

    @property
    def batch(self) -> int:
        """How many sequences there are."""
        return self.states[0].shape[1]

    @property
    def hidden_size(self) -> int:
        """How many units each state has."""
        return self.states[0].shape[2]

    @cached_property
    def _adjoint_step(self) -> list[Callable[[Values], None]]:
        return self.engine.compile((*self.engine.schedule.back, *self.engine.schedule.after))

    def running(self) -> Tensor:
        """(time * batch,): whether a row lies within its sequence's length."""
        return (torch.arange(self.time)[:, None] < self.lengths[None, :]).reshape(-1)

    def step_back(self, rows: Tensor, adjoints: Sequence[Tensor]) -> tuple[list[Tensor], Values]:
        """dL/d(states that enter the steps ``rows``) from dL/d(states that leave them).

        ``adjoints`` are (rows, hidden) for each state.  All values of the adjoint step come too.
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

    # once more on the rows of all steps together, to have every value and not the states alone
    for node, state in zip(nodes, stacked, strict=True):
        whole[node] = state[:-1].reshape(time * batch, sizes.hidden)
    for instruction in program:
        instruction(whole)
    return Trajectory(plan, engine, stacked, whole, lengths)


def in_reverse(x: Tensor, lengths: Tensor) -> Tensor:
    """x (time, batch, ...) with each sequence's own steps from last to first.

    >>> in_reverse(torch.tensor([[1, 5], [2, 6], [3, 0]]), torch.tensor([3, 2]))
    tensor([[3, 6],
            [2, 5],
            [1, 0]])
    """
    steps = torch.arange(len(x))[:, None]
    places = torch.where(steps < lengths, lengths - 1 - steps, steps)
    places = places.reshape(*places.shape, *[1] * (x.dim() - 2)).expand_as(x)
    return x.gather(0, places)
