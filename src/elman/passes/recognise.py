"""Which of ONNX's recurrent operators computes a cell, seen from its equations alone.

A cell's name means nothing here: whoever writes an LSTM by himself, in whatever order, gets
ONNX's ``LSTM``.  A cell that is none of them is ``None``.  The exporter of ONNX uses the operators,
and so does the engine that runs torch's kernels, which compute the usual ones.

ONNX: gates i o f c and z r h; z weighs the old value; with ``input_forget`` the gate i is kept
and f = 1 - i; peepholes i o f, of which o sees the new memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeVar

from elman.graph import Cell, read_cell
from elman.graph.node import Node, intern
from elman.graph.sizes import Block, Sizes
from elman.passes.sums import Blocked, Factor, Product, Sum, Sums, TooLarge

#: activations of the language that ONNX's operators have, by ONNX's names
ACTIVATIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}
USUAL = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}

INPUT = intern("input", (), None)
#: the family and gate of a parameter
Key = tuple[str, str]
#: an array of NumPy or a tensor of torch
Array = TypeVar("Array", bound=Any)


@dataclass(frozen=True)
class Gate:
    """What a gate adds up before its activation, as multiples of parameters.

    ``x`` and ``h`` are blocks of matrices that meet the input and the state, ``bias_x`` and
    ``bias_h`` vectors on either side (they differ in a GRU that resets after the product),
    ``peephole`` vectors that weigh the memory; ``None`` for a vector is the number 1.
    """

    x: tuple[tuple[float, Node, Block], ...] = ()
    h: tuple[tuple[float, Node, Block], ...] = ()
    bias_x: tuple[tuple[float, Node | None], ...] = ()
    bias_h: tuple[tuple[float, Node | None], ...] = ()
    peephole: tuple[tuple[float, Node | None], ...] = ()

    def negated(self) -> Gate:
        """The gate 1 - σ(a) of the gate σ(a), which is σ(-a)."""
        flip = {
            name: tuple([(-term[0], *term[1:]) for term in terms])
            for name, terms in vars(self).items()
        }
        return Gate(**flip)

    def matrix(self, side: str, arrays: Mapping[Key, Array], sizes: Sizes, zeros: Array) -> Array:
        """The gate's weights (hidden, input) or (hidden, hidden), added to zeros of that shape."""
        for coefficient, matrix, block in getattr(self, side):
            zeros = zeros + coefficient * arrays[matrix.attribute][:, sizes.columns(block)]
        return zeros

    def vector(self, name: str, arrays: Mapping[Key, Array], zeros: Array) -> Array:
        """A bias or a peephole (hidden,), added to zeros of that shape."""
        for coefficient, vector in getattr(self, name):
            zeros = zeros + coefficient * (1.0 if vector is None else arrays[vector.attribute])
        return zeros


@dataclass(frozen=True)
class Operator:
    """An operator of ONNX with its gates in ONNX's order, and its attributes."""

    name: str
    gates: tuple[Gate, ...]
    activations: tuple[str, ...]
    attributes: Mapping[str, int] = field(default_factory=dict)


def recognise(cell: Cell) -> Operator | None:
    """The operator of ONNX that computes what the cell computes, if there is one.

    >>> from elman.cells import coupled_lstm, gru_reset_after, peephole_lstm
    >>> recognise(gru_reset_after).name, recognise(coupled_lstm).attributes
    ('GRU', {'input_forget': 1})
    >>> recognise(peephole_lstm) is None
    True
    """
    return _recognise(cell.text)


@lru_cache(maxsize=256)
def _recognise(text: str) -> Operator | None:
    cell = read_cell(text)
    try:
        if len(cell.states) == 1:
            return _rnn(cell) or _gru(cell)
        return _lstm(cell) if len(cell.states) == 2 else None
    except TooLarge:
        return None


def _rnn(cell: Cell) -> Operator | None:
    """h' = f(W x + R h + b)"""
    sums = Sums(cell.next_states)
    outer = _alone(sums.of(cell.next_states[0]))
    h = _state(cell, 0)
    gate = None if outer is None else _gate(sums, outer, h)
    if gate is None or outer is None:
        return None
    return Operator("RNN", (gate,), (_activation(outer),))


