"""In which order a step is computed in C: sums of products, loops over units, whole vectors.

A matrix meets whole vectors, and so does a mean; everything else is computed unit by unit.  So a
step is cut into stages: in a loop over units, a stage computes the sums of products whose vectors
are there and then every equation that follows from them.  An LSTM is one stage, a GRU whose reset
acts before the product two.  Values of each size have a loop of their own in a stage; those of
matrix states come last, and read themselves there.  What depends on weights only is a number, and
is computed when the file is written.  How a stage is put into C is in ``layer.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

from elman.graph import Cell
from elman.graph.node import Node, Size, ancestors, name_of
from elman.graph.ops import CHEAP, CONDITIONS
from elman.graph.show import labels
from elman.graph.sizes import Block
from elman.passes.lower import lower

#: sums that one loop over a vector adds to: more would not stay in the registers of a processor
MOST_SUMS = 4
#: what is given to a step
GIVEN = frozenset({"input", "state", "side"})
#: what is computed of whole vectors at the beginning of a stage
REDUCTIONS = frozenset({"mean", "head_sum"})
#: the operations of values for each unit and key that are computed again where they are read
_AGAIN = CHEAP | {"outer"}
#: the order of the loops of a stage: a value is repeated for values of later loops alone
_ORDER = {"one": 0, "input": 1, "head": 2, "memory": 4}
#: that of the loops over units, over keys, and over sizes of the cell's own
_UNITS = 3


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

        Inputs come first: a processor can begin with them before the last step has ended.
        """
        found = dict.fromkeys([p.vector for each in self.sums for p in each.pieces])
        return tuple(sorted(found, key=lambda vector: vector.operation not in ("input", "side")))


@dataclass(frozen=True)
class Loop:
    """Values of one size: sums of products, and what follows from them for each element."""

    size: Size
    groups: tuple[Group, ...]
    values: tuple[Node, ...]


@dataclass(frozen=True)
class Stage:
    """Means and sums of vectors, then loops over values of each size."""

    reductions: tuple[Node, ...]
    loops: tuple[Loop, ...]


