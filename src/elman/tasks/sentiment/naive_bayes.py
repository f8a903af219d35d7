"""Naive Bayes as a layer: what is counted in the training texts, in place of what is learned.

The phrases of a text, its words and short groups of them, are looked up in a table that counting
made.  Which phrases there are: ``phrases.py``.  Beside a network: ``model.py``.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import ShapeError

UNKNOWN = 1


class NaiveBayes(nn.Module):
    """weight · Σ log p(phrase | class) over a text's phrases, less the mean over the classes.

    ``counts`` says how many of the training texts of a class have the phrase of an index; one is
    added to each (Laplace).  The indices 0, padding, and 1, unknown, say nothing.  Phrases overlap,
    so that the sum is too sure of itself; a ``weight`` below 1 makes up for that (Wang and Manning
    2012 give the binary counts and the pairs of words).  There is nothing to train.

    Raises ``ShapeError`` for counts that are no table.

    >>> import torch
    >>> counts = torch.tensor([[0, 0], [0, 0], [3, 0], [1, 4]])  # "fine" in 3 texts of class 0
    >>> bayes = NaiveBayes(counts)
    >>> bayes(torch.tensor([[2], [1]])).softmax(-1)  # 4/6 to 1/6
    tensor([[0.8000, 0.2000]])
    """

    def __init__(
        self,
        counts: Float[Tensor, "phrase class"] | Int64[Tensor, "phrase class"],
        *,
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        if counts.dim() != 2:
            raise ShapeError(
                f"NaiveBayes: counts have the shape {tuple(counts.shape)}, but a table of phrases "
                "and classes has two dimensions."
            )
        self.weight = weight
        more = counts.to(torch.get_default_dtype()) + 1
        more[: UNKNOWN + 1] = 0
        evidence = more.log() - more.sum(0).log()
        # no number but the differences between classes counts, and small ones survive float16
        evidence -= evidence.mean(1, keepdim=True)
        evidence[: UNKNOWN + 1] = 0
        self.evidence: Tensor
        self.register_buffer("evidence", evidence)

    def forward(self, phrases: Int64[Tensor, "place batch"]) -> Float[Tensor, "batch class"]:
        """The score of each class; zeros for a text without a known phrase."""
        scores: Tensor = nn.functional.embedding(phrases, self.evidence).sum(0) * self.weight
        return scores

    def extra_repr(self) -> str:
        """The table's size and the weight."""
        return f"{tuple(self.evidence.shape)}, weight={self.weight}"
