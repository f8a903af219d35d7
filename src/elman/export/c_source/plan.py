"""In which order a step is computed in C: sums of products, loops over units, whole vectors.

A matrix meets whole vectors, and so does a mean; everything else is computed unit by unit.  So a
step is cut into stages: in a loop over units, a stage computes the sums of products whose vectors
are there and then every equation that follows from them.  An LSTM is one stage, a GRU whose reset
acts before the product two.  What depends on weights only is a number, and is computed when the
file is written.  How a stage is put into C is in ``layer.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

from elman.graph import Cell
from elman.graph.node import Node, ancestors, intern
from elman.graph.ops import CONDITIONS
from elman.graph.show import labels
from elman.graph.sizes import Block
from elman.passes.lower import lower

#: sums that one loop over a vector adds to: more would not stay in the registers of a processor
MOST_SUMS = 4

INPUT = intern("input", (), None)


@dataclass(frozen=True)
class Piece:
    """A block of columns of a matrix times the whole vector that it meets."""

    matrix: tuple[str, str]
    block: Block
    vector: Node


@dataclass(frozen=True)
class Sum:
    """The value ``root`` as products, numbers that they are added to, and other addends."""

    root: Node
    pieces: tuple[Piece, ...]
    numbers: tuple[Node, ...]
    others: tuple[Node, ...]

    @cached_property
    def vectors(self) -> frozenset[Node]:
        """The vectors that its products read."""
        return frozenset([piece.vector for piece in self.pieces])


@dataclass(frozen=True)
class Group:
    """Sums side by side in one array, so ordered that most vectors meet neighbours."""

    sums: tuple[Sum, ...]

    @cached_property
    def vectors(self) -> tuple[Node, ...]:
        """The vectors in the order in which they are gone through.

        The input comes first: a processor can begin with it before the last step has ended.
        """
        found = dict.fromkeys([p.vector for each in self.sums for p in each.pieces])
        return tuple(sorted(found, key=lambda vector: vector.operation != "input"))

    def runs(self, vector: Node) -> list[range]:
        """The neighbouring sums that read a vector."""
        return _runs([vector in each.vectors for each in self.sums])


@dataclass(frozen=True)
class Stage:
    """Means of vectors, then values of the input's size, then sums and values of each unit."""

    means: tuple[Node, ...]
    inputs: tuple[Node, ...]
    groups: tuple[Group, ...]
    units: tuple[Node, ...]


