"""Pool the outputs of all steps into one vector per row; padding never counts.

A row of length 0 gives zeros.  ``attention.py`` has pooling with learned weights.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

Outputs = Float[Tensor, "time batch features"]
Pooled = Float[Tensor, "batch features"]
Lengths = Int64[Tensor, " batch"]


def running(y: Outputs, lengths: Lengths) -> Bool[Tensor, "time batch 1"]:
    """True at the steps within each row's length."""
    steps = torch.arange(y.shape[0], device=y.device)
    return (steps[:, None] < lengths.to(y.device)[None, :]).unsqueeze(-1)


def pool_last(y: Outputs, lengths: Lengths, *, bidirectional: bool = False) -> Pooled:
    """The output at the last step; for the reverse direction, at the first step, its last.

    >>> import torch
    >>> y = torch.arange(6.0).reshape(3, 1, 2)
    >>> pool_last(y, torch.tensor([2])).tolist()
    [[2.0, 3.0]]
    >>> pool_last(y, torch.tensor([2]), bidirectional=True).tolist()
    [[2.0, 1.0]]
    """
    if y.shape[0] == 0:
        return y.new_zeros(y.shape[1:])
    last = (lengths.to(y.device) - 1).clamp_min(0)
    found = y.gather(0, last[None, :, None].expand(1, *y.shape[1:])).squeeze(0)
    if bidirectional:
        half = y.shape[-1] // 2
        found = torch.cat([found[:, :half], y[0, :, half:]], -1)
    return torch.where(running(y, lengths)[0], found, 0.0)


def pool_middle(y: Outputs, lengths: Lengths) -> Pooled:
    """The output at the middle step, for windows around a position.

    >>> import torch
    >>> pool_middle(torch.arange(4.0).reshape(4, 1, 1), torch.tensor([3])).tolist()
    [[1.0]]
    """
    if y.shape[0] == 0:
        return y.new_zeros(y.shape[1:])
    middle = lengths.to(y.device) // 2
    found = y.gather(0, middle[None, :, None].expand(1, *y.shape[1:])).squeeze(0)
    return torch.where(running(y, lengths)[0], found, 0.0)


def pool_mean(y: Outputs, lengths: Lengths) -> Pooled:
    """The mean over a row's steps.

    >>> import torch
    >>> pool_mean(torch.tensor([[[1.0]], [[3.0]], [[99.0]]]), torch.tensor([2])).tolist()
    [[2.0]]
    """
    total = torch.where(running(y, lengths), y, 0.0).sum(0)
    return total / lengths.to(y.device).clamp_min(1).unsqueeze(-1)


def pool_max(y: Outputs, lengths: Lengths) -> Pooled:
    """The maximum of each feature over a row's steps.

    >>> import torch
    >>> pool_max(torch.tensor([[[1.0]], [[3.0]], [[99.0]]]), torch.tensor([2])).tolist()
    [[3.0]]
    """
    if y.shape[0] == 0:
        return y.new_zeros(y.shape[1:])
    inside = running(y, lengths)
    largest = torch.where(inside, y, -torch.inf).amax(0)
    return torch.where(inside[0], largest, 0.0)
