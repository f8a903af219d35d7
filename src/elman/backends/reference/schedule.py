"""The order of computation of the reference engine.

Forward: ``before`` on all steps at once, then ``step`` for each time step.  Backward: ``back``
for each time step from the last to the first, then ``after`` on all steps at once; a matrix's
gradient is one large product over all steps.  Forward saves ``saved`` for backward; cheap values
are recomputed instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from elman.backends.plan import Plan
from elman.graph.node import Node, ancestors
from elman.graph.ops import CHEAP, LEAVES
from elman.passes import Gradient, PackedProduct, pack

Instructions = tuple[Node | PackedProduct, ...]


@dataclass(frozen=True)
class Schedule:
    """The work of one cell, phase by phase; see the module's docstring.

    ``crossing`` holds the values of ``back`` that ``after`` and the parameters' gradients need for
    all steps.
    """

    before: Instructions
    step: Instructions
    saved: tuple[Node, ...]
    back: Instructions
    crossing: tuple[Node, ...]
    after: Instructions


@lru_cache(maxsize=256)
def schedule_of(plan: Plan) -> Schedule:
    """The schedule of a plan, cached.

    >>> from elman.backends.plan import make_plan
    >>> from elman.cells import gru
    >>> schedule = schedule_of(make_plan(gru))
    >>> [len(item.products) for item in schedule.before if isinstance(item, PackedProduct)]
    [3]
    >>> [len(item.products) for item in schedule.step if isinstance(item, PackedProduct)]
    [2, 1]
    """
    gradient = plan.gradient
    forward = ancestors(plan.next_states)
    roots = gradient.roots
    saved = _saved(gradient, frozenset(forward))

    recurrent = ancestors([node for node in gradient.states if node is not None], stop=saved)
    outputs = [*roots, *[product.operand for product in gradient.products]]
    everything = ancestors(outputs, stop=saved)
    back = [node for node in recurrent if node.operands and node not in saved]
    after = [
        node for node in everything if node.operands and node not in saved and node not in set(back)
    ]
    wanted: set[Node | None] = {operand for node in after for operand in node.operands}
    wanted |= {gradient.input, *gradient.sides.values(), *gradient.vectors.values()}
    wanted |= {
        node for product in gradient.products for node in (product.gradient, product.operand)
    }
    seeds = [node for node in gradient.seeds if node in wanted]
    return Schedule(
        before=pack([node for node in forward if node in plan.hoisted]),
        step=pack([node for node in forward if node.operands and node not in plan.hoisted]),
        saved=saved,
        back=pack(back),
        crossing=tuple(seeds + [node for node in back if node in wanted]),
        after=pack(after),
    )


def nodes_of(instructions: Instructions) -> list[Node]:
    """The values that instructions compute."""
    return [
        node
        for item in instructions
        for node in (item.products if isinstance(item, PackedProduct) else (item,))
    ]


def _saved(gradient: Gradient, forward: frozenset[Node]) -> tuple[Node, ...]:
    """The values that forward saves for backward, including states.

    Backward uses some forward values directly.  It recomputes cheap ones whose operands are
    available.
    """
    direct: dict[Node, None] = {}
    for node in ancestors(gradient.roots):
        if node not in forward:
            direct.update(dict.fromkeys([o for o in node.operands if o in forward]))
    direct.update(dict.fromkeys([product.operand for product in gradient.products]))
    given = LEAVES - {"state", "adjoint"}
    present: set[Node] = set()
    saved: list[Node] = []
    for node in [node for node in ancestors(direct) if node in direct]:
        at_hand = all([o in present or o.operation in given for o in node.operands])
        if node.operation not in given and not (node.operation in CHEAP and at_hand):
            saved.append(node)
        present.add(node)
    return tuple(saved)
