"""Many to one: classifies a sequence of words.

``feed_forward.py`` has a baseline that ignores word order; ``tasks/video/model.py`` classifies
videos.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import OptionError
from elman.models.string_features import StringFeatures
from elman.nn import Recurrent
from elman.nn.attention import AttentionPooling
from elman.nn.dropout import VariationalDropout
from elman.nn.pooling import pool_last, pool_max, pool_mean, pool_middle

Words = Int64[Tensor, "time batch"]
Lengths = Int64[Tensor, " batch"]

_POOLS = {"middle": pool_middle, "mean": pool_mean, "max": pool_max}


class RowClassifier(nn.Module):
    """Base class of models that classify each row of a batch."""

    label_smoothing: float

    def loss(
        self, words: Words, lengths: Lengths, labels: Int64[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """The mean cross-entropy of the rows."""
        logits = self(words, lengths)
        return nn.functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)


class Classifier(RowClassifier):
    """A classifier with a recurrent encoder whose outputs are pooled.

    ``encoder`` reads the output of ``embedding``.  ``pooling`` is "last", "middle", "mean", "max"
    or "attention".  ``dropout`` applies to the embeddings, with one mask for all steps, and to the
    pooled outputs.  ``label_smoothing`` follows Szegedy et al. (2016).

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
                f'Classifier: pooling is {pooling!r}; it must be "last", "middle", "mean", "max" '
                'or "attention".'
            )
        if pooling == "last" and encoder.stack.between.merge != "concatenate":
            raise OptionError(
                'Classifier: pooling is "last", but the last output of each direction is at '
                'another step, and the encoder merges both; use merge="concatenate" or another '
                "pooling."
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
        """Computes the logits of each row; those of an empty row come from zero features."""
        return self.classify(self.embedding(words), lengths)

    def classify(
        self, x: Float[Tensor, "time batch features"], lengths: Lengths
    ) -> Float[Tensor, "batch class"]:
        """Computes the logits of rows from their embeddings."""
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


class StringClassifier(Classifier):
    """A ``Classifier`` of words that language models read too.

    Its ``encoder`` reads the output of ``embedding`` and then the features of ``strings``.
    """

    def __init__(
        self,
        embedding: nn.Module,
        strings: StringFeatures,
        encoder: Recurrent,
        num_classes: int,
        *,
        pooling: Literal["last", "middle", "mean", "max", "attention"] = "max",
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            embedding,
            encoder,
            num_classes,
            pooling=pooling,
            dropout=dropout,
            label_smoothing=label_smoothing,
        )
        self.strings = strings

    def forward(
        self,
        words: Words,
        lengths: Lengths,
        strings: Int64[Tensor, "encoder time batch"] | None = None,
        string_places: Int64[Tensor, "encoder word batch"] | None = None,
    ) -> Float[Tensor, "batch class"]:
        """Computes the logits of each row, from what ``StringFeatures`` reads too."""
        features = self.strings(strings, string_places)
        return self.classify(torch.cat([self.embedding(words), features], -1), lengths)

    def loss(
        self,
        words: Words,
        lengths: Lengths,
        labels: Int64[Tensor, " batch"],
        strings: Int64[Tensor, "encoder time batch"] | None = None,
        string_places: Int64[Tensor, "encoder word batch"] | None = None,
    ) -> Float[Tensor, ""]:
        """The mean cross-entropy of the rows."""
        logits = self(words, lengths, strings, string_places)
        return nn.functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
