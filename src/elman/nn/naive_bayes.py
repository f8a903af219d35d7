"""Naive Bayes as a layer: what is counted in the training texts, in place of what is learned.

The phrases of a text, its words and short groups of them, are looked up in a table of counts.  The
counts stay as they are; one weight, how much they are to be believed, is trained.  Which phrases
there are: ``data/phrases.py``.  Beside a network: ``models/phrases.py``.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import ShapeError

UNKNOWN = 1


class NaiveBayes(nn.Module):
    """weight · Σ log p(phrase | class) over a text's phrases (Wang and Manning 2012).

    ``counts`` says how many of the training texts of a class have the phrase of an index; those of
    the indices 0, padding, and 1, unknown, are not looked at.  One is added to every count.  With
    ``labels`` the texts are taken to be among those counted, and each is left out of the counts
    that it is judged by: a phrase that only it has says nothing then, as it would of a new text.
    Without that, the counts know the training's labels and leave nothing to be learned.

    Raises ``ShapeError`` for counts that are no table.

    >>> import torch
    >>> counts = torch.tensor([[0, 0], [0, 0], [3, 0], [1, 4]])  # "fine" in 3 texts of class 0
    >>> bayes = NaiveBayes(counts, weight=1.0)
    >>> bayes(torch.tensor([[2], [1]])).softmax(-1)  # 4/6 to 1/6
    tensor([[0.8000, 0.2000]], grad_fn=<SoftmaxBackward0>)
    """

    def __init__(
        self,
        counts: Float[Tensor, "phrase class"] | Int64[Tensor, "phrase class"],
        *,
        weight: float,
    ) -> None:
        super().__init__()
        if counts.dim() != 2:
            raise ShapeError(
                f"NaiveBayes: counts have the shape {tuple(counts.shape)}, but a table of phrases "
                "and classes has two dimensions."
            )
        self.counts: Tensor
        self.register_buffer("counts", counts.to(torch.get_default_dtype()))
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(
        self, phrases: Int64[Tensor, "place batch"], labels: Int64[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch class"]:
        """The score of each class; zeros, but for what all classes have, without a known phrase."""
        known = (phrases > UNKNOWN).unsqueeze(-1)  # place batch 1
        seen = nn.functional.embedding(phrases, self.counts)  # place batch class
        total = self.counts[UNKNOWN + 1 :].sum(0).expand(phrases.shape[1], -1)  # batch class
        if labels is not None:
            own = nn.functional.one_hot(labels, self.counts.shape[1]).to(seen.dtype)
            seen = (seen - own).clamp_min(0)
            total = (total - own * known.sum(0)).clamp_min(0)
        kinds = self.counts.shape[0] - UNKNOWN - 1
        evidence = (seen + 1).log() - (total + kinds).log()
        scores: Tensor = self.weight * torch.where(known, evidence, 0.0).sum(0)
        return scores