class Plan:
    """The stages of a cell's step, and where its values live between them.

    ``merge`` allows the sum of two matrices' products to be one sum.

    >>> from elman.cells import gru, lstm
    >>> [[len(group.sums) for group in stage.groups] for stage in Plan(lstm).stages]
    [[4]]
    >>> [[len(group.sums) for group in stage.groups] for stage in Plan(gru).stages]
    [[2], [1]]
    """

    def __init__(self, cell: Cell, *, merge: bool = True) -> None:
        self.cell, self._merge = cell, merge
        rewritten = dict(zip(cell.nodes, lower(cell.nodes), strict=True))
        self.next_states = tuple([rewritten[node] for node in cell.next_states])
        #: the author's names, and the values as the equations write them
        self.names = {rewritten[n]: name for n, name in labels(cell).items()}
        self.written = {rewritten[n]: n for n in labels(cell)}
        nodes = ancestors(self.next_states)
        depends: set[Node] = set()
        for node in nodes:
            if node.operation in ("input", "state") or not depends.isdisjoint(node.operands):
                depends.add(node)
        #: values that follow from weights alone
        self.numbers = {n for n in nodes if n not in depends and n.operation != "matrix"}
        self._nodes = [n for n in ancestors(self.next_states, self.numbers) if n in depends]
        self._users = self._find_users()
        self.sums: dict[Node, Sum] = {}
        self._absorbed: set[Node] = set()
        self._find_sums()
        self._stage = self._first_stages()
        self._sink()
        crossing = self._crossing()
        #: the values that an array holds from one loop to the next
        self.arrays = tuple([node for node in self._nodes if node in crossing])
        self.stages = self._make_stages()

    def is_number(self, node: Node) -> bool:
        """Whether the value follows from weights alone."""
        return node in self.numbers

    def is_computed(self, node: Node) -> bool:
        """Whether it is neither given to the step nor a number."""
        return node not in self.numbers and node.operation not in ("input", "state")

    def users(self, node: Node) -> int:
        """How many values, and next states, read it."""
        return len(self._users.get(node, ())) + self.next_states.count(node)

    def operands(self, node: Node) -> tuple[Node, ...]:
        """What an equation of one unit reads; a condition is a part of the value it is for."""
        if node in self.sums:
            return self.sums[node].others
        found: list[Node] = []
        for operand in node.operands:
            found += operand.operands if operand.operation in CONDITIONS else [operand]
        return tuple(found)

    def stage_of_next(self, node: Node) -> int:
        """In which stage a next state is stored."""
        return self._stage.get(node, 0)

    def _find_users(self) -> dict[Node, list[Node]]:
        users: dict[Node, list[Node]] = {}
        for node in self._nodes:
            for operand in node.operands:
                users.setdefault(operand, []).append(node)
        return users

    def _find_sums(self) -> None:
        """Additions with a product among what they add become sums, as large as can be."""
        for node in reversed(self._nodes):  # from the results on
            if node in self._absorbed or node.operation not in ("add", "product"):
                continue
            leaves = self._addends(node, whole=True)
            products = [leaf for leaf in leaves if leaf.operation == "product"]
            own = [p for p in products if p is node or self._is_inside(p)]
            own = own if self._merge else own[:1]
            if not own:
                continue
            rest = [leaf for leaf in leaves if leaf not in own]
            self.sums[node] = Sum(
                node,
                tuple([piece for product in own for piece in _pieces(product)]),
                tuple([leaf for leaf in rest if leaf in self.numbers]),
                tuple([leaf for leaf in rest if leaf not in self.numbers]),
            )
            inside = [n for n in ancestors([node], {*leaves}) if n not in leaves or n in own]
            self._absorbed |= {n for n in inside if n is not node}

    def _is_inside(self, node: Node) -> bool:
        """Whether nobody reads a value but the one value that it is a part of."""
        return self.users(node) == 1 and node not in self.names

    def _addends(self, node: Node, *, whole: bool = False) -> list[Node]:
        is_sum = node.operation == "add" and node not in self.numbers
        if is_sum and (whole or self._is_inside(node)):
            return [leaf for operand in node.operands for leaf in self._addends(operand)]
        return [node]

    def _first_stages(self) -> dict[Node, int]:
        stage: dict[Node, int] = {}

        def complete(vector: Node) -> int:
            """The first stage at whose sums the whole vector is there."""
            computed = self.is_computed(vector)
            return stage[vector] + (vector.size != "input") if computed else 0

        for node in self._nodes:
            if not self.is_computed(node):
                continue
            if node.operation == "product":
                stage[node] = max([complete(vector) for vector in node.operands[1:]])
            elif node.operation == "mean":
                (vector,) = node.operands
                stage[node] = stage[vector] + 1 if self.is_computed(vector) else 0
            else:
                stage[node] = max([stage.get(operand, 0) for operand in node.operands])
        return stage

    def _reads_whole(self, node: Node) -> bool:
        """Whether a product or a mean reads the value."""
        return any([user.operation in ("product", "mean") for user in self._users.get(node, ())])

    def _crossing(self) -> set[Node]:
        """The values that a later loop, a product or a mean reads: they need an array."""
        found = set()
        for node in self._equations():
            if self._reads_whole(node):
                found.add(node)
            for operand in self.operands(node):
                known = self.is_computed(operand) and operand.operation != "mean"
                if known and self._stage[operand] < self._stage[node]:
                    found.add(operand)
        return found

    def _sink(self) -> None:
        """Compute a value where it is read, if that keeps no more vectors from stage to stage."""
        for node in reversed(list(self._equations())):
            if (
                node in self.names
                or node in self.next_states
                or node in self.sums
                or self._reads_whole(node)
                or not self.is_computed(node)
            ):
                continue
            users = [n for n in self._equations() if node in self.operands(n)]
            before, earliest = self._stage[node], min([self._stage[n] for n in users])
            if earliest > before:
                vectors = len(self._crossing())
                self._stage[node] = earliest
                if len(self._crossing()) > vectors:
                    self._stage[node] = before

    def _equations(self) -> list[Node]:
        """The computed values that are not a part of another's sum or condition."""
        return [
            n
            for n in self._nodes
            if self.is_computed(n)
            and n not in self._absorbed
            and n.operation not in (*CONDITIONS, "mean")
        ]

    def in_place(self, *, one_block: bool) -> set[str]:
        """The states whose old values nothing reads once a unit's new one is stored.

        With ``one_block`` the sums of all units are there before the first new value is stored.
        """
        return {s for s in self.cell.states if self._may_overwrite(s, one_block)}

    def _may_overwrite(self, state: str, one_block: bool) -> bool:
        following = self.next_states[self.cell.states.index(state)]
        if not self.is_computed(following):
            return False
        old, stored = intern("state", (), state), self._stage[following]
        for total in self.sums.values():
            stage = self._stage[total.root]
            if old in total.vectors and (stage > stored or (stage == stored and not one_block)):
                return False
        for node in self._equations():
            if old in self.operands(node) and self._stage[node] > stored:
                return False
        return True

    def _make_stages(self) -> tuple[Stage, ...]:
        nodes = self._equations()
        count = max([self._stage[n] for n in nodes], default=0) + 1
        means = [n for n in self._nodes if n.operation == "mean" and self.is_computed(n)]
        return tuple(
            [
                Stage(
                    tuple([n for n in means if self._stage[n] == s]),
                    tuple([n for n in nodes if self._stage[n] == s and n.size == "input"]),
                    _groups(
                        [self.sums[n] for n in nodes if self._stage[n] == s and n in self.sums]
                    ),
                    tuple([n for n in nodes if self._stage[n] == s and n.size != "input"]),
                )
                for s in range(count)
            ]
        )


