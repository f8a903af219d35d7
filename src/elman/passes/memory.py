"""Separate the steps of a matrix state from everything that needs no state.

Matrices multiply x and what is computed from it, but no state, so their products are computed for
all steps at once.  What is left is the ``core``: arithmetic on states of units, keys and heads,
which an engine runs step by step.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import lru_cache

from elman.graph import Cell, read_cell
from elman.graph.node import OPERATIONS, Node, ancestors, intern, sum_of
from elman.graph.ops import CONDITIONS
from elman.graph.sizes import contains
from elman.passes.simplify import simplify


@dataclass(frozen=True, eq=False)
class MemoryParts:
    """``early`` has the value of each side input of ``core``; those in ``fixed`` never vary."""

    core: Cell
    early: tuple[Node, ...]
    fixed: tuple[bool, ...]


@lru_cache(maxsize=256)
def memory_parts(text: str, *, all_inside: bool = False) -> MemoryParts:
    """The core of the cell with this text, which has a matrix state.

    With ``all_inside``, the core computes everything but products and what never varies, which is
    best for a single step.

    >>> from elman.graph import cell, outer, sigmoid
    >>> @cell(sizes={"S": "memory", "W.k": "key", "W.q": "key", "a.s": "head"})
    ... def retention(x, y, S, *, W, a):
    ...     "RetNet (Sun et al. 2023)."
    ...     S = sigmoid(a.s) * S + outer(W.v @ x, W.k @ x)
    ...     return S @ (W.q @ x), S
    >>> parts = memory_parts(retention.text)
    >>> print(parts.core)
    S' = v_1 * S + outer(v_2, v_3)
    y' = S' · v_4
    >>> [size for _, size in parts.core.inputs], parts.fixed
    (['head', 'hidden', 'key', 'key'], (True, False, False, False))
    """
    cell = read_cell(text)
    needy: set[Node] = set()
    varying: set[Node] = set()
    for node in cell.nodes:
        if node.operation in ("input", "side") or not varying.isdisjoint(node.operands):
            varying.add(node)
        # a matrix for each step would take much memory, so it is computed step by step
        inside = node.size == "memory" or (all_inside and node.size in ("hidden", "key", "head"))
        inside = inside and node in varying and node.operation != "side"
        depends = not needy.isdisjoint(node.operands) or inside
        if node.operation == "state" or (depends and node.operation != "product"):
            needy.add(node)
    taken = {cell.input, *cell.states, *cell.names.values()}
    names = (name for k in itertools.count(1) if (name := f"v_{k}") not in taken)
    leaves: dict[Node, Node] = {}

    def given(node: Node, new: dict[Node, Node]) -> Node:
        """A value as the core reads it."""
        if node in needy:
            return new[node]
        if node.operation == "constant":
            return node
        if node.operation in CONDITIONS:  # no memory holds conditions
            operands = tuple([given(operand, new) for operand in node.operands])
            return intern(node.operation, operands, node.attribute)
        if node not in leaves:
            size = "head" if node.size == "one" else node.size
            leaves[node] = intern("side", (), (next(names), size))
        return leaves[node]

    new: dict[Node, Node] = {}
    for node in cell.nodes:
        if node in needy:
            operands = tuple([given(operand, new) for operand in node.operands])
            new[node] = intern(node.operation, operands, node.attribute)
    next_states = tuple([given(node, new) for node in cell.next_states])
    inside_core = {*ancestors(next_states)}
    # what only a product reads is not computed here
    leaves = {node: leaf for node, leaf in leaves.items() if leaf in inside_core}
    named = {new[node]: name for node, name in cell.names.items() if node in needy}
    core = replace(
        cell,
        next_states=next_states,
        parameters=(),
        gates=(),
        names={node: name for node, name in named.items() if node in inside_core},
        init={},
        inputs=tuple([leaf.attribute for leaf in leaves.values()]),
    )
    return MemoryParts(core, tuple(leaves), tuple([node not in varying for node in leaves]))


@dataclass(frozen=True, eq=False)
class MemoryGradient:
    """The adjoint of a core's step.

    ``seeds`` are dL/d(next states), which ``states`` and ``sides`` depend on: dL/d(states) and
    dL/d(side inputs), of their sizes; ``None`` for what only decides.
    """

    seeds: tuple[Node, ...]
    states: tuple[Node | None, ...]
    sides: tuple[Node | None, ...]


@lru_cache(maxsize=256)
def memory_gradient(text: str) -> MemoryGradient:
    """The adjoint of the core with this text.

    >>> from elman.graph import cell, outer
    >>> from elman.graph.show import expression
    >>> @cell(sizes={"S": "memory", "W.k": "key"})
    ... def adding(x, y, S, *, W):
    ...     S = S + outer(W.v @ x, W.k @ x)
    ...     return S @ (W.k @ x), S
    >>> gradient = memory_gradient(memory_parts(adding.text).core.text)
    >>> expression(gradient.states[1])
    '∂L/∂S + outer(∂L/∂y, v_2)'
    """
    core = read_cell(text)
    seeds = tuple([intern("adjoint", (), (s, core.state_size(s))) for s in core.states])
    contributions: dict[Node, list[Node]] = {}
    for node, seed in zip(core.next_states, seeds, strict=True):
        contributions.setdefault(node, []).append(seed)
    adjoints: dict[Node, Node] = {}
    for node in reversed(core.nodes):
        if node not in contributions or node.size == "one":
            continue
        g = sum_of([_fitting(term, node) for term in contributions.pop(node)])
        adjoints[node] = g
        if not node.operands:
            continue
        rule = OPERATIONS[node.operation].derivative
        assert rule is not None, f"{node.operation} has no derivative"
        for operand, term in zip(node.operands, rule(g, node, node.operands), strict=True):
            if term is not None and operand.operation != "constant":
                contributions.setdefault(operand, []).append(term)
    leaves = [*core.state_leaves, *[intern("side", (), side) for side in core.inputs]]
    wanted = [leaf for leaf in leaves if leaf in adjoints]
    simple = dict(zip(wanted, simplify([adjoints[leaf] for leaf in wanted]), strict=True))
    count = len(core.states)
    found = [simple.get(leaf) for leaf in leaves]
    return MemoryGradient(seeds, tuple(found[:count]), tuple(found[count:]))


def _fitting(term: Node, node: Node) -> Node:
    """A term of an adjoint in the size of the value: summed where the value is repeated."""
    if term.size == node.size:
        return term
    if contains(node.size, term.size):
        return intern("repeated", (term,), node.size)
    if term.size == "memory":
        if node.size == "key":
            return intern("unit_sum", (term,), "key")
        term = intern("key_sum", (term,), "hidden")
        if node.size == "hidden":
            return term
    assert node.size == "head", f"an adjoint of size {term.size} for a value of size {node.size}"
    return intern("head_sum", (term,), None)
