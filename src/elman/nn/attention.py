"""Attention over a sequence: a weighted mean whose weights are learned."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.nn.pooling import running


class AttentionPooling(nn.Module):
    """Σₜ αₜ yₜ with α = softmax over a row's steps of v · tanh(W y + b) (Yang et al. 2016).

    >>> import torch
    >>> pool = AttentionPooling(4)
    >>> pool(torch.ones(3, 2, 4), torch.tensor([3, 1])).tolist()[1]
    [1.0, 1.0, 1.0, 1.0]
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, features)
        self.context = nn.Linear(features, 1, bias=False)

    def forward(
        self, y: Float[Tensor, "time batch features"], lengths: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch features"]:
        """The weighted mean of a row's outputs; zeros for a row of length 0."""
        if y.shape[0] == 0:
            return y.new_zeros(y.shape[1:])
        inside = running(y, lengths)
        y = torch.where(inside, y, 0.0)
        scores = self.context(torch.tanh(self.hidden(y)))
        # finite, so that a row without any step has weights at all; they then fall on zeros
        scores = torch.where(inside, scores, torch.finfo(y.dtype).min)
        return (scores.softmax(0) * y).sum(0)
