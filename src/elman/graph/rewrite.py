"""Graph rewriting, node by node in topological order; every pass uses it.

A pass is a rule that returns a node's replacement, given the replacements of its operands.  Nodes
are immutable and interned (``node.py``), so an unchanged node stays the same object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from elman.graph.node import Node, ancestors, intern

#: From a node, and the replacements of all earlier nodes, to its replacement.
Rule = Callable[[Node, Mapping[Node, Node]], Node]


def rewrite(roots: Iterable[Node], rule: Rule) -> dict[Node, Node]:
    """The replacement of each root and of each node that a root depends on.

    >>> from elman.graph import tanh
    >>> h = intern("state", (), "h")
    >>> def halve(node, new):
    ...     return 0.5 * h if node is h else moved(node, new)
    >>> root = tanh(h + 1)
    >>> rewrite([root], halve)[root]
    tanh(add(multiply(constant(0.5), state(h)), constant(1.0)))
    """
    new: dict[Node, Node] = {}
    for node in ancestors(roots):
        new[node] = rule(node, new)
    return new


def moved(node: Node, new: Mapping[Node, Node]) -> Node:
    """The same operation on the replacements of its operands."""
    operands = tuple([new[operand] for operand in node.operands])
    return node if operands == node.operands else intern(node.operation, operands, node.attribute)
