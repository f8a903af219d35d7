"""Separate what no engine needs to know from the recurrent step.

Engines know one kind of side input, a value of a state's size at each step, and matrices that are
parameters.  This pass splits a cell in two.  ``early`` are the values that need a side input, but
no state, up to the last product; they are computed for all steps at once, outside the engine.
The ``core`` is a cell that takes these values as its side inputs, and the matrices that the cell
computes from parameters as its parameters.  What has one value for a whole row has as many as it
meets in the core: parameters of size one are repeated.  So side inputs of any size, products with
them, vectors of the input's size and functions of matrices need nothing from an engine.  Products
with x alone stay in the core, which hoists them (``hoist.py``).

With ``join``, so do products with side inputs where all have the same: the core's x is then these
values side by side, which needs them in one tensor, but an engine multiplies faster than torch.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from elman.graph import Cell, read_cell
from elman.graph.cell import Parameter
from elman.graph.node import Node, Size, ancestors, intern, rows_of, sum_of
from elman.graph.ops import CONDITIONS, PRODUCTS
from elman.graph.rewrite import moved, rewrite
from elman.graph.sizes import Block, Sizes, columns_of, is_own_size

#: the operands of a matrix, by their positions in the order written
Positions = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """A parameter of the core: a parameter of the cell, or a matrix computed from them.

    ``blocks`` are the columns of a matrix that the core multiplies; ``None`` for all.
    """

    value: Node
    blocks: tuple[Block, ...] | None


@dataclass(frozen=True, eq=False)
class Separated:
    """``early`` has the value of each side input of ``core``; ``parts`` are its parameters.

    The core's x is the cell's, or the values ``joined`` side by side if there are any.
    """

    core: Cell
    early: tuple[Node, ...]
    parts: tuple[Part, ...]
    joined: tuple[Node, ...] = ()

    def sizes_of_core(self, sizes: Sizes) -> Sizes:
        """The sizes of the core of a cell with these sizes."""
        width = sizes.width(tuple([node.size for node in self.joined]))
        return replace(sizes, input=width) if self.joined else sizes


@lru_cache(maxsize=256)
def separated(text: str, *, ahead: bool = True, join: bool = False) -> Separated | None:
    """The two parts of the cell with this text; ``None`` if its step needs no separation.

    With ``ahead``, products of size one that need no state are early values; the core would
    compute them for each unit.  ``join`` as in the module's docstring.
    """
    cell = read_cell(text)
    foreign = any(
        [_is_early_leaf(n) or is_computed_matrix(n) or _is_of_size_one(n) for n in cell.nodes]
    )
    # noise can leave inputs that no next state reads, such as zoneout with the rate 1
    return separate(cell, ahead=ahead, join=join) if foreign or cell.inputs else None


def needs_inputs(text: str) -> bool:
    """Whether a step of the cell with this text needs more than x, its parameters and vectors.

    That is side inputs, vectors of x's size, or a matrix state.

    >>> from elman.cells import cfc, gru
    >>> needs_inputs(gru.text), needs_inputs(cfc.text)
    (False, True)
    """
    if read_cell(text).has_memory:
        return True
    parts = separated(text, ahead=False)
    return parts is not None and bool(parts.early)


def is_of_units(text: str) -> bool:
    """Whether a step of the cell with this text reads x and values of hidden size alone.

    >>> from elman.cells import cfc, gru, lstmp
    >>> is_of_units(gru.text), is_of_units(cfc.text), is_of_units(lstmp.text)
    (True, False, False)
    """
    cell = read_cell(text)
    numbers = [p for p in cell.parameters if any([s.isdecimal() for s in (*p.columns, p.rows)])]
    return not (needs_inputs(text) or cell.sizes or cell.own_sizes or numbers)


@lru_cache(maxsize=256)
def is_core(text: str) -> bool:
    """Whether an engine can run the cell with this text: its early values are its side inputs.

    >>> from elman.cells import cfc, gru
    >>> is_core(gru.text), is_core(cfc.text), is_core(separate(cfc).core.text)
    (True, False, True)
    """
    if read_cell(text).has_memory:
        return False
    parts = separated(text)
    if parts is None:
        return True
    plain = all(
        [
            node.operation == "side" and (node.size == "hidden" or is_own_size(node.size))
            for node in parts.early
        ]
    )
    return plain and not any([part.value.operands for part in parts.parts])


def separate(cell: Cell, *, ahead: bool = True, join: bool = False) -> Separated:
    """Split a cell into what needs side inputs, but no state, and the rest.

    >>> from elman import cell as traced, exp, tanh
    >>> @traced(inputs={"dt": "one", "u": "input"})
    ... def example(x, h, dt, u, *, W, b, p):
    ...     return tanh(W.h @ [exp(-dt * p.h) * h, x, u] + b.h)
    >>> parts = separate(example)
    >>> print(parts.core)
    h' = tanh(W.h · [exp(v_1 * p.h) * h, x] + b.h + v_2)
    >>> from elman.graph.show import expression
    >>> [expression(value) for value in parts.early]
    ['-dt', 'W.h · u']
    >>> parts = separate(example, join=True)
    >>> print(parts.core)
    h' = tanh(W.h · [exp(v_1 * p.h) * h, x] + b.h)
    >>> [expression(value) for value in parts.joined]
    ['x', 'u']
    """
    return _Separation(cell, ahead, join).run()


def without_states(nodes: Iterable[Node], *, ahead: bool = False) -> tuple[set[Node], set[Node]]:
    """The nodes that need neither a state nor a mask; and those of them that need a side input.

    ``ahead`` counts products of size one among the latter.
    """
    free: set[Node] = set()
    early: set[Node] = set()
    for node in nodes:
        if node.operation in {"state", "mask"} or not free.issuperset(node.operands):
            continue
        free.add(node)
        one = ahead and node.operation == "product" and node.size == "one"
        if _is_early_leaf(node) or one or not early.isdisjoint(node.operands):
            early.add(node)  # a computed matrix alone makes no value early
    return free, early


def _is_early_leaf(node: Node) -> bool:
    """Whether no engine knows a leaf: side inputs, and vectors of the size of x."""
    return node.operation == "side" or (node.operation == "vector" and node.size == "input")


def _is_of_size_one(node: Node) -> bool:
    """Whether a learned value, or a product of the step, is one for all units of a row."""
    return node.size == "one" and node.operation in {"vector", "product"}


def first_leaf(matrix: Node) -> Node:
    """The parameter from which a matrix is computed, or the first of them."""
    return next(node for node in ancestors([matrix]) if node.operation == "matrix")


def is_computed_matrix(node: Node) -> bool:
    """Whether a node is a matrix that is computed from parameters."""
    return node.size == "matrix" and bool(node.operands)


def free_gate(gate: str, taken: set[str]) -> str:
    """The name of a gate, with a number if it is taken."""
    names = (gate if number == 1 else f"{gate}_{number}" for number in itertools.count(1))
    return next(name for name in names if name not in taken)


class _Separation:
    def __init__(self, cell: Cell, ahead: bool, join: bool) -> None:
        self.cell, self.ahead, self.join = cell, ahead, join
        #: the core's matrices, by that of the cell, and the positions and sizes of the operands
        self.matrices: dict[tuple[Node, Positions, tuple[Size, ...]], Parameter] = {}
        #: the core's vectors, each by a value of size one that is repeated
        self.vectors: dict[Node, Parameter] = {}
        self.leaves: dict[tuple[Node, Size], Node] = {}
        names = {name for name, _ in cell.inputs}
        self.taken = {cell.input, *cell.states, *cell.names.values()} - names

    def run(self) -> Separated:
        cell = self.cell
        begun, names = self._spread_all()
        self.free, early = without_states(ancestors(begun), ahead=self.ahead)
        self.joined = self._shared_operands(ancestors(begun), early) if self.join else ()
        split = rewrite(begun, lambda node, new: self._split(node, new, early))
        following = tuple([split[node] for node in begun])
        inside = ancestors(following)
        self.early = self._beyond_engines(inside)
        self.uses = Counter([operand for node in inside for operand in node.operands])
        self.uses.update(following)
        adds = [node for node in inside if node.operation == "add" and node not in self.early]
        #: partial sums, whose terms a larger sum takes
        self.partial = {o for node in adds for o in node.operands if self._is_partial(o)}
        late = rewrite(following, self._late)
        next_states = tuple(
            [
                self._given(node, late, leaf.size)
                for node, leaf in zip(following, cell.state_leaves, strict=True)
            ]
        )
        kept = [(o, late[n]) for o, n in split.items() if n in late and n not in self.early]
        named = {new: names[old] for old, new in kept if old in names}
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
        return Separated(core, tuple([node for node, _ in self.leaves]), parts, self.joined)

    def _shared_operands(self, nodes: Iterable[Node], early: set[Node]) -> tuple[Node, ...]:
        """The operands without states that most products with side inputs have; or none.

        No other product of the core may need x, which the core does not have then.
        """
        found = {node: self._operands_without_states(node) for node in nodes}
        counts = Counter([each for each in found.values() if not early.isdisjoint(each)])
        chosen = max(counts, key=counts.__getitem__, default=())
        for node, operands in found.items():
            if node not in early and operands != chosen and not early.issuperset(operands):
                return ()
        return chosen

    def _operands_without_states(self, node: Node) -> tuple[Node, ...]:
        if node.operation != "product" or node.size == "one":
            return ()
        return tuple([operand for operand in node.operands[1:] if operand in self.free])

    def _beyond_engines(self, nodes: Iterable[Node]) -> set[Node]:
        """What needs a side input, but no state, and is not elementwise over units.

        No engine can compute it; the core computes the rest, which saves passes over memory.
        """
        _, early = without_states(nodes, ahead=self.ahead)
        return {
            node
            for node in early
            if not node.operands
            or node.operation in PRODUCTS
            or node.size in {"one", "input", "matrix"}
        }

    def _spread_all(self) -> tuple[tuple[Node, ...], Mapping[Node, str]]:
        """The next states without late values of size one, and the names of what replaced others.

        Such a value is computed for all units that it meets, from parameters that are repeated.
        """
        cell = self.cell
        if not any(map(_is_of_size_one, cell.nodes)):
            return cell.next_states, cell.names
        early = self._beyond_engines(cell.nodes)
        made: dict[tuple[Node, Size], Node] = {}

        def spread(node: Node, context: Size) -> Node:
            size = context if node.size == "one" else node.size
            if (node, size) not in made:
                made[node, size] = change(node, size)
            return made[node, size]

        def change(node: Node, size: Size) -> Node:
            if node in early or node.size == "matrix":
                return node
            if node.operation == "vector" and node.size == "one":
                return intern("repeat", (node,), size)
            if node.operation != "product":
                operands = tuple([spread(operand, size) for operand in node.operands])
                return intern(node.operation, operands, node.attribute) if operands else node
            matrix, *factors = node.operands
            if node.size == "one":
                matrix = intern("repeat", (matrix,), size)
            factors = [spread(factor, factor.size) for factor in factors]
            return intern("product", (matrix, *factors), None if size == "hidden" else size)

        pairs = zip(cell.next_states, cell.state_leaves, strict=True)
        following = tuple([spread(node, leaf.size) for node, leaf in pairs])
        names: dict[Node, str] = {}
        for (old, size), new in made.items():
            if old in cell.names:
                name = cell.names[old]
                names[new] = f"{name}_{size}" if name in names.values() else name
        return following, names

    def _split(self, node: Node, new: Mapping[Node, Node], early: set[Node]) -> Node:
        """A product of early and other values as a sum of two, or with the core's x.

        What the core does not multiply reads the cell's own values: those of the core have its x
        and its matrices.
        """
        if node.operation != "product":
            return moved(node, new)
        is_joined = self.joined and self._operands_without_states(node) == self.joined
        if node in early and not is_joined:
            return node
        matrix, *vectors = node.operands
        sizes = tuple([vector.size for vector in vectors])
        if is_joined:
            others = [k for k, vector in enumerate(vectors) if vector not in self.free]
            within = [k for k, vector in enumerate(vectors) if vector in self.free]
            place = within[0]  # all before are others
            order = (*others[:place], *within, *others[place:])
            own_sizes = [sizes[k] for k in others]
            own_sizes.insert(place, "input")
            own = self._own_matrix(matrix, order, tuple(own_sizes))
            factors = [new[vectors[k]] for k in others]
            factors.insert(place, intern("input", (), None))
            return intern("product", (own.leaf, *factors), node.attribute)
        kept = tuple([k for k, vector in enumerate(vectors) if vector not in early])
        own = self._own_matrix(matrix, kept, tuple([sizes[k] for k in kept]))
        factors = [new[vectors[k]] for k in kept]
        terms = [intern("product", (own.leaf, *factors), node.attribute)]
        for k, block in enumerate(columns_of(sizes, node.attribute)):
            if k not in kept:
                terms.append(intern("block_product", (matrix, vectors[k]), block))
        return sum_of(terms)

    def _own_matrix(self, matrix: Node, kept: Positions, columns: tuple[Size, ...]) -> Parameter:
        """The core's matrix with the columns that multiply these operands, of these sizes.

        Where the core multiplies others elsewhere, or computes several matrices from one, they have
        different names.
        """
        key = (matrix, kept, columns)
        if key not in self.matrices:
            family, gate = first_leaf(matrix).attribute[:2]
            taken = {p.gate for p in self.matrices.values() if p.family == family}
            if any([first_leaf(m).attribute[:2] == (family, gate) for m, *_ in self.matrices]):
                taken |= {p.gate for p in self.cell.parameters if p.family == family}
            name = free_gate(gate, taken)
            rows = matrix.attribute if matrix.operation == "repeat" else rows_of(matrix)
            self.matrices[key] = Parameter(family, name, "matrix", columns, rows=rows or "hidden")
        return self.matrices[key]

    def _own_vector(self, value: Node) -> Parameter:
        """The core's vector that repeats a value of size one."""
        if value not in self.vectors:
            family, gate, _ = value.operands[0].attribute
            others = [*self.cell.parameters, *self.vectors.values()]
            own = {p.gate for p in self.vectors.values() if p.family == family}
            taken = {p.gate for p in others if p.family == family} - {gate} | own
            name = free_gate(gate, taken)
            columns = () if value.size == "hidden" else (value.size,)
            self.vectors[value] = Parameter(family, name, "vector", columns)
        return self.vectors[value]

    def _late(self, node: Node, new: Mapping[Node, Node]) -> Node:
        """The replacement of a value in the core; early values stay as they are."""
        if node in self.early or node in self.partial:
            return node
        if node.operation == "repeat":
            return self._own_vector(node).leaf
        if node.operation == "add":
            return self._sum(node, new)
        operands = tuple([self._given(operand, new, node.size) for operand in node.operands])
        return intern(node.operation, operands, node.attribute)

    def _sum(self, node: Node, new: Mapping[Node, Node]) -> Node:
        """A sum whose early terms are one side input."""
        terms = self._terms(node)
        early = [term for term in terms if term in self.early]
        late = [new[term] for term in terms if term not in self.early]
        return sum_of([*late, self._leaf(sum_of(early), node.size)] if early else late)

    def _terms(self, node: Node) -> list[Node]:
        """The terms of a sum; a partial sum that is also used elsewhere stays one term."""
        found: list[Node] = []
        for operand in node.operands:
            found.extend(self._terms(operand) if operand in self.partial else [operand])
        return found

    def _is_partial(self, node: Node) -> bool:
        return node.operation == "add" and self.uses[node] == 1 and node not in self.early

    def _given(self, node: Node, new: Mapping[Node, Node], size: Size) -> Node:
        """A value as the core reads it, for a result of this size."""
        if node not in self.early:
            return new[node]
        if node.operation in CONDITIONS:  # no memory holds conditions
            operands = tuple([self._given(operand, new, size) for operand in node.operands])
            return intern(node.operation, operands, node.attribute)
        return self._leaf(node, size)

    def _leaf(self, node: Node, context: Size) -> Node:
        """The side input of the core that has an early value, for a result of this size."""
        size = next((s for s in (node.size, context) if s not in ("one", "input")), "hidden")
        if (node, size) not in self.leaves:
            number = len(self.leaves) + 1
            name = node.attribute[0] if node.operation == "side" else f"v_{number}"
            while name in self.taken:
                number += 1
                name = f"v_{number}"
            self.taken.add(name)
            self.leaves[node, size] = intern("side", (), (name, size))
        return self.leaves[node, size]

    def _parameters(self, nodes: set[Node]) -> tuple[tuple[Parameter, ...], tuple[Part, ...]]:
        """The core's parameters, and where they are in the cell's."""
        read = {n for n in nodes if n.operation in ("vector", "matrix")}
        found: list[tuple[Parameter, Part]] = []
        for p in self.cell.parameters:
            if p.kind == "vector":
                found.append((p, Part(p.leaf, None)))
                own_vectors = [v for v in self.vectors if v.operands[0] is p.leaf]
                found += [(self.vectors[value], Part(value, None)) for value in own_vectors]
                continue
            for (matrix, kept, _), own in self.matrices.items():
                if first_leaf(matrix) is p.leaf:
                    blocks = columns_of(p.columns, p.rows)
                    whole = kept == tuple(range(len(blocks)))
                    kept_blocks = None if whole else tuple([blocks[k] for k in kept])
                    found.append((own, Part(matrix, kept_blocks)))
        found = [(p, part) for p, part in found if p.leaf in read]
        return tuple([p for p, _ in found]), tuple([part for _, part in found])
