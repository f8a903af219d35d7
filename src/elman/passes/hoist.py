"""Move work that needs only the input out of the time loop.

A product with several operands becomes a sum of products with one operand each, and sums are
reordered so that terms that do not depend on a state come first.  These can then be computed for
all steps at once, as one large product.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from elman.graph.node import Node, ancestors, intern, sum_of
from elman.graph.rewrite import moved, rewrite
from elman.graph.sizes import columns_of


@dataclass(frozen=True)
class Hoisted:
    """``roots`` are the rewritten roots; ``before`` are the nodes that need no state."""

    roots: tuple[Node, ...]
    before: frozenset[Node]


def hoist(roots: Sequence[Node]) -> Hoisted:
    """Split products by operand and group the terms that need only the input.

    >>> from elman.cells import rnn
    >>> from elman.graph.show import expression
    >>> expression(hoist(rnn.next_states).roots[0])
    'tanh(W.a · x + b.a + W.a · a)'
    """
    split = _split_products(roots)
    uses = Counter([operand for node in ancestors(split) for operand in node.operands])
    uses.update(split)
    free: set[Node] = set()

    def gather(node: Node, new: Mapping[Node, Node]) -> Node:
        if node.operation == "add":
            terms = [new[term] for term in _terms(node, uses)]
            found = sum_of(sorted(terms, key=lambda term: term not in free))
            _mark(ancestors([found]), free)
        else:
            found = moved(node, new)
            _mark([found], free)
        return found

    gathered = rewrite(split, gather)
    following = tuple([gathered[root] for root in split])
    before = frozenset([node for node in ancestors(following) if node in free and node.operands])
    return Hoisted(following, before)


def _mark(nodes: Sequence[Node], free: set[Node]) -> None:
    for node in nodes:
        if node.operation not in {"state", "adjoint"} and all(o in free for o in node.operands):
            free.add(node)


def _split_products(roots: Sequence[Node]) -> tuple[Node, ...]:
    new = rewrite(roots, _split)
    return tuple([new[root] for root in roots])


def _split(node: Node, new: Mapping[Node, Node]) -> Node:
    if node.operation != "product":
        return moved(node, new)
    matrix, *vectors = [new[operand] for operand in node.operands]
    columns = columns_of([vector.size for vector in vectors], node.attribute)
    pairs = zip(vectors, columns, strict=True)
    return sum_of([intern("block_product", (matrix, vector), block) for vector, block in pairs])


def _terms(node: Node, uses: Counter[Node]) -> list[Node]:
    """The terms of a sum; a partial sum that is also used elsewhere stays one term."""
    found: list[Node] = []
    for operand in node.operands:
        inside = operand.operation == "add" and uses[operand] == 1
        found.extend(_terms(operand, uses) if inside else [operand])
    return found
