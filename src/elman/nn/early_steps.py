"""The operations of values that need no state, as positions, names and numbers.

torch.compile can trace these; it cannot trace the nodes of a cell.  ``side_inputs.py`` and
``matrix_states.py`` compute with them for all steps at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor
from torch.nn.functional import linear

from elman.graph import Cell
from elman.graph.node import OPERATIONS, Node, Size
from elman.graph.ops import PARAMETERS
from elman.graph.sizes import Block, Sizes, columns_of
from elman.torch_mathematics import TorchMathematics

#: side inputs by name, (time, batch, size), or (1, batch, size) if they are the same at all steps
Sides = Mapping[str, Tensor]


@dataclass(frozen=True)
class EarlyStep:
    """An operation on earlier values, by their positions.

    ``leaf`` is the name of a side input, the position of a parameter, or a number (a constant or
    the number of heads); ``blocks`` are the columns of a matrix that multiply each operand;
    ``size`` is that of the value; a value of size one may be ``repeated`` to another.
    """

    operation: str
    size: Size
    operands: tuple[int, ...]
    leaf: str | int | float | None
    blocks: tuple[Block, ...]
    repeated: Size | None = None


def steps_of(cell: Cell, nodes: Sequence[Node]) -> list[EarlyStep]:
    """The operations of nodes in topological order."""
    index = {node: k for k, node in enumerate(nodes)}
    known = {(str(p.kind), p.family, p.gate): k for k, p in enumerate(cell.parameters)}
    return [
        EarlyStep(
            node.operation,
            node.size,
            tuple([index[operand] for operand in node.operands]),
            _leaf(node, known),
            _blocks(node),
            node.attribute if node.operation == "repeat" else None,
        )
        for node in nodes
    ]


def _leaf(node: Node, known: Mapping[tuple[str, str, str], int]) -> str | int | float | None:
    if node.operation in PARAMETERS:
        family, gate = node.attribute[:2]
        return known[node.operation, family, gate]
    if node.operation == "side":
        return str(node.attribute[0])
    if node.operation == "heads":
        return float(node.operands[1].attribute)
    return float(node.attribute) if node.operation == "constant" else None


def _blocks(node: Node) -> tuple[Block, ...]:
    if node.operation == "block_product":
        return (node.attribute,)
    if node.operation != "product":
        return ()
    return columns_of([operand.size for operand in node.operands[1:]], node.attribute)


def running_steps(lengths: Tensor, time: int) -> Tensor:
    """The positions, in (time, batch) flattened, of steps before the end of their row.

    >>> running_steps(torch.tensor([2, 1]), 3)
    tensor([0, 1, 2])
    """
    steps = torch.arange(time, device="cpu")  # not the user's default device
    running = steps[:, None] < lengths.cpu()[None, :]
    return running.reshape(-1).nonzero().squeeze(1)


def value_of(
    step: EarlyStep,
    values: Sequence[Tensor],
    x: Tensor,
    sides: Sides,
    parameters: Sequence[Tensor],
    sizes: Sizes,
) -> Tensor:
    """The value of a step, whose operands are among ``values``, at all times."""
    if step.operation == "input":
        return x
    if isinstance(step.leaf, str):
        return sides[step.leaf]
    if isinstance(step.leaf, int):
        return parameters[step.leaf]
    if step.operation == "heads":
        assert isinstance(step.leaf, float)
        return TorchMathematics.heads(values[step.operands[0]], int(step.leaf))
    if isinstance(step.leaf, float):
        return torch.full((), step.leaf, dtype=x.dtype, device=x.device)
    operands = [values[k] for k in step.operands]
    if step.repeated is not None:
        (one,) = operands
        return one.expand(sizes.width((step.repeated,)), *one.shape[1:])
    if step.blocks:
        matrix, *factors = operands
        terms = [
            linear(factor, matrix[:, sizes.columns(block)])
            for factor, block in zip(factors, step.blocks, strict=True)
        ]
        return reduce(torch.add, terms)
    rule = OPERATIONS[step.operation].evaluate
    assert rule is not None, f"{step.operation} has no definition"
    value: Tensor = rule(TorchMathematics, *operands)
    return value
