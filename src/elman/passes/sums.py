"""A cell's values as sums of products, in which equations that are written differently look alike.

``h + z * (n - h)``, ``(1 - z) * h + z * n`` and ``z * n + h - h * z`` are one sum of products of
the same factors.  A factor is what arithmetic does not take apart: a state, a parameter, a next
state, ``sigmoid(...)``, or a block of a matrix times a product.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from elman.graph.node import Node
from elman.graph.sizes import Block, columns_of

#: more products than this are not looked at: no cell that a target knows has so many
MOST_PRODUCTS = 200


class TooLarge(Exception):
    """A sum has more products than anybody wants to compare."""


@dataclass(frozen=True)
class Blocked:
    """Some columns of a matrix times a product of factors, such as those of W.h times r * h."""

    matrix: Node
    block: Block
    operand: tuple[Factor, ...]


Factor = Node | Blocked
Product = tuple[Factor, ...]
Sum = Mapping[Product, float]


class Sums:
    """The sums of products of one cell's values; ``whole`` are nodes that are not taken apart."""

    def __init__(self, whole: Iterable[Node]) -> None:
        self._whole = frozenset(whole)
        self._known: dict[Node, Sum] = {}
        self._order: dict[Factor, int] = {}

    def of(self, node: Node) -> Sum:
        """The node as a sum of products; the node itself is taken apart even if it is whole.

        Raises ``TooLarge`` for a sum that nobody wants to compare.

        >>> from elman.cells import gru
        >>> sorted(Sums(gru.next_states).of(gru.next_states[0]).values())
        [-1.0, 1.0, 1.0]
        """
        return self._expand(node)

    def inside(self, node: Node) -> Sum:
        """The node as it is seen by what it is an operand of: whole, or a sum of products."""
        if node in self._whole:
            return {(node,): 1.0}
        return self._expand(node)

    def _expand(self, node: Node) -> Sum:
        if node not in self._known:
            found = {p: c for p, c in self._computed(node).items() if c}
            if len(found) > MOST_PRODUCTS:
                raise TooLarge
            self._known[node] = found
        return self._known[node]

    def _computed(self, node: Node) -> dict[Product, float]:
        operands = node.operands
        match node.operation:
            case "constant":
                return {(): node.attribute}
            case "add":
                return _plus(self.inside(operands[0]), self.inside(operands[1]))
            case "subtract":
                return _plus(self.inside(operands[0]), self.inside(operands[1]), -1.0)
            case "negate":
                return _plus({}, self.inside(operands[0]), -1.0)
            case "multiply":
                return self._times(self.inside(operands[0]), self.inside(operands[1]))
            case "divide":
                below = self.inside(operands[1])
                if set(below) == {()}:
                    return {p: c / below[()] for p, c in self.inside(operands[0]).items()}
            case "product":
                return self._product(node)
        return {(node,): 1.0}

    def _product(self, node: Node) -> dict[Product, float]:
        """A product with a matrix, a term for each operand and each term of it."""
        matrix, *vectors = node.operands
        blocks = columns_of([vector.size for vector in vectors])
        total: dict[Product, float] = {}
        for vector, block in zip(vectors, blocks, strict=True):
            terms = self.inside(vector)
            total = _plus(total, {(Blocked(matrix, block, p),): c for p, c in terms.items()})
        return total

    def _times(self, a: Sum, b: Sum) -> dict[Product, float]:
        total: dict[Product, float] = {}
        for first, x in a.items():
            for second, y in b.items():
                factors = tuple(sorted([*first, *second], key=self._rank))
                total[factors] = total.get(factors, 0.0) + x * y
        return total

    def _rank(self, factor: Factor) -> int:
        return self._order.setdefault(factor, len(self._order))


def _plus(a: Sum, b: Sum, sign: float = 1.0) -> dict[Product, float]:
    total = dict(a)
    for product, coefficient in b.items():
        total[product] = total.get(product, 0.0) + sign * coefficient
    return total
