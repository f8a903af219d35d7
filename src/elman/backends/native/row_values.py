"""Values of a step that need no state, from x and side inputs, by one call of compiled code."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from elman.backends.native.kernels import SCALARS
from elman.backends.native.llvm.jit import load
from elman.backends.native.llvm.row_values import FIRST_LEAF, Result, RowLayout, text_of
from elman.backends.native.llvm.target import chosen_target
from elman.graph.node import OPERATIONS, Node, ancestors
from elman.graph.ops import PRODUCTS
from elman.graph.sizes import Block, Sizes, columns_of
from elman.passes.lower import lower


@dataclass(frozen=True)
class Wanted:
    """A value for each row; one of width one is repeated to ``width``."""

    node: Node
    width: int


class RowValues:
    """Computes values side by side in rows of ``outputs``, a tensor for each group of values.

    ``known`` has the tensors of parameters and of matrices computed from them; ``inputs`` the
    number of features of x and of each side input.  ``slots`` are the places of their addresses in
    ``table``, which the caller fills in before it calls ``address`` with ``table``.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[Wanted]],
        known: Mapping[Node, Tensor],
        inputs: Mapping[Node, int],
        sizes: Sizes,
        batch: int,
        dtype: torch.dtype,
        *,
        title: str,
    ) -> None:
        target, scalar = chosen_target(), SCALARS[dtype]
        lanes = target.lanes(scalar)
        wanted = [each for group in groups for each in group]
        roots = lower([each.node for each in wanted])
        leaves = [n for n in ancestors(roots, stop=known) if n in known or n in inputs]
        strides = [sum([each.width for each in group]) for group in groups for _ in group]
        columns = {
            node: [_span(sizes, block) for block in _blocks(node)]
            for node in ancestors(roots, stop=known)
            if node.operation in PRODUCTS and node not in known
        }
        layout = RowLayout(
            tuple(leaves),
            frozenset([node for node in leaves if node in known]),
            tuple(
                [
                    Result(node, each.width, stride)
                    for node, each, stride in zip(roots, wanted, strides, strict=True)
                ]
            ),
            _widths(roots, known, inputs, sizes),
            columns,
            scalar,
            lanes,
        )
        text = text_of(layout, target)
        self._kernel = load(f"{title}\n{text}", target, lambda: text)
        self.address = self._kernel.address("values")
        self.outputs = [
            torch.zeros(batch, sum([each.width for each in group]), dtype=dtype, device="cpu")
            for group in groups
        ]
        self._fixed = {node: FIRST_LEAF + k for k, node in enumerate(leaves) if node in known}
        self._scratch = torch.zeros(max(layout.scratch, 1), dtype=dtype, device="cpu")
        places = [
            output.data_ptr() + sum([each.width for each in group[:k]]) * dtype.itemsize
            for output, group in zip(self.outputs, groups, strict=True)
            for k in range(len(group))
        ]
        empty = [0] * len(leaves)
        self.words = array("q", [batch, self._scratch.data_ptr(), *empty, *places])
        self.table = self.words.buffer_info()[0]
        self.slots = {n: FIRST_LEAF + k for k, n in enumerate(leaves) if n in inputs}
        self._lanes, self._dtype = lanes, dtype
        self.pack(known)

    def pack(self, known: Mapping[Node, Tensor]) -> None:
        """Copy new tensors of these shapes."""
        self._packed = {
            node: _packed(known[node].to(self._dtype), self._lanes) for node in self._fixed
        }
        for node, place in self._fixed.items():
            self.words[place] = self._packed[node].data_ptr()


def can_compute(
    nodes: Sequence[Node], known: Mapping[Node, Tensor], inputs: Mapping[Node, int], sizes: Sizes
) -> bool:
    """Whether operands of different widths are only values of width one, and all else is known.

    In cells with a matrix state, a value per head also meets values of the head's units.
    """
    roots = lower(nodes)
    widths = _widths(roots, known, inputs, sizes)
    for node in widths:
        if node in known or node in inputs or node.operation in ("constant", *PRODUCTS):
            continue
        if not node.operands or OPERATIONS[node.operation].kind == "memory":
            return False
        if not {widths[operand] for operand in node.operands} <= {1, widths[node]}:
            return False
    return True


def _packed(tensor: Tensor, lanes: int) -> Tensor:
    """A matrix as (columns, rows in whole vectors), a vector as it is; a copy."""
    if tensor.dim() == 1:
        return tensor.detach().clone()
    rows, columns = tensor.shape
    packed = tensor.new_zeros(columns, -(-rows // lanes) * lanes)
    packed[:, :rows] = tensor.detach().mT
    return packed


def _blocks(node: Node) -> Sequence[Block]:
    if node.operation == "block_product":
        return (node.attribute,)
    return columns_of([operand.size for operand in node.operands[1:]], node.attribute)


def _span(sizes: Sizes, block: Block) -> tuple[int, int]:
    columns = sizes.columns(block)
    return columns.start, columns.stop - columns.start


def _widths(
    roots: Sequence[Node], known: Mapping[Node, Tensor], inputs: Mapping[Node, int], sizes: Sizes
) -> dict[Node, int]:
    """The number of values of each node in a row."""
    widths: dict[Node, int] = {}
    for node in ancestors(roots, stop=known):
        if node in known:
            widths[node] = known[node].shape[0]
        elif node in inputs:
            widths[node] = inputs[node]
        elif node.operation in ("constant", "mean"):
            widths[node] = 1
        elif node.operation in PRODUCTS:
            widths[node] = widths[node.operands[0]]
        elif node.operation == "repeat":
            widths[node] = sizes.width((node.attribute,))
        else:
            widths[node] = max([widths[operand] for operand in node.operands], default=0)
    return widths
