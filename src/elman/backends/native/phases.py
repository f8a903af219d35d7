"""Split a step into phases: products that run together, then the equations that use them.

A product needs all units of its operand, so a new phase starts after an operand is computed: an
LSTM has one phase, a cell whose candidate reads ``r * h`` has two.  Values of different sizes are
in different phases.  In a phase, each sum of
products is an ``Accumulator``, which an engine can keep in registers; the rest is elementwise
arithmetic.  The adjoint step is split by the same rule.  This module does not depend on how an
engine computes; ``programs.py`` assigns memory to values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

from elman.graph.node import Node, Size, ancestors, intern
from elman.graph.ops import CONDITIONS, PRODUCTS, REDUCTIONS
from elman.graph.sizes import Block


@dataclass(frozen=True)
class Term:
    """One product of a sum: a block of a matrix's columns, or its transpose, times an operand."""

    matrix: Node
    block: Block
    operand: Node
    transposed: bool


@dataclass(frozen=True)
class Accumulator:
    """``value`` = start + Σ terms + Σ rest; the terms are summed together, the rest afterwards.

    ``start`` is a vector of the cell, or an initial value computed before the loop.
    """

    value: Node
    start: Node | None
    terms: tuple[Term, ...]
    rest: tuple[Node, ...]

    @property
    def initial(self) -> Node | None:
        """The start plus the products with the input; ``None`` if there are no such products."""
        with_input = [t for t in self.terms if t.operand.size == "input"]
        if not with_input or any([t.transposed for t in with_input]):
            return None
        total = self.start
        for term in with_input:
            product = intern("block_product", (term.matrix, term.operand), term.block)
            total = product if total is None else intern("add", (total, product), None)
        return total

    def from_initial(self) -> Accumulator:
        """The same sum, starting from ``initial`` in memory."""
        left = tuple([t for t in self.terms if t.operand.size != "input"])
        return self if self.initial is None else replace(self, start=self.initial, terms=left)


@dataclass(frozen=True)
class Phase:
    """Sums of products, then ``values`` in topological order; ``stored`` go to memory.

    All values have one ``size``, or are the same for all units.
    """

    accumulators: tuple[Accumulator, ...]
    values: tuple[Node, ...]
    stored: tuple[Node, ...]
    size: Size

    def from_initial(self) -> Phase:
        """The same phase, with sums starting from ``initial`` in memory."""
        return replace(
            self, accumulators=tuple([total.from_initial() for total in self.accumulators])
        )

    @property
    def reduces(self) -> bool:
        """Whether a value depends on all units of its row, such as a mean."""
        return any([value.operation in REDUCTIONS for value in self.values])


def divide(
    roots: Sequence[Node], given: Container[Node], sizes: Sequence[Size] = ("hidden",)
) -> tuple[tuple[Phase, ...], tuple[Node, ...]]:
    """The phases that compute and store ``roots`` from leaves and the values ``given`` in memory.

    A root that is the same for all units is stored in each of the ``sizes``.

    Also returns the values that one phase stores for a later one, including operands of products,
    in the order in which they are stored.

    >>> from elman.cells import gru, lstm
    >>> from elman.passes import hoist
    >>> [len(phase.accumulators) for phase in divide(hoist(lstm.next_states).roots, ())[0]]
    [4]
    >>> phases, spilled = divide(hoist(gru.next_states).roots, ())
    >>> [len(phase.accumulators) for phase in phases], len(spilled)
    ([1, 2], 1)
    """
    return _Division(roots, given, sizes).run()


#: a phase while they are found: the number of phases that must come before, and its size
Key = tuple[int, Size]


