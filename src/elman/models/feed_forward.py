"""One to one: baselines without recurrence.

They take the same batches as ``Classifier`` and ``Tagger``, for comparison.  ``BagOfWords`` ignores
word order; ``WindowTagger`` sees a fixed number of neighbours.
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
from elman.nn.pooling import pool_mean, running

Words = Int64[Tensor, "time batch"]
Lengths = Int64[Tensor, " batch"]


class BagOfWords(RowClassifier):
    """Classifies the mean of the word embeddings with one hidden layer (Iyyer et al. 2015).

    >>> import torch
    >>> model = BagOfWords(WordEmbedding(50, 8), 16, 2)
    >>> model(torch.ones(5, 3, dtype=torch.int64), torch.tensor([5, 2, 0])).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        embedding: WordEmbedding,
        hidden_size: int,
        num_classes: int,
        *,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(embedding.size, hidden_size)
        self.output = nn.Linear(hidden_size, num_classes)
        self.label_smoothing = label_smoothing

    def forward(self, words: Words, lengths: Lengths) -> Float[Tensor, "batch class"]:
        """Computes the logits of each row."""
        mean = pool_mean(self.embedding(words), lengths)
        hidden = torch.relu(self.hidden(self.dropout(mean)))
        logits: Tensor = self.output(self.dropout(hidden))
        return logits


class WindowTagger(WordTagger):
    """Tags each word from the features of it and of ``window`` neighbours on each side.

    This is the window approach of Collobert et al. (2011); ``crf`` is its sentence-level
    likelihood.

    >>> import torch
    >>> model = WindowTagger(WordFeatures(WordEmbedding(50, 8)), 3)
    >>> model(torch.ones(5, 2, dtype=torch.int64), torch.tensor([5, 2])).shape
    torch.Size([5, 2, 3])
    """

    def __init__(
        self,
        features: WordFeatures,
        num_tags: int,
        *,
        window: int = 2,
        hidden_size: int = 128,
        crf: bool = True,
        dropout: float = 0.0,
        direct: DirectScores | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.direct = direct
        self.window = window
        self.dropout = VariationalDropout(dropout)
        self.hidden = nn.Linear((2 * window + 1) * features.output_size, hidden_size)
        self.output = nn.Linear(hidden_size, num_tags)
        self.crf = LinearChainCRF(num_tags) if crf else None

    def score(
        self, x: Float[Tensor, "time batch features"], lengths: Lengths
    ) -> Float[Tensor, "time batch tag"]:
        """Computes the score of each tag for each word, from the features."""
        x = torch.where(running(x, lengths), self.dropout(x), 0.0)
        width = self.window
        around = nn.functional.pad(x, (0, 0, 0, 0, width, width))
        seen = [around[k : k + x.shape[0]] for k in range(2 * width + 1)]
        hidden = torch.tanh(self.hidden(torch.cat(seen, -1)))
        scores: Tensor = self.output(self.dropout(hidden))
        return scores
