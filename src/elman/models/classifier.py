"""Many to one: a sequence of words becomes a class.

The baseline without order is in ``feed_forward.py``; frames of videos instead of words are in
``tasks/video/model.py``.
"""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import OptionError
from elman.nn import Recurrent
from elman.nn.attention import AttentionPooling
from elman.nn.dropout import VariationalDropout
from elman.nn.pooling import pool_last, pool_max, pool_mean, pool_middle

Words = Int64[Tensor, "time batch"]
Lengths = Int64[Tensor, " batch"]

_POOLS = {"middle": pool_middle, "mean": pool_mean, "max": pool_max}


class RowClassifier(nn.Module):
    """A model that gives each row of a batch a class: what all of them share."""

    label_smoothing: float

    def loss(
        self, words: Words, lengths: Lengths, labels: Int64[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """The mean cross entropy of the rows."""
        logits = self(words, lengths)
        return nn.functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)


class Classifier(RowClassifier):
    """Vectors of words, a recurrent encoder, its outputs pooled to one, a class.

    ``encoder`` reads what ``embedding`` gives.  ``pooling`` is "last", "middle", "mean", "max" or
    "attention".  ``dropout`` falls on the words' vectors (one mask for all steps), on what is
    pooled, and training's targets are softened by ``label_smoothing`` (Szegedy et al. 2016).

    >>> import elman, torch
    >>> from elman.nn.embedding import WordEmbedding
    >>> model = Classifier(WordEmbedding(50, 8), elman.Recurrent(elman.cells.lstm, 8, 16), 2)
    >>> model(torch.ones(5, 3, dtype=torch.int64), torch.tensor([5, 2, 0])).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        embedding: nn.Module,
        encoder: Recurrent,
        num_classes: int,
        *,
        pooling: Literal["last", "middle", "mean", "max", "attention"] = "max",
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if pooling not in ("attention", "last", *_POOLS):
            raise OptionError(
                f'Classifier: pooling is {pooling!r}; it is "last", "middle", "mean", "max" or '
                '"attention".'
            )
        self.embedding = embedding
        self.encoder = encoder
        self.pooling = pooling
        self.attention = AttentionPooling(encoder.output_size) if pooling == "attention" else None
        self.input_dropout = VariationalDropout(dropout)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(encoder.output_size, num_classes)
        self.label_smoothing = label_smoothing

    def forward(self, words: Words, lengths: Lengths) -> Float[Tensor, "batch class"]:
        """The logits of each row; a row of length 0 has those of no evidence."""
        return self.classify(self.embedding(words), lengths)

    def classify(
        self, x: Float[Tensor, "time batch features"], lengths: Lengths
    ) -> Float[Tensor, "batch class"]:
        """The logits of rows whose embedding is known."""
        y, _ = self.encoder(self.input_dropout(x), lengths=lengths)
        logits: Tensor = self.output(self.dropout(self._pool(y, lengths)))
        return logits

    def _pool(self, y: Tensor, lengths: Tensor) -> Tensor:
        if self.attention is not None:
            pooled: Tensor = self.attention(y, lengths)
            return pooled
        if self.pooling == "last":
            return pool_last(y, lengths, bidirectional=self.encoder.bidirectional)
        return _POOLS[self.pooling](y, lengths)
