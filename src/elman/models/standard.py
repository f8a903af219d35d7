"""The standard network: a feed-forward network with a fixed input size.

It reads the concatenated embeddings of the first ``positions`` words.  Each position has separate
weights, so the network does not share what it learns between positions, and ignores later words.
It takes the same batches as ``Classifier`` and ``Tagger``, for comparison.  The baselines in
``feed_forward.py`` share weights across positions, but ignore word order or see only a window.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.models.classifier import RowClassifier
from elman.models.direct_scores import DirectScores
from elman.models.tagger import WordFeatures, WordTagger
from elman.nn.crf import LinearChainCRF
from elman.nn.dropout import VariationalDropout
from elman.nn.embedding import WordEmbedding
from elman.nn.pooling import running

Words = Int64[Tensor, "time batch"]
Lengths = Int64[Tensor, " batch"]


def concatenate_steps(
    x: Float[Tensor, "time batch features"], lengths: Lengths, positions: int
) -> Float[Tensor, "batch positions*features"]:
    """Concatenates the first ``positions`` steps of each row; padding is zero."""
    x = torch.where(running(x, lengths), x, 0.0)[:positions]
    x = nn.functional.pad(x, (0, 0, 0, 0, 0, positions - x.shape[0]))
    return x.transpose(0, 1).flatten(1)  # time batch features -> batch time*features


class StandardClassifier(RowClassifier):
    """Classifies the concatenated first ``positions`` words with one hidden layer.

    >>> import torch
    >>> model = StandardClassifier(WordEmbedding(50, 8), 4, 16, 2)
    >>> model(torch.ones(5, 3, dtype=torch.int64), torch.tensor([5, 2, 0])).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        embedding: WordEmbedding,
        positions: int,
        hidden_size: int,
        num_classes: int,
        *,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.positions = positions
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(positions * embedding.size, hidden_size)
        self.output = nn.Linear(hidden_size, num_classes)
        self.label_smoothing = label_smoothing

    def forward(self, words: Words, lengths: Lengths) -> Float[Tensor, "batch class"]:
        """Computes the logits of each row."""
        x = concatenate_steps(self.embedding(words), lengths, self.positions)
        hidden = torch.tanh(self.hidden(self.dropout(x)))
        logits: Tensor = self.output(self.dropout(hidden))
        return logits


class StandardTagger(WordTagger):
    """Tags the first ``positions`` words from their concatenated features, with one hidden layer.

    A later word gets the score 1 for the first tag and 0 for all others: with "O" first, it is
    never in a name.

    >>> import torch
    >>> model = StandardTagger(WordFeatures(WordEmbedding(50, 8)), 4, 3)
    >>> model(torch.ones(5, 2, dtype=torch.int64), torch.tensor([5, 2])).shape
    torch.Size([5, 2, 3])
    """

    def __init__(
        self,
        features: WordFeatures,
        positions: int,
        num_tags: int,
        *,
        hidden_size: int = 128,
        crf: bool = True,
        dropout: float = 0.0,
        direct: DirectScores | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.direct = direct
        self.positions = positions
        self.num_tags = num_tags
        self.dropout = VariationalDropout(dropout)
        self.hidden = nn.Linear(positions * features.output_size, hidden_size)
        self.output = nn.Linear(hidden_size, positions * num_tags)
        self.crf = LinearChainCRF(num_tags) if crf else None

    def score(
        self, x: Float[Tensor, "time batch features"], lengths: Lengths
    ) -> Float[Tensor, "time batch tag"]:
        """Computes the score of each tag for each word, from the features."""
        time, batch = x.shape[:2]
        seen = concatenate_steps(self.dropout(x), lengths, self.positions)
        scores = self.output(torch.tanh(self.hidden(seen)))
        scores = scores.view(batch, self.positions, self.num_tags).transpose(0, 1)[:time]
        beyond = scores.new_zeros(max(0, time - self.positions), batch, self.num_tags)
        beyond[..., 0] = 1.0
        return torch.cat([scores, beyond])
