"""A cell computed in the most obvious way: the oracle for passes and engines.

One row at a time, one step at a time, one torch call a value; torch's autograd differentiates it.
It shares nothing with the engines but the cell's nodes: the functions are named here once more,
and a row of the table of operations that has none here fails ``backends/test_gradients.py``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from elman.graph import Cell
from elman.graph.node import Node
from elman.graph.sizes import Sizes

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "negate": lambda a: -a,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "exp": torch.exp,
    "log": torch.log,
    "softplus": lambda a: torch.logaddexp(a, torch.zeros_like(a)),
    "sqrt": torch.sqrt,
    "abs": torch.abs,
    "sin": torch.sin,
    "cos": torch.cos,
    "floor": torch.floor,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "greater": lambda a, b: a > b,
    "at_least": lambda a, b: a >= b,
    "where": torch.where,
    "layer_norm": lambda a: torch.nn.functional.layer_norm(a, a.shape[-1:]),
    "transpose": lambda a: a.T,
    "skew": lambda a: a - a.T,
    "orthogonal": lambda a: torch.linalg.inv(identity(a) + a - a.T) @ (identity(a) - a + a.T),
    "householder": lambda a: reflections(a),
    "unit_rows": lambda a: torch.stack([row / (row * row).sum().sqrt() for row in a]),
    "lower_triangle": lambda a: a * torch.ones_like(a).tril(),
    "heads": lambda a, count: torch.block_diag(*a.chunk(int(count))),
}


def identity(a: Tensor) -> Tensor:
    return torch.eye(len(a), dtype=a.dtype)


def reflections(a: Tensor) -> Tensor:
    """The product of the reflections along the columns, each with a 1 on the diagonal."""
    found = identity(a)
    for k in range(len(a)):
        v = torch.cat([a.new_zeros(k), a.new_ones(1), a[k + 1 :, k]])
        found = found @ (identity(a) - 2 * torch.outer(v, v) / (v @ v))
    return found


@dataclass(frozen=True)
class Numbers:
    """What a layer in one direction is given, all in float64."""

    x: Tensor  # time batch input
    states: tuple[Tensor, ...]  # batch hidden
    parameters: tuple[Tensor, ...]
    lengths: Tensor | None = None
    reverse: bool = False

    @property
    def tensors(self) -> list[Tensor]:
        return [self.x, *self.states, *self.parameters]

    def with_tensors(self, tensors: Sequence[Tensor]) -> "Numbers":
        x, *rest = tensors
        count = len(self.states)
        return replace(self, x=x, states=tuple(rest[:count]), parameters=tuple(rest[count:]))


def draw_numbers(
    cell: Cell,
    seed: int,
    *,
    time: int = 4,
    batch: int = 3,
    input_size: int = 2,
    hidden_size: int = 3,
    lengths: Sequence[int] | None = None,
    reverse: bool = False,
    own: Mapping[str, int] = MappingProxyType({}),
) -> Numbers:
    """Random numbers for a cell; ``lengths`` one for each row of the batch, ``own`` its sizes."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    sizes = Sizes(input_size, hidden_size, own=tuple(own.items()))
    widths = [sizes.width((cell.state_size(name),)) for name in cell.states]
    return Numbers(
        x=normal(time, batch, input_size),
        states=tuple([0.7 * normal(batch, width) for width in widths]),
        parameters=tuple([0.6 * normal(*p.shape(sizes)) for p in cell.parameters]),
        lengths=None if lengths is None else torch.tensor(lengths),
        reverse=reverse,
    )


def values_of(
    nodes: Iterable[Node], cell: Cell, x: Tensor, states: Sequence[Tensor], numbers: Numbers
) -> dict[Node, Any]:
    """Every value of one step of one row: x (input,), each state (hidden,)."""
    sizes = Sizes(x.shape[-1], states[0].shape[-1])
    parameters = {
        (p.kind, p.family, p.gate): tensor
        for p, tensor in zip(cell.parameters, numbers.parameters, strict=True)
    }
    values: dict[Node, Any] = {}
    for node in nodes:
        operands = [values[operand] for operand in node.operands]
        if node.operation == "input":
            values[node] = x
        elif node.operation == "state":
            values[node] = states[cell.states.index(node.attribute)]
        elif node.operation == "constant":
            values[node] = torch.tensor(node.attribute, dtype=x.dtype)
        elif node.operation in {"matrix", "vector"}:
            values[node] = parameters[node.operation, *node.attribute]
        elif node.operation == "product":
            values[node] = operands[0] @ torch.cat(operands[1:])
        elif node.operation == "block_product":
            values[node] = operands[0][:, sizes.columns(node.attribute)] @ operands[1]
        else:
            values[node] = FUNCTIONS[node.operation](*operands)
    return values


def run(
    cell: Cell,
    numbers: Numbers,
    watch: Callable[[dict[Node, Any]], None] = lambda values: None,
) -> tuple[Tensor, list[Tensor]]:
    """The outputs (time, batch, hidden) and the last states, as ``Recurrent`` defines them.

    ``watch`` is shown the values of each step of each row.
    """
    time, batch, _ = numbers.x.shape
    outputs = [[torch.zeros_like(numbers.states[0][0])] * batch for _ in range(time)]
    last: list[list[Tensor]] = []
    for row in range(batch):
        length = time if numbers.lengths is None else int(numbers.lengths[row])
        steps = list(range(length))
        states = [state[row] for state in numbers.states]
        for t in reversed(steps) if numbers.reverse else steps:
            values = values_of(cell.nodes, cell, numbers.x[t, row], states, numbers)
            watch(values)
            states = [values[node] for node in cell.next_states]
            outputs[t][row] = states[0]
        last.append(states)
    hidden = numbers.states[0].shape[-1]
    y = torch.cat([torch.stack(rows) for rows in outputs] or [numbers.x.new_zeros(0, hidden)])
    y = y.reshape(time, batch, hidden)
    return y, [torch.stack(states) for states in zip(*last, strict=True)]


def distance_from_kinks(cell: Cell, numbers: Numbers) -> float:
    """How far the numbers are from where a derivative jumps (or where one is very large)."""
    found = [torch.inf]

    def watch(values: dict[Node, Any]) -> None:
        for node in cell.nodes:
            operands = [values[operand] for operand in node.operands]
            if node.operation in {"relu", "abs"}:
                found.append(operands[0].abs().min().item())
            elif node.operation in {"maximum", "minimum", "greater", "at_least"}:
                found.append((operands[0] - operands[1]).abs().min().item())
            elif node.operation == "floor":
                found.append((operands[0] - operands[0].round()).abs().min().item())
            elif node.operation == "layer_norm":
                found.append(operands[0].std().item() / 50)

    with torch.no_grad():
        run(cell, numbers, watch)
    return min(found)