def _lstm(cell: Cell) -> Operator | None:
    """c' = f c + i g, h' = o tanh(c'), each gate with a peephole of its own or without."""
    h, c = _state(cell, 0), _state(cell, 1)
    next_h, next_c = cell.next_states
    sums = Sums(cell.next_states)
    outer = _pair(sums.of(next_h))
    seen = [factor for factor in outer if _argument(sums, factor) == {(next_c,): 1.0}]
    if len(outer) != 2 or len(seen) != 1:
        return None
    squash = seen[0]
    (o,) = [factor for factor in outer if factor is not squash]
    roles = _memory(sums.of(next_c), c)
    if roles is None:
        return None
    f, i, g = roles
    gates = [gate for gate in (f, i) if gate is not None]
    if len({_activation(factor) for factor in (o, *gates)}) != 1 or not _activation(g):
        return None
    if len(gates) == 1 and _activation(gates[0]) != "Sigmoid":
        return None  # 1 - σ(a) is σ(-a), other activations have no such thing
    sum_o, sum_g = _gate(sums, o, h, peephole=next_c), _gate(sums, g, h)
    kept = [_gate(sums, gate, h, peephole=c) for gate in gates]
    sums_of_gates = [gate for gate in (sum_o, sum_g, *kept) if gate is not None]
    if len(sums_of_gates) != 2 + len(kept):
        return None
    sum_o, sum_g, *both = sums_of_gates
    names = tuple([_activation(factor) for factor in (o, g, squash)])
    if len(both) == 2:
        return Operator("LSTM", (both[1], sum_o, both[0], sum_g), names)
    sum_i = both[0] if f is None else both[0].negated()
    return Operator("LSTM", (sum_i, sum_o, Gate(), sum_g), names, {"input_forget": 1})


def _memory(found: Sum, c: Node) -> tuple[Factor | None, Factor | None, Factor] | None:
    """(f, i, g) of f c + i g; f or i is ``None`` where it is 1 minus the other."""
    keeping = [p for p in found if c in p]
    new = [p for p in found if c not in p]
    # f c + i g
    if len(keeping) == len(new) == 1 and _are_ones(found) and len(new[0]) == 2:
        f = _other(keeping[0], c)
        one, two = new[0]
        if f is None:
            return None
        if _activation(one) == _activation(f):
            return f, one, two
        return f, two, one
    # f c + g - f g
    if len(keeping) == 1 and found[keeping[0]] == 1 and len(new) == 2:
        f = _other(keeping[0], c)
        alone = [p for p in new if len(p) == 1 and found[p] == 1]
        both = [p for p in new if len(p) == 2 and found[p] == -1]
        if f is not None and alone and both and _other(both[0], f) is alone[0][0]:
            return f, None, alone[0][0]
    # c - i c + i g
    if found.get((c,)) == 1 and len(keeping) == 2 and len(new) == 1 and found[new[0]] == 1:
        (losing,) = [p for p in keeping if p != (c,)]
        i = _other(losing, c)
        g = None if i is None else _other(new[0], i)
        if found[losing] == -1 and i is not None and g is not None:
            return None, i, g
    return None


def _gru(cell: Cell) -> Operator | None:
    """h' = (1 - z) n + z h or z n + (1 - z) h, n with the reset before or after the product."""
    h = _state(cell, 0)
    sums = Sums(cell.next_states)
    found = sums.of(cell.next_states[0])
    alone = [p for p in found if len(p) == 1 and found[p] == 1]
    lost = [p for p in found if len(p) == 2 and found[p] == -1]
    won = [p for p in found if len(p) == 2 and found[p] == 1]
    if len(found) != 3 or not (len(alone) == len(lost) == len(won) == 1):
        return None
    z = _other(lost[0], alone[0][0])
    other = None if z is None else _other(won[0], z)
    if z is None or other is None or h not in (alone[0][0], other):
        return None
    n = other if alone[0][0] is h else alone[0][0]
    sum_z = _gate(sums, z, h)
    candidate = _candidate(sums, n, h, _activation(z))
    if sum_z is None or candidate is None:
        return None
    r, sum_n, after = candidate
    sum_r = _gate(sums, r, h)
    if sum_r is None:
        return None
    if alone[0][0] is h:  # z weighs the new value
        if _activation(z) != "Sigmoid":
            return None
        sum_z = sum_z.negated()
    names = (_activation(z), _activation(n))
    return Operator(
        "GRU", (sum_z, sum_r, sum_n), names, {"linear_before_reset": 1} if after else {}
    )


