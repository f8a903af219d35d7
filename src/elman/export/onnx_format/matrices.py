"""The matrices that a cell multiplies as arrays: its parameters, and what it computes from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from elman.graph import Cell
from elman.graph.node import Node, ancestors
from elman.graph.sizes import Sizes
from elman.nn.early_steps import steps_of, value_of


def matrices_of(
    cell: Cell, nodes: Iterable[Node], parameters: Sequence[np.ndarray], sizes: Sizes
) -> Mapping[Node, np.ndarray]:
    """The matrices that nodes multiply; ``parameters`` are in the cell's order."""
    operands = dict.fromkeys([operand for node in nodes for operand in node.operands])
    wanted = ancestors([operand for operand in operands if operand.size == "matrix"])
    own = [torch.as_tensor(np.ascontiguousarray(array)) for array in parameters]
    values: list[Tensor] = []
    for step in steps_of(cell, wanted):
        values.append(value_of(step, values, torch.empty(0), {}, own, sizes))
    return {node: value.numpy() for node, value in zip(wanted, values, strict=True)}


def name_of_matrix(matrix: Node) -> str:
    """The name of the first parameter in a matrix, such as ``W.f``."""
    leaf = next(node for node in ancestors([matrix]) if node.operation == "matrix")
    family, gate = leaf.attribute[:2]
    return f"{family}.{gate}"
