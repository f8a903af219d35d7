"""The steps of a matrix state in torch's operations, one after another: exact, and slow.

Every value has the axes (head, unit, key), of length 1 where it has no such axis, after those of
time and batch.  torch's autograd differentiates it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from elman.graph import Cell
from elman.graph.node import OPERATIONS, Node, intern
from elman.torch_mathematics import TorchMathematics


def scan(
    core: Cell,
    sides: Sequence[Tensor],  # time batch head unit key, or head unit key
    states: Sequence[Tensor],  # batch head unit key
    time: int,
    lengths: Tensor | None,
    reverse: bool,
) -> tuple[Tensor, list[Tensor]]:
    """The outputs (time, batch, head, unit, 1) and the last states of a core's steps."""
    leaves = [intern("side", (), side) for side in core.inputs]
    fixed = {leaf: s for leaf, s in zip(leaves, sides, strict=True) if s.dim() == 3}
    varying = [(leaf, s) for leaf, s in zip(leaves, sides, strict=True) if s.dim() == 5]
    running = None
    if lengths is not None:
        steps = torch.arange(time, device="cpu")
        running = (steps[:, None] < lengths.cpu()[None, :]).to(states[0].device)
    outputs: dict[int, Tensor] = {}
    for t in reversed(range(time)) if reverse else range(time):
        values: dict[Node, Tensor] = dict(fixed)
        values |= {leaf: side[t] for leaf, side in varying}
        values |= dict(zip(core.state_leaves, states, strict=True))
        following = [
            value.expand_as(state)
            for value, state in zip(_values(core, values, states[0]), states, strict=True)
        ]
        if running is None:
            outputs[t], states = following[0], following
            continue
        now = running[t].reshape(-1, 1, 1, 1)
        outputs[t] = torch.where(now, following[0], 0)
        states = [torch.where(now, a, b) for a, b in zip(following, states, strict=True)]
    if not outputs:
        return states[0].new_zeros(0, *states[0].shape), list(states)
    return torch.stack([outputs[t] for t in range(time)]), list(states)


def _values(core: Cell, values: dict[Node, Tensor], like: Tensor) -> list[Tensor]:
    """The next states, from the leaves."""
    for node in core.nodes:
        if node in values:
            continue
        if node.operation == "constant":
            values[node] = torch.full((), node.attribute, dtype=like.dtype, device=like.device)
            continue
        rule = OPERATIONS[node.operation].evaluate
        assert rule is not None, f"{node.operation} has no definition"
        values[node] = rule(TorchMathematics, *[values[operand] for operand in node.operands])
    return [values[node] for node in core.next_states]
