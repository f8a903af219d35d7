"""Ensemble of a neural classifier and naive Bayes on phrases.

The network generalises to similar words; naive Bayes remembers which phrases occurred with which
class.  They make errors on different texts, and their mean makes fewer than either.  Each is
fitted separately: the network by its loss, naive Bayes by counting.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import OptionError
from elman.graph import Cell
from elman.models.classifier import Classifier, StringClassifier
from elman.models.feed_forward import BagOfWords
from elman.models.standard import StandardClassifier
from elman.tasks.sentiment.data import PhraseVocab
from elman.tasks.sentiment.naive_bayes import NaiveBayes
from elman.tasks.sentiment.negation import NEGATIONS
from elman.tasks.sentiment.options import SentimentOptions
from elman.tasks.task import Vocab
from elman.tasks.word_model import (
    TextSymbols,
    encoder,
    word_embedding,
    word_strings,
)

Words = Int64[Tensor, "time batch"]
Lengths = Int64[Tensor, " batch"]
Phrases = Int64[Tensor, "place batch"]
Reader = Classifier | BagOfWords | StandardClassifier


class WithPhrases(nn.Module):
    """The mean of the logits of ``reader`` and ``bayes``.

    Its probabilities are the normalised geometric mean of the two.

    >>> import torch
    >>> from elman.nn.embedding import WordEmbedding
    >>> counts = torch.tensor([[0, 0], [0, 0], [3, 0], [1, 4]])
    >>> model = WithPhrases(BagOfWords(WordEmbedding(50, 8), 16, 2), NaiveBayes(counts))
    >>> words, lengths = torch.ones(5, 3, dtype=torch.int64), torch.tensor([5, 2, 0])
    >>> model(words, lengths, torch.tensor([[2, 3, 0]])).shape
    torch.Size([3, 2])
    """

    def __init__(self, reader: Reader, bayes: NaiveBayes) -> None:
        super().__init__()
        self.reader = reader
        self.bayes = bayes

    def forward(
        self, words: Words, lengths: Lengths, phrases: Phrases, **strings: Tensor
    ) -> Float[Tensor, "batch class"]:
        """Computes the logits of each row; ``strings`` are those of the reader, if any."""
        logits: Tensor = (self.reader(words, lengths, **strings) + self.bayes(phrases)) / 2
        return logits

    def loss(
        self,
        words: Words,
        lengths: Lengths,
        phrases: Phrases,
        labels: Int64[Tensor, " batch"],
        **strings: Tensor,
    ) -> Float[Tensor, ""]:
        """The loss of the reader alone.

        Naive Bayes has counted the training texts: with it, little would be left for the reader
        to learn.
        """
        return self.reader.loss(words, lengths, labels, **strings)


def build(options: SentimentOptions, cell: Cell, vocab: Vocab[TextSymbols]) -> nn.Module:
    """Builds the classifier of the options, with naive Bayes if ``phrases`` is set."""
    reader = _reader(options, cell, vocab)
    phrases = vocab.symbols.phrases
    if phrases is None:
        return reader
    if isinstance(vocab, PhraseVocab):
        counts = vocab.phrase_counts
    else:  # a trained model, whose counts are loaded with its weights
        counts = torch.zeros(len(phrases), len(vocab.symbols.labels))
    assert counts is not None
    return WithPhrases(reader, NaiveBayes(counts, weight=options.phrase_weight))


def _reader(options: SentimentOptions, cell: Cell, vocab: Vocab[TextSymbols]) -> Reader:
    # a hidden "not" would leave a sentence with the label of its opposite
    embedding = word_embedding(options, vocab, sorted(NEGATIONS) if options.negation else ())
    strings = word_strings(vocab.symbols, options)
    if strings is not None and options.model != "recurrent":
        raise OptionError(
            f"init_from: a language model can be the encoder of the model recurrent, not of "
            f"{options.model}."
        )
    num_classes = len(vocab.symbols.labels)
    if options.model == "bag_of_words":
        return BagOfWords(
            embedding,
            embedding.size,
            num_classes,
            dropout=options.dropout,
            label_smoothing=options.label_smoothing,
        )
    if options.model == "standard":
        return StandardClassifier(
            embedding,
            options.positions,
            options.hidden_size,
            num_classes,
            dropout=options.dropout,
            label_smoothing=options.label_smoothing,
        )
    if strings is not None:
        return StringClassifier(
            embedding,
            strings,
            encoder(options, cell, embedding.size + strings.output_size),
            num_classes,
            pooling=options.pooling,
            dropout=options.dropout,
            label_smoothing=options.label_smoothing,
        )
    return Classifier(
        embedding,
        encoder(options, cell, embedding.size),
        num_classes,
        pooling=options.pooling,
        dropout=options.dropout,
        label_smoothing=options.label_smoothing,
    )
