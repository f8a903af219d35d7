"""Dropout and zoneout in a cell's equations: a cell with masks on its values, for training.

A mask is a leaf of the graph.  ``nn/noise.py`` samples its values for each step or each sequence,
and the layer passes them with the input.  So the forward pass, backward pass and kernels of a
noisy cell come from its equations, as for any other cell, and no engine implements dropout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from elman.graph import Cell
from elman.graph.node import Node, Size, ancestors, as_node, intern, name_of, state_leaf
from elman.graph.ops import CHEAP, PRODUCTS, REDUCTIONS, SATURATING
from elman.graph.rewrite import Rule, moved, rewrite
from elman.passes.separate import without_states

#: functions that can compute a candidate: those that saturate and are not gates
ACTIVATIONS = frozenset([name for name, ends in SATURATING.items() if ends != (0.0, 1.0)])


def drop_states(cell: Cell) -> Cell:
    """Variational dropout of states: one mask per sequence (Gal and Ghahramani 2016).

    The mask applies to the operands of matrix products: a state, its next value, and elementwise
    products with it, such as ``r * h`` in a GRU, get the state's mask; any other value gets that
    of the first state.  Uses outside products, such as ``f * c`` in an LSTM, and values that depend
    on side inputs and on no state, have no mask.

    >>> from elman.cells import gru
    >>> print(drop_states(gru))
    z = σ(W.z · [drop.h * h, x] + b.z)
    r = σ(W.r · [drop.h * h, x] + b.r)
    n = tanh(W.h · [drop.h * (r * h), x] + b.h)
    h' = (1 - z) * h + z * n
    """
    _, early = without_states(cell.nodes)

    def change(node: Node, new: Mapping[Node, Node]) -> Node:
        if node.operation not in PRODUCTS:
            return moved(node, new)
        matrix, *factors = node.operands
        masked = [
            _mask("drop", _state_of(cell, old), "sequence", old.size) * new[old]
            if old.size != "input" and old not in early
            else new[old]
            for old in factors
        ]
        return intern(node.operation, (matrix, *masked), node.attribute)

    return _changed(cell, change)


def drop_candidates(cell: Cell) -> Cell:
    """Dropout of the candidates: one mask per step (Semeniuta, Severyn and Barth 2016).

    It drops what would be written to the memory, never the memory itself.

    >>> from elman.cells import coupled_lstm
    >>> print(drop_candidates(coupled_lstm))
    f = σ(W.f · [h, x] + b.f)
    g = tanh(W.g · [h, x] + b.g)
    o = σ(W.o · [h, x] + b.o)
    c' = f * c + (1 - f) * (drop.g * g)
    h' = o * tanh(c')
    """
    names: dict[Node, str] = {}
    for k, node in enumerate(candidates(cell)):
        name = cell.names.get(node, f"{k}")
        names[node] = name if name not in names.values() else f"{k}"  # one mask each

    def change(node: Node, new: Mapping[Node, Node]) -> Node:
        found = [
            _mask("drop", names[old], "step", old.size) * new[old] if old in names else new[old]
            for old in node.operands
        ]
        return intern(node.operation, tuple(found), node.attribute)

    return _changed(cell, change)


def candidates(cell: Cell) -> tuple[Node, ...]:
    """The values that gates multiply: a tanh or relu of a sum of products.

    >>> from elman.cells import lstm, rnn
    >>> [lstm.names[node] for node in candidates(lstm)], candidates(rnn)
    (['g'], ())
    """
    weighed = {o for node in cell.nodes if node.operation == "multiply" for o in node.operands}
    return tuple(
        [
            node
            for node in cell.nodes
            if node.operation in ACTIVATIONS
            and node in weighed
            and node not in cell.next_states
            and node.size != "one"
            and _sums_products(node.operands[0])
        ]
    )


def zone_out(cell: Cell, rates: Mapping[str, float], *, expected: bool = False) -> Cell:
    """Zoneout: units of a state keep their old values at these rates (Krueger et al. 2017).

    In training, a mask per step selects the units; with ``expected``, the cell computes the mean,
    for evaluation.  As in the paper, the output of an LSTM uses the new memory before zoneout.

    >>> from elman.cells import rnn
    >>> print(zone_out(rnn, {"a": 0.1}))
    a_new = tanh(W.a · [a, x] + b.a)
    a' = zone.a * a + (1 - zone.a) * a_new
    >>> print(zone_out(rnn, {"a": 0.1}, expected=True))
    a_new = tanh(W.a · [a, x] + b.a)
    a' = 0.1 * a + 0.9 * a_new
    """

    def next_state(state: str, new: Node) -> Node:
        rate, old = rates.get(state, 0.0), state_leaf(state, cell.state_size(state))
        if rate == 0:
            return new
        if rate == 1:
            return old
        kept = as_node(rate) if expected else _mask("zone", state, "step", old.size)
        return kept * old + (1 - rate if expected else 1 - kept) * new

    pairs = zip(cell.states, cell.next_states, strict=True)
    following = tuple([next_state(state, new) for state, new in pairs])
    names = dict(cell.names)
    for state, old, new in zip(cell.states, cell.next_states, following, strict=True):
        if old is not new and old.operands and cell.names.get(old, state) in cell.states:
            names[old] = f"{state}_new"
    left = frozenset(ancestors(following))
    names = {node: name for node, name in names.items() if node in left}
    return replace(cell, next_states=following, names=names)


def _mask(role: str, of: str, per: Literal["step", "sequence"], size: Size) -> Node:
    return intern("mask", (), (role, of, per, *((size,) if size != "hidden" else ())))


def _changed(cell: Cell, change: Rule) -> Cell:
    """The cell with ``change`` applied to every value."""
    new = rewrite(cell.next_states, change)
    return replace(
        cell,
        next_states=tuple([new[node] for node in cell.next_states]),
        names={new[node]: name for node, name in cell.names.items() if node in new},
    )


def _state_of(cell: Cell, value: Node) -> str:
    """The state whose mask a value gets; see ``drop_states``."""
    factors = value.operands if value.operation == "multiply" else (value,)
    found = [name_of(factor) for factor in factors if factor.operation == "state"]
    if value in cell.next_states:
        found.append(cell.states[cell.next_states.index(value)])
    return found[0] if found else cell.states[0]


def _sums_products(value: Node) -> bool:
    """Whether a matrix product is among the terms and factors of a value."""
    if value.operation in PRODUCTS:
        return True
    if value.operation not in CHEAP | REDUCTIONS:
        return False
    return any([_sums_products(operand) for operand in value.operands])
