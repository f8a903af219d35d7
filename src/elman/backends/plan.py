"""A cell prepared for every engine: its reordered step and the adjoint step.

Each engine decides when to compute each value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from elman.graph import Cell, read_cell
from elman.graph.node import Node, ancestors
from elman.graph.verify import problems
from elman.passes import Gradient, differentiate, hoist, simplify


@dataclass(frozen=True, eq=False)
class Plan:
    """A cell and the results of the passes.

    ``next_states`` computes the cell's next states, reordered so that work that needs no state
    comes first; ``hoisted`` holds that work.  ``gradient`` is the adjoint step.
    """

    cell: Cell
    next_states: tuple[Node, ...]
    hoisted: frozenset[Node]
    gradient: Gradient


@lru_cache(maxsize=256)
def plan_of(text: str) -> Plan:
    """The plan of the cell with this text (``Cell.text``), cached."""
    return make_plan(read_cell(text))


def make_plan(cell: Cell) -> Plan:
    """Run the passes.

    >>> from elman.cells import gru
    >>> [node.operation for node in make_plan(gru).hoisted].count("block_product")
    3
    """
    hoisted = hoist(simplify(cell.next_states))
    gradient = differentiate(cell.state_leaves, hoisted.roots)
    assert not list(problems(ancestors([*hoisted.roots, *gradient.roots])))
    return Plan(cell, hoisted.roots, hoisted.before, gradient)
