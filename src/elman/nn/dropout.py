"""Random masks and dropout.

One thread draws masks from torch's generator, so a seed gives the same masks with any number of
threads.  ``noise.py`` handles dropout inside the steps of a recurrent layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from elman.errors import OptionError


def draw_mask(shape: Sequence[int], p: float, like: Tensor, *, scaled: bool = True) -> Tensor:
    """A mask of 0 with probability ``p``, else 1 / (1 - p), or 1 if not ``scaled``.

    ``p`` is rounded to a multiple of 1 / 65,536: each draw of 64 bits gives four values, which is
    about ten times faster than single draws.  The mask has the device and dtype of ``like``, but at
    least float32.

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> draw_mask((2, 4), 0.5, torch.ones(1)).tolist()
    [[0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    dtype = torch.promote_types(like.dtype, torch.float32)
    if p in (0, 1):
        return torch.full(tuple(shape), 1.0 - p, dtype=dtype, device=like.device)
    count = prod(shape)
    masks, lowest = -(-count // 4), -(2**63)
    least = min(round(p * 65536) - 32768, 32767)
    transformed = torch._C._functorch.peek_interpreter_stack() is not None
    if torch.compiler.is_compiling() or transformed:  # not in place: slower, the same values
        bits = torch.randint(lowest, -lowest - 1, (masks,), device=like.device) ^ lowest
        mask = (bits.view(torch.int16)[:count] >= least).to(dtype)
    else:
        bits = torch.empty(masks, dtype=torch.int64, device=like.device).random_(lowest, None)
        mask = torch.empty(count, dtype=dtype, device=like.device)
        torch.ge(bits.view(torch.int16)[:count], least, out=mask)
    return (mask.mul_(1 / (1 - p)) if scaled else mask).view(tuple(shape))


def dropout(
    x: Float[Tensor, "time batch features"], p: float, *, locked: bool = False
) -> Float[Tensor, "time batch features"]:
    """Dropout (Srivastava et al. 2014); with ``locked``, all steps share one mask.

    >>> import torch
    >>> x = torch.ones(2, 1, 3)
    >>> dropout(x, 0.0) is x, dropout(x, 1.0).tolist()
    (True, [[[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]])
    """
    if p == 0:
        return x
    shape = (1, *x.shape[1:]) if locked else x.shape
    return x * draw_mask(shape, p, x).to(x.dtype)


class VariationalDropout(nn.Module):
    """Drops whole features of a sequence in training (Gal and Ghahramani 2016).

    Each row has one mask for all its time steps; the rest is scaled by 1 / (1 - p).

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> y = VariationalDropout(0.5)(torch.ones(4, 1, 6))
    >>> bool((y == y[0]).all()), sorted(set(y.flatten().tolist()))
    (True, [0.0, 2.0])
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise OptionError(f"VariationalDropout: p is {p}; it must be from 0 to 1.")
        self.p = p

    def forward(
        self, x: Float[Tensor, "time batch features"]
    ) -> Float[Tensor, "time batch features"]:
        """``x``, with dropped features in training."""
        return dropout(x, self.p, locked=True) if self.training else x

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
