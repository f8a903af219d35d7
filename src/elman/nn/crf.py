"""A linear-chain conditional random field: tags weighed against their neighbours.

p(tags | scores) = exp(s(tags)) / Σ exp(s(any tags)), where s is the sum of the scores of the
tags, of the transitions from each to the next, and of a start and an end.  The sum over all tag
sequences is one recursion over time.  Finding the best sequence is ``decode/viterbi.py``.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import ShapeError

Scores = Float[Tensor, "time batch tag"]
Tags = Int64[Tensor, "time batch"]
Lengths = Int64[Tensor, " batch"]
Rows = Float[Tensor, " batch"]


class LinearChainCRF(nn.Module):
    """Probabilities of tag sequences (Lafferty, McCallum and Pereira 2001; Lample et al. 2016).

    Parameters: ``transitions`` (tag before, tag after), ``start`` (tag) and ``end`` (tag).
    Lengths may be in any order; a row of length 0 has the one sequence without tags, whose
    probability is 1.

    >>> import torch
    >>> crf = LinearChainCRF(3)
    >>> scores, lengths = torch.randn(2, 1, 3), torch.tensor([2])
    >>> every = [torch.tensor([[a], [b]]) for a in range(3) for b in range(3)]
    >>> total = sum(crf.log_likelihood(scores, tags, lengths).exp() for tags in every)
    >>> round(total.item(), 5)
    1.0
    """

    def __init__(self, num_tags: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.empty(num_tags, num_tags).uniform_(-0.1, 0.1))
        self.start = nn.Parameter(torch.empty(num_tags).uniform_(-0.1, 0.1))
        self.end = nn.Parameter(torch.empty(num_tags).uniform_(-0.1, 0.1))

    def log_likelihood(self, scores: Scores, tags: Tags, lengths: Lengths) -> Rows:
        """log p(tags | scores) of each row; what stands after a row's length does not count.

        Raises ``ShapeError`` when the tensors do not fit each other.
        """
        if tags.shape != scores.shape[:2]:
            raise ShapeError(
                f"LinearChainCRF: tags have the shape {tuple(tags.shape)}, but scores are "
                f"{tuple(scores.shape)}, (time, batch, tag)."
            )
        return self.score(scores, tags, lengths) - self.log_partition(scores, lengths)

    def score(self, scores: Scores, tags: Tags, lengths: Lengths) -> Rows:
        """s(tags): the sum of scores, transitions, start and end of each row."""
        self._check(scores, lengths)
        if scores.shape[0] == 0:
            return scores.new_zeros(scores.shape[1])
        steps = torch.arange(scores.shape[0], device=scores.device)[:, None]
        inside = steps < lengths[None, :]
        tags = torch.where(inside, tags, 0)
        own = scores.gather(-1, tags[..., None]).squeeze(-1)
        total = torch.where(inside, own, 0.0).sum(0)
        moves = self.transitions[tags[:-1], tags[1:]]
        total = total + torch.where(inside[1:], moves, 0.0).sum(0)
        last = tags.gather(0, (lengths - 1).clamp_min(0)[None, :]).squeeze(0)
        ends = self.start[tags[0]] + self.end[last]
        return total + torch.where(lengths > 0, ends, 0.0)

    def log_partition(self, scores: Scores, lengths: Lengths) -> Rows:
        """log Σ exp(s(tags)) over all tag sequences of each row.

        αₜ(j) = scoreₜ(j) + log Σᵢ exp(αₜ₋₁(i) + transition(i, j)).  The sum is a product with
        exp(transitions), after the largest α is taken out, so that nothing overflows.
        """
        self._check(scores, lengths)
        time, batch, _ = scores.shape
        if time == 0 or batch == 0:
            return scores.new_zeros(batch)
        order = torch.argsort(lengths, descending=True, stable=True)
        counts = (torch.arange(time)[:, None] < lengths.cpu()[None, :]).sum(1).tolist()
        scores = scores.index_select(1, order)
        largest_move = self.transitions.detach().amax().clamp_min(torch.finfo(scores.dtype).min)
        moves = (self.transitions - largest_move).exp()
        alpha = self.start + scores[0]
        ended: list[Tensor] = []
        for t in range(1, time):
            count = counts[t]
            if count == 0:
                break
            if count < alpha.shape[0]:
                ended.append(alpha[count:])
                alpha = alpha[:count]
            # a row whose tags are all impossible must not make NaN of -inf - -inf
            peak = alpha.detach().amax(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).min)
            summed = (alpha - peak).exp() @ moves
            alpha = scores[t, :count] + _safe_log(summed) + (peak + largest_move)
        ended.append(alpha)
        final = torch.cat(ended[::-1])
        partition = torch.logsumexp(final + self.end, -1)
        partition = torch.where(lengths[order] > 0, partition, 0.0)
        return partition.index_select(0, torch.argsort(order))

    def _check(self, scores: Scores, lengths: Lengths) -> None:
        if scores.dim() != 3 or scores.shape[-1] != self.start.shape[0]:
            raise ShapeError(
                f"LinearChainCRF: scores have the shape {tuple(scores.shape)}, but they must be "
                f"(time, batch, {self.start.shape[0]})."
            )
        if lengths.shape != scores.shape[1:2]:
            raise ShapeError(
                f"LinearChainCRF: lengths have the shape {tuple(lengths.shape)}, but scores have "
                f"{scores.shape[1]} rows."
            )


def _safe_log(x: Tensor) -> Tensor:
    """log x, and -inf with a gradient of 0 where x is 0."""
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, 1.0).log(), -torch.inf)
