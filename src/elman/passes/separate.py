"""Separate what depends on side inputs alone from the recurrent step.

Engines know one kind of side input: a value of hidden size at each step.  This pass splits a cell
in two.  ``early`` are the values that need a side input, but no state; they can be computed for all
steps at once, outside the engine.  The ``core`` is a cell that takes these values as its side
inputs.  So side inputs of any size, products with them, and vectors of the input's size need
nothing from an engine.  Products with x alone stay in the core, which hoists them (``hoist.py``).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from elman.graph import Cell, read_cell
from elman.graph.cell import Parameter
from elman.graph.node import Node, Size, ancestors, intern, sum_of
from elman.graph.ops import CONDITIONS
from elman.graph.rewrite import moved, rewrite
from elman.graph.sizes import Block, columns_of

#: the operands of a matrix, by their positions in the order written
Positions = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """A parameter of the core: that at ``position`` in the cell.

    ``blocks`` are the columns of a matrix that the core multiplies; ``None`` for all.
    """

    position: int
    blocks: tuple[Block, ...] | None


@dataclass(frozen=True, eq=False)
class Separated:
    """``early`` has the value of each side input of ``core``; ``parts`` are its parameters."""

    core: Cell
    early: tuple[Node, ...]
    parts: tuple[Part, ...]


@lru_cache(maxsize=256)
def separated(text: str) -> Separated | None:
    """The two parts of the cell with this text; ``None`` if its step needs no separation."""
    cell = read_cell(text)
    return separate(cell) if any(map(_is_early_leaf, cell.nodes)) else None


@lru_cache(maxsize=256)
def is_core(text: str) -> bool:
    """Whether an engine can run the cell with this text: its early values are its side inputs.

    >>> from elman.cells import cfc, gru
    >>> is_core(gru.text), is_core(cfc.text), is_core(separate(cfc).core.text)
    (True, False, True)
    """
    parts = separated(text)
    if parts is None:
        return True
    return all([node.operation == "side" and node.size == "hidden" for node in parts.early])


def separate(cell: Cell) -> Separated:
    """Split a cell into what needs side inputs, but no state, and the rest.

    >>> from elman import cell as traced, exp, tanh
    >>> @traced(inputs={"dt": "one", "u": "input"})
    ... def example(x, h, dt, u, *, W, b, p):
    ...     return tanh(W.h @ [exp(-dt * p.h) * h, x, u] + b.h)
    >>> parts = separate(example)
    >>> print(parts.core)
    h' = tanh(W.h · [v_1 * h, x] + b.h + v_2)
    >>> from elman.graph.show import expression
    >>> [expression(value) for value in parts.early]
    ['exp(-dt * p.h)', 'W.h · u']
    """
    return _Separation(cell).run()


def without_states(nodes: Iterable[Node]) -> tuple[set[Node], set[Node]]:
    """The nodes that need neither a state nor a mask; and those of them that need a side input."""
    free: set[Node] = set()
    early: set[Node] = set()
    for node in nodes:
        if node.operation in {"state", "mask"} or not free.issuperset(node.operands):
            continue
        free.add(node)
        if _is_early_leaf(node) or not early.isdisjoint(node.operands):
            early.add(node)
    return free, early


def _is_early_leaf(node: Node) -> bool:
    """Whether no engine knows a leaf: side inputs, and vectors of another size than hidden."""
    return node.operation == "side" or (node.operation == "vector" and node.size != "hidden")


class _Separation:
    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        #: the core's matrices by family, gate and positions of the operands kept
        self.matrices: dict[tuple[str, str, Positions], Parameter] = {}
        self.leaves: dict[Node, Node] = {}
        names = {name for name, _ in cell.inputs}
        self.taken = {cell.input, *cell.states, *cell.names.values()} - names

    def run(self) -> Separated:
        cell = self.cell
        _, early = without_states(cell.nodes)
        split = rewrite(cell.next_states, lambda node, new: self._split(node, new, early))
        following = tuple([split[node] for node in cell.next_states])
        inside = ancestors(following)
        _, self.early = without_states(inside)
        self.uses = Counter([operand for node in inside for operand in node.operands])
        self.uses.update(following)
        adds = [node for node in inside if node.operation == "add" and node not in self.early]
        #: partial sums, whose terms a larger sum takes
        self.partial = {o for node in adds for o in node.operands if self._is_partial(o)}
        late = rewrite(following, self._late)
        next_states = tuple([self._given(node, late) for node in following])
        kept = [(old, late[new]) for old, new in split.items() if new not in self.early]
        named = {new: cell.names[old] for old, new in kept if old in cell.names}
        nodes = set(ancestors(next_states))
        parameters, parts = self._parameters(nodes)
        core = replace(
            cell,
            next_states=next_states,
            parameters=parameters,
            gates=tuple(dict.fromkeys([p.gate for p in parameters])),
            names={node: name for node, name in named.items() if node in nodes and node.operands},
            init={},
            inputs=tuple([leaf.attribute for leaf in self.leaves.values()]),
        )
        return Separated(core, tuple(self.leaves), parts)

    def _split(self, node: Node, new: Mapping[Node, Node], early: set[Node]) -> Node:
        """A product of early and other values as a sum of two."""
        if node.operation != "product" or node in early:
            return moved(node, new)
        matrix, *vectors = node.operands
        sizes = tuple([vector.size for vector in vectors])
        kept = tuple([k for k, vector in enumerate(vectors) if vector not in early])
        family, gate = matrix.attribute
        own = self._own_matrix(family, gate, kept, sizes)
        factors = [new[vectors[k]] for k in kept]
        own_matrix = intern("matrix", (), (own.family, own.gate))
        terms = [intern("product", (own_matrix, *factors), None)]
        for k, block in enumerate(columns_of(sizes)):
            if k not in kept:
                terms.append(intern("block_product", (matrix, new[vectors[k]]), block))
        return sum_of(terms)

    def _own_matrix(
        self, family: str, gate: str, kept: Positions, sizes: tuple[Size, ...]
    ) -> Parameter:
        """The core's matrix with the columns that multiply these operands.

        Where the core multiplies others elsewhere, it has two, with different names.
        """
        key = (family, gate, kept)
        if key not in self.matrices:
            taken = {p.gate for p in self.matrices.values() if p.family == family}
            if any([(f, g) == (family, gate) for f, g, _ in self.matrices]):
                taken |= {p.gate for p in self.cell.parameters if p.family == family}
            names = (gate if number == 1 else f"{gate}_{number}" for number in itertools.count(1))
            name = next(name for name in names if name not in taken)
            columns = tuple([sizes[k] for k in kept])
            self.matrices[key] = Parameter(family, name, "matrix", columns)
        return self.matrices[key]

    def _late(self, node: Node, new: Mapping[Node, Node]) -> Node:
        """The replacement of a value in the core; early values stay as they are."""
        if node in self.early or node in self.partial:
            return node
        if node.operation == "add":
            return self._sum(node, new)
        operands = tuple([self._given(operand, new) for operand in node.operands])
        return intern(node.operation, operands, node.attribute)

    def _sum(self, node: Node, new: Mapping[Node, Node]) -> Node:
        """A sum whose early terms are one side input."""
        terms = self._terms(node)
        early = [term for term in terms if term in self.early]
        late = [new[term] for term in terms if term not in self.early]
        return sum_of([*late, self._leaf(sum_of(early))] if early else late)

    def _terms(self, node: Node) -> list[Node]:
        """The terms of a sum; a partial sum that is also used elsewhere stays one term."""
        found: list[Node] = []
        for operand in node.operands:
            found.extend(self._terms(operand) if operand in self.partial else [operand])
        return found

    def _is_partial(self, node: Node) -> bool:
        return node.operation == "add" and self.uses[node] == 1 and node not in self.early

    def _given(self, node: Node, new: Mapping[Node, Node]) -> Node:
        """A value as the core reads it."""
        if node not in self.early:
            return new[node]
        if node.operation in CONDITIONS:  # no memory holds conditions
            operands = tuple([self._given(operand, new) for operand in node.operands])
            return intern(node.operation, operands, node.attribute)
        return self._leaf(node)

    def _leaf(self, node: Node) -> Node:
        """The side input of the core that has an early value."""
        if node not in self.leaves:
            number = len(self.leaves) + 1
            name = node.attribute[0] if node.operation == "side" else f"v_{number}"
            while name in self.taken:
                number += 1
                name = f"v_{number}"
            self.taken.add(name)
            self.leaves[node] = intern("side", (), (name, "hidden"))
        return self.leaves[node]

    def _parameters(self, nodes: set[Node]) -> tuple[tuple[Parameter, ...], tuple[Part, ...]]:
        """The core's parameters, and where they are in the cell's."""
        read = {(n.operation, *n.attribute) for n in nodes if n.operation in ("vector", "matrix")}
        found: list[tuple[Parameter, Part]] = []
        for position, p in enumerate(self.cell.parameters):
            if p.kind == "vector":
                found.append((p, Part(position, None)))
                continue
            for (family, gate, kept), own in self.matrices.items():
                if (family, gate) == (p.family, p.gate):
                    blocks = columns_of(p.columns)
                    whole = len(kept) == len(blocks)
                    kept_blocks = None if whole else tuple([blocks[k] for k in kept])
                    found.append((own, Part(position, kept_blocks)))
        found = [(p, part) for p, part in found if (p.kind, p.family, p.gate) in read]
        return tuple([p for p, _ in found]), tuple([part for _, part in found])
