"""Attention over a sequence: a weighted mean with learned weights.

``AttentionPooling`` pools a row into one vector; the other two modules attend from queries to a
memory, such as from a decoder to the source sentence.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.nn.pooling import running

Memory = Float[Tensor, "source batch features"]


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
        # finite, so that a row without steps has finite weights; they multiply zeros
        scores = torch.where(inside, scores, torch.finfo(y.dtype).min)
        return (scores.softmax(0) * y).sum(0)


class MultiplicativeAttention(nn.Module):
    """Attention with the score q · W m / √n (Luong et al. 2015).

    n is the size of a query; without the scaling, large scores saturate the softmax and its
    gradient vanishes (Vaswani et al. 2017).  ``prepare`` computes W m / √n once for a memory; each
    call then takes any number of queries.

    >>> import torch
    >>> attend = MultiplicativeAttention(3, 4)
    >>> memory, lengths = torch.randn(5, 2, 4), torch.tensor([5, 2])
    >>> context, weights = attend(torch.randn(7, 2, 3), attend.prepare(memory), memory, lengths)
    >>> context.shape, weights.shape, weights[:, 1, 2:].sum().item()
    (torch.Size([7, 2, 4]), torch.Size([7, 2, 5]), 0.0)
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(memory_size, query_size, bias=False)
        nn.init.xavier_uniform_(self.project.weight)

    def prepare(self, memory: Memory) -> Float[Tensor, "source batch key"]:
        """The keys of a memory."""
        keys: Tensor = self.project(memory) / self.project.out_features**0.5
        return keys

    def forward(
        self,
        queries: Float[Tensor, "time batch query"],
        keys: Float[Tensor, "source batch key"],
        memory: Memory,
        lengths: Int64[Tensor, " batch"],
    ) -> tuple[Float[Tensor, "time batch features"], Float[Tensor, "time batch source"]]:
        """The weighted mean of the memory for each query, and the weights."""
        # batch time source
        scores = torch.bmm(queries.transpose(0, 1), keys.permute(1, 2, 0))
        return _weighted_mean(scores, memory, lengths)


class AdditiveAttention(nn.Module):
    """Attention with the score v · tanh(W q + U m) (Bahdanau et al. 2015).

    >>> import torch
    >>> attend = AdditiveAttention(3, 4, 6)
    >>> memory, lengths = torch.randn(5, 2, 4), torch.tensor([5, 2])
    >>> context, _ = attend(torch.randn(7, 2, 3), attend.prepare(memory), memory, lengths)
    >>> context.shape
    torch.Size([7, 2, 4])
    """

    def __init__(self, query_size: int, memory_size: int, size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, size, bias=False)
        self.project = nn.Linear(memory_size, size)
        self.score = nn.Linear(size, 1, bias=False)

    def prepare(self, memory: Memory) -> Float[Tensor, "source batch key"]:
        """The keys of a memory."""
        keys: Tensor = self.project(memory)
        return keys

    def forward(
        self,
        queries: Float[Tensor, "time batch query"],
        keys: Float[Tensor, "source batch key"],
        memory: Memory,
        lengths: Int64[Tensor, " batch"],
    ) -> tuple[Float[Tensor, "time batch features"], Float[Tensor, "time batch source"]]:
        """The weighted mean of the memory for each query, and the weights."""
        # batch time source size
        both = self.query(queries).transpose(0, 1)[:, :, None] + keys.transpose(0, 1)[:, None]
        scores = self.score(torch.tanh(both)).squeeze(-1)
        return _weighted_mean(scores, memory, lengths)


def _weighted_mean(
    scores: Float[Tensor, "batch time source"], memory: Memory, lengths: Int64[Tensor, " batch"]
) -> tuple[Tensor, Tensor]:
    inside = (
        torch.arange(memory.shape[0], device=memory.device) < lengths.to(memory.device)[:, None]
    )
    # finite, so that a row without steps has finite weights; they multiply zeros
    scores = torch.where(inside[:, None], scores, torch.finfo(scores.dtype).min)
    weights = scores.softmax(-1)
    values = torch.where(inside[:, :, None], memory.transpose(0, 1), 0.0)
    return torch.bmm(weights, values).transpose(0, 1), weights.transpose(0, 1)
