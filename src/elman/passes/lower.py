"""Operations that are made of others, written out: layer normalisation as means and products.

An engine that computes unit by unit needs to know which values depend on a whole row.  Each
operation's own definition (``Operation.evaluate``) says what it is made of, so writing it out is
evaluating it with nodes for numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from elman.graph.node import OPERATIONS, Node, ancestors, apply, intern


class NodeMathematics:
    """The functions in which the table of operations is written, building nodes."""

    def __getattr__(self, name: str) -> object:
        return lambda *operands: apply(name, *operands)

    @staticmethod
    def rsqrt(a: Node, offset: float) -> Node:
        """1 / sqrt(a + offset)"""
        return apply("rsqrt", a + offset)


def lower(roots: Sequence[Node]) -> tuple[Node, ...]:
    """The same values by operations on single units, ``mean`` and ``rsqrt``.

    >>> from elman.graph.node import intern
    >>> from elman.graph.show import expression
    >>> h = intern("state", (), "h")
    >>> expression(lower([apply("layer_norm", h)])[0])
    '(h - mean(h)) * rsqrt(mean((h - mean(h)) * (h - mean(h))) + 1e-05)'
    """
    written: dict[Node, Node] = {}
    for node in ancestors(roots):
        operands = [written[operand] for operand in node.operands]
        rule = OPERATIONS[node.operation].evaluate
        if rule is None or not operands or node.operation in {"mean", "rsqrt"}:
            written[node] = intern(node.operation, tuple(operands), node.attribute)
        else:
            written[node] = rule(NodeMathematics(), *operands)
    return tuple([written[root] for root in roots])