class Plan:
    """The stages of a cell's step, and where its values live between them.

    ``merge`` allows the sum of two matrices' products to be one sum.

    >>> from elman.cells import gru, lstm, scrn
    >>> def sums(cell):
    ...     loops = [loop for stage in Plan(cell).stages for loop in stage.loops]
    ...     return [(loop.size, [len(group.sums) for group in loop.groups])
    ...             for loop in loops if loop.groups]
    >>> sums(lstm)
    [('hidden', [4])]
    >>> sums(gru)
    [('hidden', [2]), ('hidden', [1])]
    >>> sums(scrn)
    [('context', [1]), ('hidden', [1])]
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
            if node.operation in GIVEN or not depends.isdisjoint(node.operands):
                depends.add(node)
        #: values that follow from weights alone
        self.numbers = {n for n in nodes if n not in depends and n.operation != "matrix"}
        self._nodes = [n for n in ancestors(self.next_states, self.numbers) if n in depends]
        sizes = dict.fromkeys([loop_size(n) for n in self._nodes] + [s.size for s in self._states])
        #: the sizes in the order of the loops of a stage
        self.loop_sizes = sorted(sizes, key=lambda size: _ORDER.get(size, _UNITS))
        self._users = self._find_users()
        self.sums: dict[Node, Sum] = {}
        self._absorbed: set[Node] = set()
        self._find_sums()
        self._stage = self._first_stages()
        #: values for each unit and key that are computed again where they are read, which takes no
        #: longer than to keep them in an array
        self._again = {
            n
            for n in self._nodes
            if n.size == "memory" and n.operation in _AGAIN and n not in self.next_states
        }
        self._sink()
        crossing = self._crossing()
        #: the values that an array holds from one loop to the next
        self.arrays = tuple([node for node in self._nodes if node in crossing])
        self.stages = self._make_stages()

    @property
    def _states(self) -> tuple[Node, ...]:
        return self.cell.state_leaves

    def is_number(self, node: Node) -> bool:
        """Whether the value follows from weights alone."""
        return node in self.numbers

    def is_computed(self, node: Node) -> bool:
        """Whether it is neither given to the step nor a number."""
        return node not in self.numbers and node.operation not in GIVEN

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
        return self._ready(node, self._stage)

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
            leaves = self._addends(node, node.size, whole=True)
            products = [n for n in leaves if n.operation == "product" and n.size == node.size]
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

    def _addends(self, node: Node, size: Size, *, whole: bool = False) -> list[Node]:
        is_sum = node.operation == "add" and node not in self.numbers and node.size == size
        if is_sum and (whole or self._is_inside(node)):
            return [leaf for operand in node.operands for leaf in self._addends(operand, size)]
        return [node]

    def _ready(self, node: Node, stage: dict[Node, int]) -> int:
        """The first stage in which an equation of one unit can read the value."""
        # what reads a matrix state is there after the last loop of its stage
        return stage[node] + (node.operation == "read") if self.is_computed(node) else 0

    def _first_stages(self) -> dict[Node, int]:
        stage: dict[Node, int] = {}

        def complete(vector: Node, reader: Node) -> int:
            """The first stage at whose sums the whole vector is there."""
            if not self.is_computed(vector):
                return 0
            if vector.operation in (*REDUCTIONS, "read"):
                return self._ready(vector, stage)
            before = vector.size == "input" and reader.operation == "product"
            return stage[vector] + (not before or reader.size == "one")

        for node in self._nodes:
            if not self.is_computed(node):
                continue
            if node.operation == "product":
                stage[node] = max([complete(vector, node) for vector in node.operands[1:]])
            elif node.operation in REDUCTIONS:
                stage[node] = complete(node.operands[0], node)
            else:
                stage[node] = max([self._ready(operand, stage) for operand in node.operands])
        return stage

    def _reads_whole(self, node: Node) -> bool:
        """Whether a product or a reduction reads the value."""
        users = self._users.get(node, ())
        return any([user.operation in ("product", *REDUCTIONS) for user in users])

    def _crossing(self) -> set[Node]:
        """The values that a later loop, a product or a reduction reads: they need an array."""
        found = set()
        for node, place in self._visits():
            if self._reads_whole(node) or node.operation == "read":
                found.add(node)
            for operand in self.operands(node):
                known = self.is_computed(operand) and operand.operation not in REDUCTIONS
                if known and operand not in self._again and self._place(operand) < place:
                    found.add(operand)
        return {node for node in found if node.size != "one"}

    def _visits(self) -> list[tuple[Node, tuple[int, int]]]:
        """The computed values, each with the stage and the loop of which it is a part.

        Values that are computed again have several.
        """
        nodes, places = self._equations(), dict[Node, set[tuple[int, int]]]()
        for node in reversed(nodes):
            if node not in self._again:
                places[node] = {self._place(node)}
            for operand in self.operands(node):
                if operand in self._again:
                    places.setdefault(operand, set()).update(places[node])
        return [(node, place) for node in nodes for place in sorted(places[node])]

    def _place(self, node: Node) -> tuple[int, int]:
        """The stage and the loop in which a value is computed."""
        return self._stage[node], self.loop_sizes.index(loop_size(node))

    def _sink(self) -> None:
        """Compute a value where it is read, if that keeps no more vectors from stage to stage."""
        for node in reversed(list(self._equations())):
            if (
                node in self.names
                or node in self.next_states
                or node in self.sums
                or node.operation == "read"
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
            and n.operation not in (*CONDITIONS, *REDUCTIONS)
        ]

    def in_place(self, *, one_block: bool) -> set[str]:
        """The states whose old values nothing reads once a unit's new one is stored.

        With ``one_block`` the sums of all units are there before the first new value is stored.
        """
        return {name_of(s) for s in self._states if self._may_overwrite(s, one_block)}

    def _may_overwrite(self, old: Node, one_block: bool) -> bool:
        following = self.next_states[self._states.index(old)]
        if not self.is_computed(following):
            return False
        stored = (self.stage_of_next(following), self.loop_sizes.index(old.size))
        for total in self.sums.values():
            place = self._place(total.root)
            if old in total.vectors and (place > stored or (place == stored and not one_block)):
                return False
        for node, place in self._visits():
            if old in self.operands(node) and place > stored:
                return False
        return True

    def _make_stages(self) -> tuple[Stage, ...]:
        nodes, visits = self._equations(), self._visits()
        last = [self._stage[n] for n in nodes] + [self.stage_of_next(n) for n in self.next_states]
        reductions = [n for n in self._nodes if n.operation in REDUCTIONS and self.is_computed(n)]

        def loop(stage: int, size: Size) -> Loop:
            here = [n for n, place in visits if place == (stage, self.loop_sizes.index(size))]
            return Loop(size, _groups([self.sums[n] for n in here if n in self.sums]), tuple(here))

        return tuple(
            [
                Stage(
                    tuple([n for n in reductions if self._stage[n] == s]),
                    tuple([loop(s, size) for size in self.loop_sizes]),
                )
                for s in range(max(last, default=0) + 1)
            ]
        )


def loop_size(node: Node) -> Size:
    """The size whose loop computes a value: a matrix state is read where it is computed."""
    return "memory" if node.operation == "read" else node.size


def _pieces(product: Node) -> list[Piece]:
    matrix, *vectors = product.operands
    sizes = [vector.size for vector in vectors]
    return [
        Piece(matrix.attribute[:2], Block(tuple(sizes[:k]), sizes[k]), vector)
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
    return sum([len(runs_of([vector in kind for kind in kinds])) for vector in vectors])


def runs_of(flags: Sequence[bool]) -> list[range]:
    """The stretches of neighbours that are true."""
    found: list[range] = []
    for k, flag in enumerate(flags):
        if flag and found and found[-1].stop == k:
            found[-1] = range(found[-1].start, k + 1)
        elif flag:
            found.append(range(k, k + 1))
    return found
