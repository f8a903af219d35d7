"""The steps of a matrix state in torch's operations, one after another: exact, and slow.

Every value has the axes (head, unit, key), of length 1 where it has no such axis, after those of
time and batch.  torch's autograd differentiates it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
        running = steps[:, None] < lengths.cpu()[None, :]
    outputs: dict[int, Tensor] = {}
    for t in reversed(range(time)) if reverse else range(time):
        given = {leaf: side[t] for leaf, side in varying}
        rows = None if running is None or running[t].all() else running[t].nonzero().squeeze(1)
        if rows is None:
            states = _step(core, fixed, given, states)
            outputs[t] = states[0]
            continue
        # rows that have ended are not computed: a division of padding has no gradient
        rows = rows.to(states[0].device)
        own = {leaf: side.index_select(0, rows) for leaf, side in given.items()}
        following = _step(core, fixed, own, [state.index_select(0, rows) for state in states])
        outputs[t] = torch.zeros_like(states[0]).index_copy(0, rows, following[0])
        states = [a.index_copy(0, rows, b) for a, b in zip(states, following, strict=True)]
    if not outputs:
        y = states[0].new_zeros(0, *states[0].shape)
        return y + sum([side.sum() for _, side in varying]), list(states)  # has a gradient: zero
    return torch.stack([outputs[t] for t in range(time)]), list(states)


def _step(
    core: Cell,
    fixed: Mapping[Node, Tensor],
    varying: Mapping[Node, Tensor],
    states: Sequence[Tensor],
) -> list[Tensor]:
    """The next states of all rows."""
    values = {**fixed, **varying, **dict(zip(core.state_leaves, states, strict=True))}
    following = _values(core, values, states[0])
    return [value.expand_as(state) for value, state in zip(following, states, strict=True)]


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
