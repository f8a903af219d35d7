"""Remove redundant arithmetic: 1 * a, a + 0 * b, -(-a), 2 + 3.

A simplification never changes a finite value or a size: 0 * h stays unless it is added to
something, because it is a vector of zeros and 0 is a scalar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from elman.graph.node import Node, as_node, intern
from elman.graph.rewrite import moved, rewrite


def simplify(roots: Sequence[Node]) -> tuple[Node, ...]:
    """The same values with less arithmetic.

    >>> from elman.graph.node import intern
    >>> h = intern("state", (), "h")
    >>> simplify([(1 * h + 0) * (2 + 3), -(-h)])
    (multiply(state(h), constant(5.0)), state(h))
    """
    new = rewrite(roots, lambda node, new: _step(moved(node, new)))
    return tuple([new[root] for root in roots])


def _step(node: Node) -> Node:
    """Simplify one node whose operands are already simplified."""
    rule = _RULES.get(node.operation)
    simple = node if rule is None else rule(node, *node.operands)
    return simple if simple.size == node.size else node


def _number(node: Node) -> float | None:
    return node.attribute if node.operation == "constant" else None


def _is_zero(node: Node) -> bool:
    """Whether the node is 0 or a product with 0."""
    factors = node.operands if node.operation == "multiply" else (node,)
    return any([_number(factor) == 0 for factor in factors])


def _add(node: Node, a: Node, b: Node) -> Node:
    x, y = _number(a), _number(b)
    if x is not None and y is not None:
        return as_node(x + y)
    if _is_zero(a) and b.size == node.size:
        return b
    return a if _is_zero(b) else node


def _subtract(node: Node, a: Node, b: Node) -> Node:
    x, y = _number(a), _number(b)
    if x is not None and y is not None:
        return as_node(x - y)
    if _is_zero(a) and b.size == node.size:
        return _negate(intern("negate", (b,), None), b)
    return a if _is_zero(b) else node


def _multiply(node: Node, a: Node, b: Node) -> Node:
    x, y = _number(a), _number(b)
    if x is not None and y is not None:
        return as_node(x * y)
    if y == 1:
        return a
    if x == 1:
        return b
    if x == -1:
        return _negate(intern("negate", (b,), None), b)
    return _negate(intern("negate", (a,), None), a) if y == -1 else node


def _divide(node: Node, a: Node, b: Node) -> Node:
    return a if _number(b) == 1 else node


def _negate(node: Node, a: Node) -> Node:
    x = _number(a)
    if x is not None:
        return as_node(-x)
    return a.operands[0] if a.operation == "negate" else node


def _where(node: Node, condition: Node, a: Node, b: Node) -> Node:
    return a if a is b else node


_RULES: dict[str, Callable[..., Node]] = {
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "negate": _negate,
    "where": _where,
}