def _candidate(sums: Sums, n: Factor, h: Node, activation: str) -> tuple[Factor, Gate, bool] | None:
    """The reset gate, what n adds up, and whether the reset comes after the product."""
    argument = _argument(sums, n)
    if argument is None:
        return None
    after = {f for p in argument for f in p if len(p) == 2 and _activation(f) == activation}
    before = {
        f
        for p in argument
        if len(p) == 1 and isinstance(p[0], Blocked) and len(p[0].operand) == 2
        for f in p[0].operand
        if _activation(f) == activation
    }
    if len(before | after) != 1 or (before and after):
        return None
    (r,) = before | after
    plain: dict[Product, float] = {}
    reset: dict[Product, float] = {}
    for product, coefficient in argument.items():
        (first, *_) = product or (None,)
        if r in product and len(product) <= 2:
            reset[tuple([factor for factor in product if factor is not r])] = coefficient
        elif isinstance(first, Blocked) and len(first.operand) == 2:
            if _other(first.operand, r) is not h or len(product) != 1:
                return None
            plain[(replace(first, operand=(h,)),)] = coefficient
        else:
            plain[product] = coefficient
    if not after:
        gate = _sorted_terms(plain, h, None)
        return None if gate is None else (r, gate, False)
    outside, inside = _sorted_terms(plain, h, None), _sorted_terms(reset, h, None)
    if outside is None or inside is None or outside.h or inside.x:
        return None
    return r, Gate(outside.x, inside.h, outside.bias_x, inside.bias_x), True


def _gate(sums: Sums, factor: Factor, h: Node, peephole: Node | None = None) -> Gate | None:
    """What stands inside the activation, if it is what a gate of ONNX may add up."""
    argument = _argument(sums, factor)
    return None if argument is None else _sorted_terms(argument, h, peephole)


def _sorted_terms(argument: Sum, h: Node, peephole: Node | None) -> Gate | None:
    x: list[tuple[float, Node, Block]] = []
    from_h: list[tuple[float, Node, Block]] = []
    bias: list[tuple[float, Node | None]] = []
    seeing: list[tuple[float, Node | None]] = []
    for product, coefficient in argument.items():
        match product:
            case ():
                bias.append((coefficient, None))
            case (Blocked(matrix, block, (operand,)),) if operand is INPUT:
                x.append((coefficient, matrix, block))
            case (Blocked(matrix, block, (operand,)),) if operand is h:
                from_h.append((coefficient, matrix, block))
            case (Node(operation="vector") as vector,):
                bias.append((coefficient, vector))
            case (only,) if only is peephole:
                seeing.append((coefficient, None))
            case (_, _) if peephole in product:
                weight = _other(product, peephole)
                if not isinstance(weight, Node) or weight.operation != "vector":
                    return None
                seeing.append((coefficient, weight))
            case _:
                return None
    return Gate(tuple(x), tuple(from_h), tuple(bias), (), tuple(seeing))


def _state(cell: Cell, k: int) -> Node:
    return intern("state", (), cell.states[k])


def _activation(factor: Factor | None) -> str:
    """ONNX's name of the factor's activation; nothing if it is none that ONNX has."""
    return ACTIVATIONS.get(factor.operation, "") if isinstance(factor, Node) else ""


def _argument(sums: Sums, factor: Factor) -> Sum | None:
    """What an activation is of, as a sum."""
    if not isinstance(factor, Node) or not _activation(factor):
        return None
    return sums.inside(factor.operands[0])


def _alone(found: Sum) -> Factor | None:
    """The factor of a sum that is one factor."""
    product = next(iter(found)) if [*found.values()] == [1.0] else ()
    return product[0] if len(product) == 1 else None


def _pair(found: Sum) -> Product:
    """The two factors of a sum that is one product of two, or nothing."""
    product = next(iter(found)) if [*found.values()] == [1.0] else ()
    return product if len(product) == 2 else ()


def _are_ones(found: Sum) -> bool:
    return all([coefficient == 1 for coefficient in found.values()])


def _other(product: Product, factor: Factor | None) -> Factor | None:
    """The other factor of a product of two."""
    if len(product) != 2 or factor not in product:
        return None
    return product[1] if product[0] == factor else product[0]
