"""The tensors of a layer that are the same at all steps: parameters, and what they alone give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from elman.graph import Cell
from elman.graph.node import OPERATIONS, Node, ancestors
from elman.graph.ops import PARAMETERS, PRODUCTS
from elman.graph.sizes import Sizes
from elman.torch_mathematics import TorchMathematics

#: the parameters of a layer by family and gate
Parameters = Mapping[tuple[str, str], Tensor]


def by_name(cell: Cell, tensors: Sequence[Tensor], dtype: torch.dtype) -> Parameters:
    """Copies of the parameters, which are in the cell's order."""
    return {
        (p.family, p.gate): tensor.detach().to(dtype, copy=True)
        for p, tensor in zip(cell.parameters, tensors, strict=True)
    }


def known_values(
    roots: Iterable[Node], own: Parameters, sizes: Sizes, dtype: torch.dtype
) -> dict[Node, Tensor]:
    """The parameters that values are computed from, and everything that needs nothing else.

    Products are left out.
    """
    found: dict[Node, Tensor] = {}
    constants: dict[Node, Tensor] = {}
    for node in ancestors(roots):
        if node.operation in PARAMETERS:
            found[node] = own[node.attribute[:2]]
        elif node.operation == "constant":
            constants[node] = torch.full((), node.attribute, dtype=dtype, device="cpu")
        elif node.operation == "heads":
            matrix, count = node.operands
            found[node] = TorchMathematics.heads(found[matrix], int(count.attribute))
        elif node.operation == "repeat" and node.operands[0] in found:
            one = found[node.operands[0]]
            found[node] = one.expand(sizes.width((node.attribute,)), *one.shape[1:])
        elif node.operands and node.operation not in PRODUCTS:
            known = {**found, **constants}
            rule = OPERATIONS[node.operation].evaluate
            if rule is None or not all([operand in known for operand in node.operands]):
                continue
            value: Tensor = rule(TorchMathematics, *[known[o] for o in node.operands])
            (found if value.dim() else constants)[node] = value
    return found