def _pieces(product: Node) -> list[Piece]:
    matrix, *vectors = product.operands
    sizes = [vector.size for vector in vectors]
    return [
        Piece(matrix.attribute, Block(tuple(sizes[:k]), sizes[k]), vector)
        for k, vector in enumerate(vectors)
    ]


def _groups(sums: Sequence[Sum]) -> tuple[Group, ...]:
    """The sums in groups of a few, those that read the same vectors next to each other."""
    kinds = list(dict.fromkeys([each.vectors for each in sums]))
    if len(kinds) <= 6:
        kinds = list(min(permutations(kinds), key=_breaks))
    ordered = [each for kind in kinds for each in sums if each.vectors == kind]
    groups: list[Group] = []
    current: list[Sum] = []
    for each in ordered:
        known = {vector for other in current for vector in other.vectors}
        if len(current) == MOST_SUMS or (current and each.vectors.isdisjoint(known)):
            groups.append(Group(tuple(current)))
            current = []
        current.append(each)
    return (*groups, Group(tuple(current))) if current else tuple(groups)


def _breaks(kinds: Iterable[frozenset[Node]]) -> int:
    """How many runs of neighbours the vectors meet in this order."""
    kinds = list(kinds)
    vectors = {vector for kind in kinds for vector in kind}
    return sum([len(_runs([vector in kind for kind in kinds])) for vector in vectors])


def _runs(flags: Sequence[bool]) -> list[range]:
    """The stretches of neighbours that are true."""
    found: list[range] = []
    for k, flag in enumerate(flags):
        if flag and found and found[-1].stop == k:
            found[-1] = range(found[-1].start, k + 1)
        elif flag:
            found.append(range(k, k + 1))
    return found
