"""Operations that are made of others, written out: layer normalisation as means and products.

An engine that computes unit by unit needs to know which values depend on a whole row.  Each
operation's own definition (``Operation.evaluate``) says what it is made of, so writing it out is
evaluating it with nodes for numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from elman.graph.node import OPERATIONS, Node, apply
from elman.graph.rewrite import moved, rewrite


class NodeMathematics:
    """The functions in which the table of operations is written, building nodes."""

    def __getattr__(self, name: str) -> object:
        return lambda *operands: apply(name, *operands)

    @staticmethod
    def rsqrt(a: Node, offset: float) -> Node:
        """1 / sqrt(a + offset)"""
        return apply("rsqrt", a + offset if offset else a)


def lower(roots: Sequence[Node]) -> tuple[Node, ...]:
    """The same values by operations on single units, ``mean`` and ``rsqrt``.

    >>> from elman.graph.node import intern
    >>> from elman.graph.show import expression
    >>> h = intern("state", (), "h")
    >>> expression(lower([apply("layer_norm", h)])[0])
    '(h - mean(h)) * rsqrt(mean((h - mean(h)) * (h - mean(h))) + 1e-05)'
    """
    new = rewrite(roots, _written_out)
    return tuple([new[root] for root in roots])


def _written_out(node: Node, new: Mapping[Node, Node]) -> Node:
    definition = OPERATIONS[node.operation].evaluate
    if definition is None:  # leaves and products
        return moved(node, new)
    written = definition(NodeMathematics(), *[new[operand] for operand in node.operands])
    assert isinstance(written, Node)
    return written