class _Division:
    def __init__(
        self, roots: Sequence[Node], given: Container[Node], sizes: Sequence[Size]
    ) -> None:
        self.given, self.sizes = given, sizes
        self.roots = tuple(dict.fromkeys(roots))
        self.nodes = ancestors(self.roots, stop=given)
        self.sums = self._find_sums()
        self.operands = dict.fromkeys(
            [
                term.operand
                for total in self.sums.values()
                for term in total.terms
                # products read rows, so a vector of the cell must be stored first
                if not self.in_memory(term.operand)
                or (term.operand.operation == "vector" and term.operand not in given)
            ]
        )
        self.level = self._find_levels()

    def in_memory(self, node: Node) -> bool:
        return node in self.given or not node.operands

    def needs(self, node: Node) -> Sequence[Node]:
        """The operands of a value, besides its products."""
        total = self.sums.get(node)
        return node.operands if total is None else total.rest

    def run(self) -> tuple[tuple[Phase, ...], tuple[Node, ...]]:
        targets: dict[Key, list[Node]] = {}
        for node in dict.fromkeys([*self.operands, *self.roots]):
            for size in self.sizes if node.size == "one" else (node.size,):
                targets.setdefault((self.level[node], size), []).append(node)
        stored: dict[Key, list[Node]] = {p: list(found) for p, found in targets.items()}
        values: dict[Key, list[Node]] = {}
        computed_in: dict[Node, Key] = {}
        carried: list[Node] = []
        available: set[Node] = set()
        for phase in sorted(targets):
            found: dict[Node, None] = {}

            def needs_earlier_sum(node: Node, phase: Key = phase) -> bool:
                """Whether recomputing it would need a sum of an earlier phase."""
                if self.in_memory(node) or node in available:
                    return False
                if node in self.sums and computed_in.get(node, phase) < phase:
                    return True
                return any([needs_earlier_sum(operand) for operand in self.needs(node)])

            def visit(node: Node, phase: Key = phase, found: dict[Node, None] = found) -> None:
                if node in found or self.in_memory(node) or node in available:
                    return
                earlier = computed_in.get(node, phase)
                is_number = node.operation not in CONDITIONS
                if earlier < phase and is_number and needs_earlier_sum(node):
                    stored[earlier].append(node)
                    carried.append(node)
                    available.add(node)
                    return
                for operand in self.needs(node):
                    visit(operand)
                found[node] = None

            for target in targets[phase]:
                visit(target)
            values[phase] = list(found)
            for node in found:
                computed_in.setdefault(node, phase)
            available.update([node for node in targets[phase] if node.size != "one"])
        phases = tuple(
            [
                Phase(
                    tuple(
                        [self.sums[v] for v in values[p] if v in self.sums and computed_in[v] == p]
                    ),
                    tuple(values[p]),
                    tuple(dict.fromkeys(stored[p])),
                    p[1],
                )
                for p in sorted(targets)
            ]
        )
        return phases, tuple(dict.fromkeys([*self.operands, *carried]))

    def _find_sums(self) -> dict[Node, Accumulator]:
        inside = [node for node in self.nodes if node not in self.given]
        uses = Counter([operand for node in inside for operand in node.operands])
        uses.update(self.roots)
        absorbed: set[Node] = set()
        found: dict[Node, Accumulator] = {}

        def terms_of(node: Node) -> Iterable[Node]:
            for operand in node.operands:
                alone = uses[operand] == 1 and operand not in self.given
                if operand.operation == "add" and alone:
                    absorbed.add(operand)
                    yield from terms_of(operand)
                else:
                    yield operand

        for node in reversed(inside):
            if node in absorbed:
                continue
            if node.operation == "add":
                mark = set(absorbed)
                terms = list(terms_of(node))
                products = [
                    t
                    for t in terms
                    if t.operation in PRODUCTS and uses[t] == 1 and t not in self.given
                ]
                if not products:
                    absorbed = mark  # the inner sums stay separate
                    continue
                absorbed.update(products)
                rest = [t for t in terms if t not in products]
                start = next((t for t in rest if t.operation == "vector"), None)
                if start is not None:
                    rest.remove(start)
                joined = tuple([part for product in products for part in _terms(product)])
                found[node] = Accumulator(node, start, joined, tuple(rest))
            elif node.operation in PRODUCTS:
                found[node] = Accumulator(node, None, _terms(node), ())
        self.absorbed = frozenset(absorbed)
        return found

    def _find_levels(self) -> dict[Node, int]:
        level: dict[Node, int] = {}
        for node in self.nodes:
            if node in self.absorbed and not self.in_memory(node):
                continue
            if self.in_memory(node):
                level[node] = 0
                continue
            level[node] = max([level[operand] for operand in self.needs(node)], default=0)
            if node in self.sums:
                after = [level[term.operand] + 1 for term in self.sums[node].terms]
                level[node] = max(level[node], *after)
        return level


def _terms(product: Node) -> tuple[Term, ...]:
    if product.operation == "block_product":
        matrix, operand = product.operands
        return (Term(matrix, product.attribute, operand, transposed=False),)
    pairs = zip(product.operands[::2], product.operands[1::2], product.attribute, strict=True)
    return tuple([Term(w, block, g, transposed=True) for w, g, block in pairs])
