"""A classifier that reads, and naive Bayes on phrases beside it: wide and deep.

Reading generalises from words to others like them; counting remembers which phrases went with
which class.  The sum of their logits knows both (Cheng et al. 2016; for text, Li et al. 2016).
"""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.models.classifier import Classifier
from elman.models.feed_forward import BagOfWords
from elman.models.standard import StandardClassifier
from elman.nn.naive_bayes import NaiveBayes

Words = Int64[Tensor, "time batch"]
Lengths = Int64[Tensor, " batch"]
Phrases = Int64[Tensor, "place batch"]
Reader = Classifier | BagOfWords | StandardClassifier


class WithPhrases(nn.Module):
    """The logits of ``reader`` plus those of ``bayes``, trained together.

    >>> import torch
    >>> from elman.nn.embedding import WordEmbedding
    >>> counts = torch.tensor([[0, 0], [0, 0], [3, 0], [1, 4]])
    >>> model = WithPhrases(BagOfWords(WordEmbedding(50, 8), 16, 2), NaiveBayes(counts, weight=0.2))
    >>> words, lengths = torch.ones(5, 3, dtype=torch.int64), torch.tensor([5, 2, 0])
    >>> model(words, lengths, torch.tensor([[2, 3, 0]])).shape
    torch.Size([3, 2])
    """

    def __init__(self, reader: Reader, bayes: NaiveBayes) -> None:
        super().__init__()
        self.reader = reader
        self.bayes = bayes

    def forward(
        self, words: Words, lengths: Lengths, phrases: Phrases
    ) -> Float[Tensor, "batch class"]:
        """The logits of each row."""
        logits: Tensor = self.reader(words, lengths) + self.bayes(phrases)
        return logits

    def loss(
        self, words: Words, lengths: Lengths, phrases: Phrases, labels: Int64[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """The mean cross entropy of the rows; in training each is left out of the counts."""
        counted = labels if self.training else None
        logits = self.reader(words, lengths) + self.bayes(phrases, counted)
        return nn.functional.cross_entropy(
            logits, labels, label_smoothing=self.reader.label_smoothing
        )
