"""The steps of a matrix state as torch sees them.

The native engine runs plain tensors on the CPU, and has kernels for the gradients.  Elsewhere, on
other devices, in function transforms and second derivatives, the operations of the reference
engine are used, which torch differentiates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from elman.autograd import is_seen_by_torch
from elman.backends import choose
from elman.backends.arguments import is_plain
from elman.backends.native import matrix_states as native
from elman.backends.native.kernels import SCALARS
from elman.backends.reference import matrix_states as reference
from elman.graph import read_cell


def scan(
    core: str,
    sides: Sequence[Tensor],  # time batch head unit key, or head unit key
    states: Sequence[Tensor],  # batch head unit key
    time: int,
    lengths: Tensor | None,
    reverse: bool,
    backend: str,
) -> tuple[Tensor, list[Tensor]]:
    """The outputs (time, batch, head, unit, 1) and the last states of the core with this text."""
    tensors = [*sides, *states]
    if not _is_native(tensors, backend):
        return reference.scan(read_cell(core), sides, states, time, lengths, reverse)
    run = native.Run(core, sides, states, time, lengths, reverse)
    if torch.is_grad_enabled() and any([tensor.requires_grad for tensor in tensors]):
        y, *last = _Scan.apply(run, *tensors)  # type: ignore[no-untyped-call]
        return y, last
    y, last, _ = native.forward(run, save=False)
    return y, last


def _is_native(tensors: Sequence[Tensor], backend: str) -> bool:
    if is_seen_by_torch() or forward_ad._current_level >= 0:
        return False
    like = tensors[0]
    if like.dtype not in SCALARS or not all(map(is_plain, tensors)):
        return False
    chosen, _ = choose(backend, like.dtype, like.device)
    return chosen == "native"


class _Scan(torch.autograd.Function):
    """The native engine's steps and their gradients; ``tensors`` are the run's sides and states."""

    @staticmethod
    def forward(ctx: Any, run: native.Run, *tensors: Tensor) -> tuple[Tensor, ...]:
        y, last, saved = native.forward(run, save=True)
        assert saved is not None
        ctx.run, ctx.saved = run, saved
        ctx.save_for_backward(*tensors)
        return (y, *last)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dlast: Tensor | None) -> tuple[Any, ...]:
        tensors = ctx.saved_tensors
        count, run = len(ctx.run.sides), ctx.run
        sides, states = tensors[:count], tensors[count:]
        dy = states[0].new_zeros(run.time, *states[0].shape) if dy is None else dy
        ends = [
            torch.zeros_like(state) if end is None else end
            for state, end in zip(states, dlast, strict=True)
        ]
        if torch.is_grad_enabled():  # somebody differentiates the gradients
            return None, *_by_torch(run, sides, states, dy, ends)
        again = native.Run(run.core, sides, states, run.time, run.lengths, run.reverse)
        dsides, dstates = native.backward(again, ctx.saved, dy, ends)
        return None, *dsides, *dstates


def _by_torch(
    run: native.Run,
    sides: Sequence[Tensor],
    states: Sequence[Tensor],
    dy: Tensor,
    ends: Sequence[Tensor],
) -> list[Tensor | None]:
    """The gradients as operations of torch, which can be differentiated again."""
    y, last = reference.scan(read_cell(run.core), sides, states, run.time, run.lengths, run.reverse)
    inputs = [tensor for tensor in (*sides, *states) if tensor.requires_grad]
    found = iter(
        torch.autograd.grad([y, *last], inputs, [dy, *ends], create_graph=True, allow_unused=True)
    )
    return [next(found) if tensor.requires_grad else None for tensor in (*sides, *states)]
