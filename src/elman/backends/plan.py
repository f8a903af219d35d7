"""What to compute when: the one description of a cell's work that every engine follows.

Forward: ``before`` on all steps at once, then ``step`` for each time step.  Backward: ``back``
for each time step from the last to the first, then ``after`` on all steps at once; a matrix's
gradient is one large product over all steps.  ``kept`` is what backward needs and forward
saves; cheap values are computed again instead.  Nothing here knows how an engine computes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from elman.graph import Cell, read_cell
from elman.graph.node import Node, ancestors
from elman.graph.ops import CHEAP, LEAVES
from elman.graph.verify import problems
from elman.passes import Gradient, PackedProduct, differentiate, hoist, pack, simplify

Schedule = tuple[Node | PackedProduct, ...]


@dataclass(frozen=True)
class Plan:
    """The work of one cell, phase by phase; see this file's first paragraph.

    ``next_states`` are the values that ``step`` hands on.  ``crossing`` are the values of
    ``back`` that ``after``, the matrices or the vectors need for all steps.
    """

    cell: Cell
    next_states: tuple[Node, ...]
    before: Schedule
    step: Schedule
    kept: tuple[Node, ...]
    gradient: Gradient
    back: Schedule
    crossing: tuple[Node, ...]
    after: Schedule

    @cached_property
    def hoisted(self) -> frozenset[Node]:
        """The values that ``before`` computes."""
        return frozenset(computed(self.before))


@lru_cache(maxsize=256)
def plan_of(text: str) -> Plan:
    """The plan of the cell with this text (``Cell.text``)."""
    return make_plan(read_cell(text))


def make_plan(cell: Cell) -> Plan:
    """Run the passes and divide the work into phases.

    >>> from elman.cells import gru
    >>> plan = make_plan(gru)
    >>> [len(item.products) for item in plan.before if isinstance(item, PackedProduct)]
    [3]
    >>> [len(item.products) for item in plan.step if isinstance(item, PackedProduct)]
    [2, 1]
    """
    hoisted = hoist(simplify(cell.next_states))
    forward = ancestors(hoisted.roots)
    gradient = differentiate(cell.states, hoisted.roots)
    roots = gradient.roots
    assert not list(problems(ancestors([*hoisted.roots, *roots])))
    kept = _keep(gradient, frozenset(forward))

    recurrent = ancestors([node for node in gradient.states if node is not None], stop=kept)
    outputs = [*roots, *[product.operand for product in gradient.products]]
    everything = ancestors(outputs, stop=kept)
    back = [node for node in recurrent if node.operands and node not in kept]
    after = [
        node for node in everything if node.operands and node not in kept and node not in set(back)
    ]
    wanted: set[Node | None] = {operand for node in after for operand in node.operands}
    wanted |= {gradient.input, *gradient.vectors.values()}
    wanted |= {
        node for product in gradient.products for node in (product.gradient, product.operand)
    }
    seeds = [node for node in gradient.seeds if node in wanted]
    return Plan(
        cell=cell,
        next_states=hoisted.roots,
        before=pack([node for node in forward if node in hoisted.before]),
        step=pack([node for node in forward if node.operands and node not in hoisted.before]),
        kept=kept,
        gradient=gradient,
        back=pack(back),
        crossing=tuple(seeds + [node for node in back if node in wanted]),
        after=pack(after),
    )


def computed(schedule: Schedule) -> Iterable[Node]:
    """The values that a schedule computes."""
    for item in schedule:
        yield from item.products if isinstance(item, PackedProduct) else (item,)


def _keep(gradient: Gradient, forward: frozenset[Node]) -> tuple[Node, ...]:
    """The forward values that forward saves for backward, states included.

    Backward uses some forward values directly.  Of those, the cheap ones whose operands are
    there anyway are computed again.
    """
    direct: dict[Node, None] = {}
    for node in ancestors(gradient.roots):
        if node not in forward:
            direct.update(dict.fromkeys([o for o in node.operands if o in forward]))
    direct.update(dict.fromkeys([product.operand for product in gradient.products]))
    given = LEAVES - {"state", "adjoint"}
    present: set[Node] = set()
    kept: list[Node] = []
    for node in [node for node in ancestors(direct) if node in direct]:
        at_hand = all([o in present or o.operation in given for o in node.operands])
        if node.operation not in given and not (node.operation in CHEAP and at_hand):
            kept.append(node)
        present.add(node)
    return tuple(kept)
