"""Generate the loop over time that an experienced user would write by hand, for any cell.

``fair_loop(cell).source`` is the step as Python source, with the usual optimisations: one product
with x for all steps, including the biases; one product for all gates with the same operand,
accumulated with ``torch.addmm``; constants as plain numbers.  ``benchmarks/jax_scan.py`` runs the
same step under ``jax.lax.scan``.  This is a rival, not an engine: the library differentiates it.
Of a cell with side inputs or computed matrices this is the loop of its core
(``passes/separate.py``); ``matrix_loop.py`` is for cells with a matrix state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from elman.graph import Cell
from elman.graph.node import OPERATIONS, Node, Size, ancestors, name_of
from elman.graph.ops import LAYER_NORM_EPSILON
from elman.graph.sizes import Block, Sizes
from elman.passes import hoist, simplify
from elman.torch_mathematics import TorchMathematics

Step = Callable[..., tuple[Any, ...]]

_SIGNS = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "greater": ">", "at_least": ">=",
}  # fmt: skip


@dataclass(frozen=True)
class Leaf:
    """A parameter of the loop: stacked blocks of the cell's parameters."""

    name: str
    #: a parameter's key and its columns; ``None`` for a vector
    blocks: tuple[tuple[str, Block | None], ...]

    def stack(self, parameters: Mapping[str, Tensor], sizes: Sizes) -> Tensor:
        """Compute the leaf from the parameters by key; differentiable."""
        parts = [
            parameters[key] if block is None else parameters[key][:, sizes.columns(block)]
            for key, block in self.blocks
        ]
        return torch.cat(parts)


@dataclass(frozen=True)
class FairLoop:
    """A loop over time: ``source`` defines ``step``, ``leaves`` are its parameters.

    ``step`` takes the pieces of the product with x (``pieces`` are the sizes in each), then x if
    ``reads_input``, the side inputs, the states, and the remaining leaves with matrices transposed.
    The first ``hoisted`` leaves belong to the product with x.  It returns the next states.
    """

    cell: Cell
    source: str
    leaves: tuple[Leaf, ...]
    hoisted: int
    pieces: tuple[tuple[Size, ...], ...]
    reads_input: bool

    def stack(self, parameters: Mapping[str, Tensor], sizes: Sizes) -> list[Tensor]:
        """Compute the leaves from the cell's parameters by key; differentiable."""
        return [leaf.stack(parameters, sizes) for leaf in self.leaves]

    def step(self, functions: Mapping[str, Any], sizes: Sizes) -> Step:
        """``step`` with a library's functions: operations by name, ``addmm``, ``split`` ..."""
        widths = {"H": sizes.hidden, **{_width(name): number for name, number in sizes.own}}
        return step_of(self.source, self.cell, {**functions, **widths})

    def in_torch(self, sizes: Sizes) -> Callable[..., Tensor]:
        """The loop in torch, which computes y from x (time, batch, input) and the leaves.

        The cell's side inputs, (time, batch, size), are its second argument.
        """
        step, widths = self.step(TORCH, sizes), [sizes.width(piece) for piece in self.pieces]
        of_states = [sizes.width((leaf.size,)) for leaf in self.cell.state_leaves]

        def run(x: Tensor, sides: Sequence[Tensor], *leaves: Tensor) -> Tensor:
            read: list[Tensor] = []
            if self.hoisted:
                weight, *bias = leaves[: self.hoisted]
                products = torch.nn.functional.linear(x, weight, *bias)
                read += products.split(widths, -1) if len(widths) > 1 else [products]
            if self.reads_input:
                read.append(x)
            read += sides
            rest = [leaf.t() if leaf.dim() == 2 else leaf for leaf in leaves[self.hoisted :]]
            states = tuple([x.new_zeros(x.shape[1], width) for width in of_states])
            outputs = []
            # x[t] in the loop would make backward O(time²)
            for at_step in zip(*[part.unbind(0) for part in read], strict=True):
                states = step(*at_step, *states, *rest)
                outputs.append(states[0])
            return torch.stack(outputs)

        return run


def step_of(source: str, cell: Cell, space: Mapping[str, Any]) -> Step:
    """The function ``step`` that generated source defines."""
    names = dict(space)
    # these modules generated the source from a graph; it contains no user input
    exec(compile(source, f"<fair loop of {cell.name}>", "exec"), names)
    found: Step = names["step"]
    return found


