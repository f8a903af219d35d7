"""Scans in torch for states that meet no matrix, s' = a s + b: rivals, with gradients by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class InPlace(torch.autograd.Function):
    """The states of s' = a s + b, in place, with its gradient by hand."""

    @staticmethod
    def forward(ctx: Any, keep: Tensor, write: Tensor) -> Tensor:
        states = write.clone()
        for t in range(1, len(states)):
            states[t].addcmul_(keep[t], states[t - 1])
        ctx.save_for_backward(keep, states)
        return states

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        keep, states = ctx.saved_tensors
        gradient, back = gradient.clone(), keep.conj()
        for t in range(len(states) - 2, -1, -1):
            gradient[t].addcmul_(back[t + 1], gradient[t + 1])
        dkeep = torch.zeros_like(keep)
        dkeep[1:] = gradient[1:] * states[:-1].conj()
        return dkeep, gradient


def _doubled(keep: Tensor, write: Tensor) -> Tensor:
    """s' = a s + b for all steps at once, over 1, 2, 4 ... steps."""
    keep, states, reach = keep.clone(), write.clone(), 1
    while reach < len(states):
        states[reach:] += keep[reach:] * states[:-reach]
        keep[reach:] = keep[reach:] * keep[:-reach]
        reach *= 2
    return states


class Doubling(torch.autograd.Function):
    """The same by doubling (Hillis and Steele 1986), also with its gradient by hand."""

    @staticmethod
    def forward(ctx: Any, keep: Tensor, write: Tensor) -> Tensor:
        states = _doubled(keep, write)
        ctx.save_for_backward(keep, states)
        return states

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        keep, states = ctx.saved_tensors
        back = torch.zeros_like(keep)
        back[1:] = keep[1:].conj().flip(0)
        gradient = _doubled(back, gradient.flip(0)).flip(0)
        dkeep = torch.zeros_like(keep)
        dkeep[1:] = gradient[1:] * states[:-1].conj()
        return dkeep, gradient
