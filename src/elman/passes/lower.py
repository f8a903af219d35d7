"""Expand composite operations: layer normalisation becomes means and products.

An engine that computes unit by unit needs to know which values depend on a whole row.  An
operation is expanded by evaluating its definition (``Operation.evaluate``) on nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from elman.graph.node import OPERATIONS, Node, apply
from elman.graph.rewrite import moved, rewrite


class NodeMathematics:
    """The functions used by the table of operations; they build nodes."""

    def __getattr__(self, name: str) -> object:
        return lambda *operands: apply(name, *operands)

    @staticmethod
    def rsqrt(a: Node, offset: float) -> Node:
        """1 / sqrt(a + offset)"""
        return apply("rsqrt", a + offset if offset else a)


def lower(roots: Sequence[Node]) -> tuple[Node, ...]:
    """The same values in terms of elementwise operations, ``mean`` and ``rsqrt``.

    >>> from elman.graph.node import intern
    >>> from elman.graph.show import expression
    >>> h = intern("state", (), "h")
    >>> expression(lower([apply("layer_norm", h)])[0])
    '(h - mean(h)) * rsqrt(mean((h - mean(h)) * (h - mean(h))) + 1e-05)'
    """
    new = rewrite(roots, _expanded)
    return tuple([new[root] for root in roots])


def _expanded(node: Node, new: Mapping[Node, Node]) -> Node:
    row = OPERATIONS[node.operation]
    definition = row.evaluate
    # leaves and products have none; matrix states are no values of one unit
    if definition is None or row.kind in ("matrix", "memory"):
        return moved(node, new)
    written = definition(NodeMathematics(), *[new[operand] for operand in node.operands])
    assert isinstance(written, Node)
    return written
