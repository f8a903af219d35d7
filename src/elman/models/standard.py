"""The standard network: one input of fixed size, every position with weights of its own.

The words of a text are laid side by side, ``positions`` of them, and a feed-forward network reads
them all at once.  What it learns of a word at one position it does not know at another, and words
beyond the last position do not exist for it.  It takes the same batches as ``Classifier`` and
``Tagger``, so that the difference can be measured; ``feed_forward.py`` has the baselines that
share weights across positions, but see no order or only a window.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.models.classifier import RowClassifier
from elman.models.tagger import WordFeatures, WordTagger
from elman.nn.crf import LinearChainCRF
from elman.nn.dropout import VariationalDropout
from elman.nn.embedding import WordEmbedding
from elman.nn.pooling import running

Words = Int64[Tensor, "time batch"]
Lengths = Int64[Tensor, " batch"]


def side_by_side(
    x: Float[Tensor, "time batch features"], lengths: Lengths, positions: int
) -> Float[Tensor, "batch positions*features"]:
    """The first ``positions`` steps of each row one after another; zeros past a row's length."""
    x = torch.where(running(x, lengths), x, 0.0)[:positions]
    x = nn.functional.pad(x, (0, 0, 0, 0, 0, positions - x.shape[0]))
    return x.transpose(0, 1).flatten(1)  # time batch features -> batch time*features


class StandardClassifier(RowClassifier):
    """The first ``positions`` words side by side, a hidden layer, a class.

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
        """The logits of each row."""
        x = side_by_side(self.embedding(words), lengths, self.positions)
        hidden = torch.tanh(self.hidden(self.dropout(x)))
        logits: Tensor = self.output(self.dropout(hidden))
        return logits


class StandardTagger(WordTagger):
    """The features of the first ``positions`` words side by side, a hidden layer, all their tags.

    A word beyond the last position gets the score 0 for every tag but the first, which gets 1:
    with "O" first, such a word is never part of a name.

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
    ) -> None:
        super().__init__()
        self.features = features
        self.positions = positions
        self.num_tags = num_tags
        self.dropout = VariationalDropout(dropout)
        self.hidden = nn.Linear(positions * features.output_size, hidden_size)
        self.output = nn.Linear(hidden_size, positions * num_tags)
        self.crf = LinearChainCRF(num_tags) if crf else None

    def score(
        self, x: Float[Tensor, "time batch features"], lengths: Lengths
    ) -> Float[Tensor, "time batch tag"]:
        """The score of each tag for each word, from the words' features."""
        time, batch = x.shape[:2]
        seen = side_by_side(self.dropout(x), lengths, self.positions)
        scores = self.output(torch.tanh(self.hidden(seen)))
        scores = scores.view(batch, self.positions, self.num_tags).transpose(0, 1)[:time]
        beyond = scores.new_zeros(max(0, time - self.positions), batch, self.num_tags)
        beyond[..., 0] = 1.0
        return torch.cat([scores, beyond])