def operation(node: Node, values: Sequence[str]) -> str:
    """An operation on values as Python source."""
    if node.operation in _SIGNS:
        return f"({values[0]} {_SIGNS[node.operation]} {values[1]})"
    if node.operation == "negate":
        return f"(-{values[0]})"
    return f"{node.operation}({', '.join(values)})"


def _width(size: Size) -> str:
    """The variable, or the number, that is a size."""
    return "H" if size == "hidden" else size if size.isdecimal() else f"n_{size}"


@lru_cache(maxsize=64)
def fair_loop(cell: Cell) -> FairLoop:
    """The loop of a cell.

    >>> from elman.cells import coupled_lstm
    >>> print(fair_loop(coupled_lstm).source)
    def step(p_fgo, s_h, s_c, U_fgo):
        a_fgo = addmm(p_fgo, s_h, U_fgo)
        a_f, a_g, a_o = split(a_fgo, [H, H, H], 1)
        t1 = sigmoid(a_f)
        t2 = ((t1 * s_c) + ((1.0 - t1) * tanh(a_g)))
        t3 = (sigmoid(a_o) * tanh(t2))
        return (t3, t2,)
    """
    return _Writer(cell).write()


@dataclass(eq=False)
class _Gate:
    """A sum of products: the product with each operand, a bias, and other terms."""

    label: str
    place: int
    size: Size
    products: dict[Node, Node]
    bias: Node | None
    others: list[Node]
    #: the operands whose products have not been added yet
    waiting: list[Node] = field(default_factory=list)


@dataclass(eq=False)
class _Buffer:
    """A variable with the concatenated values of several gates."""

    name: str
    gates: list[_Gate]


