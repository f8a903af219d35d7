"""Merge products that share an operand.

Four products of h with four matrices equal one product of h with the four matrices stacked, which
uses the processor better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elman.graph.node import Node


@dataclass(frozen=True)
class PackedProduct:
    """Products with the same operand, computed together, in the order of ``products``."""

    operand: Node
    products: tuple[Node, ...]


def pack(schedule: Sequence[Node]) -> tuple[Node | PackedProduct, ...]:
    """The schedule with products of one operand merged at the position of the first.

    >>> from elman.cells import lstm
    >>> from elman.graph.node import ancestors
    >>> from elman.passes.hoist import hoist
    >>> packed = pack(ancestors(hoist(lstm.next_states).roots))
    >>> [len(item.products) for item in packed if isinstance(item, PackedProduct)]
    [4, 4]
    """
    shared: dict[Node, list[Node]] = {}
    for node in schedule:
        if node.operation == "block_product":
            shared.setdefault(node.operands[1], []).append(node)
    packed: list[Node | PackedProduct] = []
    for node in schedule:
        if node.operation != "block_product":
            packed.append(node)
        elif node is shared[node.operands[1]][0]:
            packed.append(PackedProduct(node.operands[1], tuple(shared[node.operands[1]])))
    return tuple(packed)
