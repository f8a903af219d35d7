"""The one way in which a graph becomes another: node by node, operands first.

A pass is a rule that says what a node becomes, given what its operands have become.  Nodes are
immutable and interned (``node.py``), so what a rule leaves alone stays the same object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from elman.graph.node import Node, ancestors, intern

#: From a node, and what every node before it has become, to what this one becomes.
Rule = Callable[[Node, Mapping[Node, Node]], Node]


def rewrite(roots: Iterable[Node], rule: Rule) -> dict[Node, Node]:
    """What each node that the roots are made from becomes, the roots among them.

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
    """The same operation on what its operands have become."""
    operands = tuple([new[operand] for operand in node.operands])
    return node if operands == node.operands else intern(node.operation, operands, node.attribute)