class _Writer:
    """Writes the step, with each value on first use."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.roots = hoist(simplify(cell.next_states)).roots
        self.nodes = ancestors(self.roots)
        self.uses = Counter([o for node in self.nodes for o in node.operands])
        self.uses.update(self.roots)
        self.gates = self._find_gates()
        self.ordered, self.groups = self._order()
        self.lines: list[str] = []
        self.leaves: list[Leaf] = []
        self.names: dict[Node, str] = {}
        self.buffers: dict[_Gate, _Buffer] = {}
        self.temporaries = 0
        self.reads_input = False

    def write(self) -> FairLoop:
        pieces = self._hoist_products_with_x()
        hoisted = len(self.leaves)
        results = [self._row(root) for root in self.roots]
        reads_input = self.reads_input or not (pieces or self.cell.inputs)
        arguments = [piece.name for piece in pieces] + ["x"] * reads_input
        arguments += [f"i_{name}" for name, _ in self.cell.inputs]
        arguments += [f"s_{state}" for state in self.cell.states]
        arguments += [leaf.name for leaf in self.leaves[hoisted:]]
        lines = [f"def step({', '.join(arguments)}):", *self.lines]
        lines.append(f"return ({', '.join(results)},)")
        return FairLoop(
            cell=self.cell,
            source="\n    ".join(lines),
            leaves=tuple(self.leaves),
            hoisted=hoisted,
            pieces=tuple([tuple([gate.size for gate in piece.gates]) for piece in pieces]),
            reads_input=reads_input,
        )

    def _row(self, root: Node) -> str:
        """A value with a row per sequence, also if it depends only on parameters."""
        value = self._value(root)
        varies = any([node.operation in {"input", "side", "state"} for node in ancestors([root])])
        return value if varies else f"expand({value}, s_{self.cell.states[0]})"

    def _find_gates(self) -> dict[Node, _Gate]:
        gates: dict[Node, _Gate] = {}
        inside: set[Node] = set()
        for node in reversed(self.nodes):
            if node in inside or node.operation not in {"add", "block_product"}:
                continue
            terms = self._terms(node, inside)
            products: dict[Node, Node] = {}
            for term in terms:
                once = term is node or self.uses[term] == 1
                if term.operation == "block_product" and once:
                    products.setdefault(term.operands[1], term)
            if products:
                others = [term for term in terms if term not in set(products.values())]
                bias = next((term for term in others if term.operation == "vector"), None)
                inside |= set(products.values())
                letter = next(iter(products.values())).operands[0].attribute[1]
                before = [gate.label for gate in gates.values() if gate.label.startswith(letter)]
                label = f"{letter}{len(before) + 1}" if before else letter
                place = self.cell.gates.index(letter)
                gates[node] = _Gate(label, place, node.size, products, bias, others)
        return gates

    def _terms(self, node: Node, inside: set[Node]) -> list[Node]:
        """The terms of a sum; adds the partial sums that only it uses to ``inside``."""
        if node.operation != "add":
            return [node]
        found: list[Node] = []
        for operand in node.operands:
            if operand.operation == "add" and self.uses[operand] == 1:
                inside.add(operand)
                found += self._terms(operand, inside)
            else:
                found.append(operand)
        return found

    def _order(self) -> tuple[list[_Gate], dict[Node, list[_Gate]]]:
        """All gates, ordered so that those with a common operand are adjacent, and by operand."""
        sizes = Counter([operand for gate in self.gates.values() for operand in gate.products])
        position = {node: k for k, node in enumerate(self.nodes)}
        # states first, those with most gates before others; then computed operands, in order
        states = [o for o in sizes if o.operation == "state"]
        later = [o for o in sizes if o.operation not in {"state", "input"}]
        operands = sorted(states, key=lambda o: (-sizes[o], position[o]))
        operands += sorted(later, key=lambda o: position[o])
        ordered = sorted(
            self.gates.values(),
            key=lambda gate: ([o not in gate.products for o in operands], gate.place),
        )
        for gate in ordered:
            gate.waiting = [operand for operand in operands if operand in gate.products]
        return ordered, {o: [gate for gate in ordered if o in gate.products] for o in operands}

    def _hoist_products_with_x(self) -> list[_Buffer]:
        """One product with x for all steps, split into the pieces that the loop needs."""
        found = {
            gate: operand
            for gate in self.ordered
            for operand in gate.products
            if operand.operation == "input"
        }
        if not found:
            return []
        gates = list(found)
        self._leaf("W_x", [gate.products[operand] for gate, operand in found.items()])
        if all([gate.bias is not None for gate in gates]):
            self._leaf("b_x", [self._take_bias(gate) for gate in gates])
        return self._cut(gates, "p")

    def _cut(self, gates: Sequence[_Gate], letter: str) -> list[_Buffer]:
        """Keep neighbours with the same remaining operands together; split finished gates."""
        parts: list[list[_Gate]] = []
        for gate in gates:
            if parts and gate.waiting and gate.waiting == parts[-1][-1].waiting:
                parts[-1].append(gate)
            else:
                parts.append([gate])
        if letter == "p":  # also keep gates with the same next operand together
            parts = self._joined(parts)
        buffers = [_Buffer(f"{letter}_{_labels(part)}", part) for part in parts]
        for buffer in buffers:
            self.buffers.update(dict.fromkeys(buffer.gates, buffer))
        return buffers

    def _joined(self, parts: list[list[_Gate]]) -> list[list[_Gate]]:
        joined: list[list[_Gate]] = []
        for part in parts:
            following = part[0].waiting[:1]
            if joined and following and joined[-1][0].waiting[:1] == following:
                joined[-1] += part
            else:
                joined.append(list(part))
        return joined

    def _value(self, node: Node) -> str:
        """A variable or expression with the value, after writing its operands."""
        if node in self.names:
            return self.names[node]
        if node.operation == "constant":
            return repr(node.attribute)
        if node.operation == "input":
            self.reads_input = True
            return "x"
        if node.operation == "state":
            return f"s_{name_of(node)}"
        if node.operation == "side":
            return f"i_{node.attribute[0]}"
        if node.operation == "vector":
            self.names[node] = self._leaf("w_" + "_".join(node.attribute[:2]), [node])
        elif node in self.gates:
            value = self._gate(self.gates[node])
            self.names[node] = value if value.isidentifier() else self._named(value)
        else:
            value = operation(node, [self._value(operand) for operand in node.operands])
            if self.uses[node] == 1 and node not in self.roots:
                return value
            self.names[node] = self._named(value)
        return self.names[node]

    def _named(self, value: str) -> str:
        self.temporaries += 1
        self.lines.append(f"t{self.temporaries} = {value}")
        return f"t{self.temporaries}"

    def _gate(self, gate: _Gate) -> str:
        while gate.waiting:
            self._add_products(gate.waiting[0])
        buffer = self.buffers[gate]
        if len(buffer.gates) > 1:
            self._split(buffer)
        value = self.buffers[gate].name
        for term in gate.others:
            value = f"({value} + {self._value(term)})"
        return value

    def _add_products(self, operand: Node) -> None:
        """Add the products of one operand to all its gates, with as few calls as possible."""
        gates = self.groups[operand]
        for gate in gates:
            while gate.waiting[0] is not operand:
                self._add_products(gate.waiting[0])
        vector = self._row(operand)
        if not vector.isidentifier():
            vector = self.names[operand] = self._named(vector)
        for buffer in dict.fromkeys([b for g in gates if (b := self.buffers.get(g)) is not None]):
            if any([gate not in gates for gate in buffer.gates]):
                self._split(buffer)
        runs: dict[Any, list[_Gate]] = {}
        for gate in gates:
            runs.setdefault(self.buffers.get(gate, gate.bias is not None), []).append(gate)
        for start, run in runs.items():
            matrix = self._leaf(f"U_{_labels(run)}", [gate.products[operand] for gate in run])
            if isinstance(start, _Buffer):
                right = f"addmm({start.name}, {vector}, {matrix})"
            elif start:
                bias = self._leaf(f"b_{_labels(run)}", [self._take_bias(gate) for gate in run])
                right = f"addmm({bias}, {vector}, {matrix})"
            else:
                right = f"mm({vector}, {matrix})"
            sums = _Buffer(f"a_{_labels(run)}", run)
            self.lines.append(f"{sums.name} = {right}")
            self.buffers.update(dict.fromkeys(run, sums))
        for gate in gates:
            gate.waiting.remove(operand)

    def _split(self, buffer: _Buffer) -> None:
        parts = self._cut(buffer.gates, buffer.name[0])
        if len(parts) == 1:
            return
        widths = ", ".join([_sum_of_widths([gate.size for gate in p.gates]) for p in parts])
        names = ", ".join([part.name for part in parts])
        self.lines.append(f"{names} = split({buffer.name}, [{widths}], 1)")

    def _take_bias(self, gate: _Gate) -> Node:
        assert gate.bias is not None
        gate.others.remove(gate.bias)
        return gate.bias

    def _leaf(self, name: str, nodes: Sequence[Node]) -> str:
        """A new leaf from vectors, or from the matrix blocks of products."""
        while name in [leaf.name for leaf in self.leaves]:
            name += "_"
        blocks = []
        for node in nodes:
            product = node.operation == "block_product"
            leaf = node.operands[0] if product else node
            blocks.append((".".join(leaf.attribute[:2]), node.attribute if product else None))
        self.leaves.append(Leaf(name, tuple(blocks)))
        return name


def _sum_of_widths(sizes: Sequence[Size]) -> str:
    counts = Counter([_width(size) for size in sizes])
    return " + ".join([w if count == 1 else f"{count} * {w}" for w, count in counts.items()])


def _labels(gates: Sequence[_Gate]) -> str:
    labels = [gate.label for gate in gates]
    return "".join(labels) if max(map(len, labels)) == 1 else "_".join(labels)


def _with_numbers(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Any, Any], Tensor]:
    """Accept plain numbers, which torch.maximum and torch.minimum do not, in the other's type."""

    def accept(a: Any, b: Any) -> Tensor:
        like = next((each.dtype for each in (a, b) if isinstance(each, Tensor)), None)
        return function(torch.as_tensor(a, dtype=like), torch.as_tensor(b, dtype=like))

    return accept


#: the functions of a step, in torch
TORCH: dict[str, Any] = {
    name: getattr(TorchMathematics, name)
    for name in OPERATIONS
    if hasattr(TorchMathematics, name) and name not in _SIGNS
} | {
    "maximum": _with_numbers(torch.maximum),
    "minimum": _with_numbers(torch.minimum),
    "layer_norm": lambda a: torch.layer_norm(a, a.shape[-1:], None, None, LAYER_NORM_EPSILON),
    "expand": lambda a, like: a.expand(len(like), -1),
    "addmm": torch.addmm,
    "mm": torch.mm,
    "split": torch.split_with_sizes,
}
