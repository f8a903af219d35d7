"""Naive Bayes as a layer, with log probabilities counted in the training texts.

``phrases.py`` extracts the phrases; ``model.py`` combines the layer with a network.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import ShapeError

UNKNOWN = 1


class NaiveBayes(nn.Module):
    """weight · Σ log p(phrase | class) over the phrases of a text, minus the mean over classes.

    ``counts`` (phrase, class) is the number of training texts of a class with a phrase; one is
    added to each (Laplace smoothing).  The indices 0 (padding) and 1 (unknown) have no effect.
    Because phrases overlap, the sum is overconfident; a ``weight`` below 1 corrects this.  Binary
    counts and word pairs follow Wang and Manning (2012).  The layer has no trainable parameters.

    Raises ``ShapeError`` if ``counts`` is not two-dimensional.

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
                f"NaiveBayes: counts have the shape {tuple(counts.shape)}, but must have two "
                "dimensions: phrases and classes."
            )
        self.weight = weight
        more = counts.to(torch.get_default_dtype()) + 1
        more[: UNKNOWN + 1] = 0
        evidence = more.log() - more.sum(0).log()
        # only differences between classes matter; centred values are small and survive float16
        evidence -= evidence.mean(1, keepdim=True)
        evidence[: UNKNOWN + 1] = 0
        self.evidence: Tensor
        self.register_buffer("evidence", evidence)

    def forward(self, phrases: Int64[Tensor, "place batch"]) -> Float[Tensor, "batch class"]:
        """The logits of the classes; zeros for a text without known phrases."""
        scores: Tensor = nn.functional.embedding(phrases, self.evidence).sum(0) * self.weight
        return scores

    def extra_repr(self) -> str:
        """The shape of the table and the weight."""
        return f"{tuple(self.evidence.shape)}, weight={self.weight}"
