"""Gates that share an operand become one product.

Four products of h with four matrices are one product of h with the four matrices on top of each
other: the same numbers, in one call that keeps a processor busy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elman.graph.node import Node


@dataclass(frozen=True)
class PackedProduct:
    """Products of one operand, to be computed together, in the order of ``products``."""

    operand: Node
    products: tuple[Node, ...]


def pack(schedule: Sequence[Node]) -> tuple[Node | PackedProduct, ...]:
    """The schedule with products of one operand joined where the first of them stood.

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
