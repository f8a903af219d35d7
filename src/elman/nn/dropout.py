"""Dropout over sequences: the same mask at every step (SPEC 8.2)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from elman.errors import OptionError


class VariationalDropout(nn.Module):
    """Leaves out whole features of a sequence in training (Gal and Ghahramani 2016).

    One mask for each row holds for all its time steps; what stays is scaled by 1 / (1 - p).

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> y = VariationalDropout(0.5)(torch.ones(4, 1, 6))
    >>> bool((y == y[0]).all()), sorted(set(y.flatten().tolist()))
    (True, [0.0, 2.0])
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise OptionError(
                f"VariationalDropout: p is {p}; it must be at least 0 and less than 1."
            )
        self.p = p

    def forward(
        self, x: Float[Tensor, "time batch features"]
    ) -> Float[Tensor, "time batch features"]:
        """``x``, in training without some of its features."""
        if not self.training or self.p == 0:
            return x
        mask = x.new_empty(1, *x.shape[1:]).bernoulli_(1 - self.p) / (1 - self.p)
        return x * mask

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
