"""Work that needs only the input leaves the time loop.

A product with several operands becomes a sum of products with one each, and sums are put in an
order in which everything that does not depend on a state comes first.  What depends on no state
can then be computed for all steps at once, as one large product.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from elman.graph.node import Node, ancestors, intern
from elman.graph.sizes import Block


@dataclass(frozen=True)
class Hoisted:
    """``roots`` are the same values as before; ``before`` are the nodes that need no state."""

    roots: tuple[Node, ...]
    before: frozenset[Node]


def hoist(roots: Sequence[Node]) -> Hoisted:
    """Split products by operand and gather what needs only the input.

    >>> from elman.cells import rnn
    >>> from elman.graph.show import expression
    >>> expression(hoist(rnn.next_states).roots[0])
    'tanh(W.a · x + b.a + W.a · a)'
    """
    split = _split_products(roots)
    uses = Counter([operand for node in ancestors(split) for operand in node.operands])
    uses.update(split)
    rebuilt: dict[Node, Node] = {}
    free: set[Node] = set()

    def is_free(node: Node) -> bool:
        return node in free

    for node in ancestors(split):
        if node.operation == "add":
            terms = [rebuilt[term] for term in _terms(node, uses)]
            new = _sum([*filter(is_free, terms)] + [term for term in terms if not is_free(term)])
            _mark(ancestors([new]), free)
        else:
            operands = tuple([rebuilt[operand] for operand in node.operands])
            new = intern(node.operation, operands, node.attribute)
            _mark([new], free)
        rebuilt[node] = new
    following = tuple([rebuilt[root] for root in split])
    before = frozenset([node for node in ancestors(following) if node in free and node.operands])
    return Hoisted(following, before)


def _mark(nodes: Sequence[Node], free: set[Node]) -> None:
    for node in nodes:
        if node.operation not in {"state", "adjoint"} and all(o in free for o in node.operands):
            free.add(node)


def _split_products(roots: Sequence[Node]) -> tuple[Node, ...]:
    rebuilt: dict[Node, Node] = {}
    for node in ancestors(roots):
        operands = tuple([rebuilt[operand] for operand in node.operands])
        if node.operation != "product":
            rebuilt[node] = intern(node.operation, operands, node.attribute)
            continue
        matrix, *vectors = operands
        sizes = tuple([vector.size for vector in vectors])
        rebuilt[node] = _sum(
            [
                intern("block_product", (matrix, vector), Block(sizes[:k], sizes[k]))
                for k, vector in enumerate(vectors)
            ]
        )
    return tuple([rebuilt[root] for root in roots])


def _terms(node: Node, uses: Counter[Node]) -> list[Node]:
    """The terms of a sum; a partial sum that is used elsewhere too stays one term."""
    found: list[Node] = []
    for operand in node.operands:
        inside = operand.operation == "add" and uses[operand] == 1
        found.extend(_terms(operand, uses) if inside else [operand])
    return found


def _sum(terms: Sequence[Node]) -> Node:
    total = terms[0]
    for term in terms[1:]:
        total = intern("add", (total, term), None)
    return total
