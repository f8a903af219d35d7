"""A linear-chain conditional random field: the probability of whole tag sequences.

``decode/viterbi.py`` finds the best sequence; ``models/tagger.py`` computes the scores.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import ShapeError
from elman.nn.pooling import running

Scores = Float[Tensor, "time batch tag"]
Tags = Int64[Tensor, "time batch"]
Lengths = Int64[Tensor, " batch"]
Rows = Float[Tensor, " batch"]


class LinearChainCRF(nn.Module):
    """Probabilities of tag sequences (Lafferty, McCallum and Pereira 2001; Lample et al. 2016).

    A sequence of tags y₁ … y_T has the score

        s(y) = start(y₁) + Σₜ scoreₜ(yₜ) + Σₜ transition(yₜ₋₁, yₜ) + end(y_T)

    and the probability exp(s(y)) / Z, where Z is the sum of exp(s) over all sequences of tags.
    Without transitions, this is a softmax at each word; transitions let a tag depend on its
    neighbours, such as I-PER after B-PER.

    Parameters: ``transitions`` (tag before, tag after), ``start`` (tag) and ``end`` (tag).  A
    value of -inf, also in a score, forbids a tag or transition.  Lengths may be in any order; the
    empty sequence of a row of length 0 has probability 1.

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
        """log p(tags | scores) of each row; steps after a row's length do not count.

        Raises ``ShapeError`` if the shapes do not match.
        """
        if tags.shape != scores.shape[:2]:
            raise ShapeError(
                f"LinearChainCRF: tags have the shape {tuple(tags.shape)}, but scores are "
                f"{tuple(scores.shape)}, (time, batch, tag)."
            )
        return self.score(scores, tags, lengths) - self.log_partition(scores, lengths)

    def score(self, scores: Scores, tags: Tags, lengths: Lengths) -> Rows:
        """s(tags): the sum of scores, transitions, start and end of each row."""
        scores = self._checked(scores, lengths)
        lengths = lengths.to(scores.device)
        if scores.shape[0] == 0:
            return scores.new_zeros(scores.shape[1])
        inside = running(scores, lengths).squeeze(-1)
        tags = torch.where(inside, tags, 0)
        own = scores.gather(-1, tags[..., None]).squeeze(-1)
        total = torch.where(inside, own, 0.0).sum(0)
        moves = self.transitions[tags[:-1], tags[1:]]
        total = total + torch.where(inside[1:], moves, 0.0).sum(0)
        last = tags.gather(0, (lengths - 1).clamp_min(0)[None, :]).squeeze(0)
        ends = self.start[tags[0]] + self.end[last]
        return total + torch.where(lengths > 0, ends, 0.0)

    def log_partition(self, scores: Scores, lengths: Lengths) -> Rows:
        """log Z, the logarithm of Σ exp(s(tags)) over all sequences of tags of each row.

        α₁(j) = start(j) + score₁(j), αₜ(j) = scoreₜ(j) + log Σᵢ exp(αₜ₋₁(i) + transition(i, j)),
        and log Z = log Σⱼ exp(α_T(j) + end(j)).  Its gradient in a score is the probability of
        that tag at that step, over all sequences.
        """
        scores = self._checked(scores, lengths)
        time, batch, _ = scores.shape
        # every step stays in log space: a product with exp(transitions) loses terms more than 87
        # below the largest in float32, and was slower on a CPU
        total = torch.logsumexp if self._all_possible(scores) else _log_sum_exp
        # longest row first, so that finished rows are the last ones; batch as the last axis, so
        # that rows are contiguous
        order = torch.argsort(lengths, descending=True, stable=True).to(scores.device)
        counts = (torch.arange(time)[:, None] < lengths.cpu()[None, :]).sum(1).tolist()
        running_rows = counts[0] if time else 0
        if running_rows == 0:
            return scores.new_zeros(batch)
        steps = scores.index_select(1, order[:running_rows]).transpose(1, 2).contiguous()
        moves = self.transitions[:, :, None]
        ended: list[Tensor] = []
        alpha = self.start[:, None] + steps[0]  # tag batch
        # unbind, because the gradient of each steps[t] would be as large as all steps
        for count, score in zip(counts[1:], steps.unbind(0)[1:], strict=True):
            if count == 0:
                break
            if count < alpha.shape[1]:
                ended.append(alpha[:, count:])
                alpha = alpha[:, :count]
            alpha = score[:, :count] + total(alpha[:, None] + moves, 0)  # before after batch
        ended.append(alpha)
        partition = total(torch.cat(ended[::-1], 1) + self.end[:, None], 0)
        return partition.new_zeros(batch).index_copy(0, order[:running_rows], partition)

    def _all_possible(self, scores: Tensor) -> bool:
        """Whether no value is -inf, the common case in training."""
        held = (scores, self.transitions, self.start, self.end)
        return not any(torch.isneginf(x).any().item() for x in held)

    def _checked(self, scores: Scores, lengths: Lengths) -> Scores:
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
        if ((lengths < 0) | (lengths > scores.shape[0])).any():
            raise ShapeError(
                f"LinearChainCRF: lengths range from {int(lengths.min())} to {int(lengths.max())}, "
                f"but scores have {scores.shape[0]} steps."
            )
        # in bfloat16, a sum over many steps would be wrong by more than 1
        return scores.to(torch.promote_types(scores.dtype, self.start.dtype))


def _log_sum_exp(x: Tensor, axis: int) -> Tensor:
    """log Σ exp; if all terms are -inf, its gradient is 0, where torch's is NaN."""
    nothing = torch.isneginf(x).all(axis, keepdim=True)
    total = torch.logsumexp(torch.where(nothing, 0.0, x), axis)
    return torch.where(nothing.squeeze(axis), -torch.inf, total)
