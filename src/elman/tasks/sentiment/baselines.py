"""Baselines of sentiment classification: the most frequent label, and naive Bayes on words."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from elman.data import pad_sequences
from elman.tasks.majority import most_frequent_label
from elman.tasks.sentiment.data import Review
from elman.tasks.sentiment.naive_bayes import NaiveBayes
from elman.tasks.sentiment.options import SentimentOptions
from elman.tasks.sentiment.phrases import count_phrases, phrases_of
from elman.tasks.word_model import fold_word
from elman.training.baselines import Baseline
from elman.training.metrics import accuracy

#: naive Bayes counts the words of at most this many training texts
MOST = 50_000
#: words and pairs of words
LONGEST = 2


def baselines(
    train: Sequence[Review], valid: Sequence[Review], options: SentimentOptions
) -> list[Baseline]:
    """The accuracy of the most frequent label, and of naive Bayes on words and pairs of words."""
    expected = [str(each.label) for each in valid]
    found = most_frequent_label([str(each.label) for each in train], expected, accuracy)
    if not found:
        return []
    labels = sorted({str(each.label) for each in train})
    counted = train[:: -(-len(train) // MOST)]
    phrases, counts = count_phrases(
        [_folded(each, options) for each in counted],
        [labels.index(str(each.label)) for each in counted],
        len(labels),
        longest=LONGEST,
    )
    layer = NaiveBayes(torch.tensor(counts))
    predicted = []
    for start in range(0, len(valid), 256):
        some = [_folded(each, options) for each in valid[start : start + 256]]
        places, _ = pad_sequences([phrases.encode(phrases_of(words, LONGEST)) for words in some])
        predicted += [labels[k] for k in layer(places).argmax(-1).tolist()]
    name = "naive Bayes on words and word pairs"
    return [*found, Baseline(name, accuracy(expected, predicted))]


def _folded(review: Review, options: SentimentOptions) -> list[str]:
    return [fold_word(word, options.lowercase) for word in review.words]
