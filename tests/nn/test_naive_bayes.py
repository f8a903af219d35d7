"""Naive Bayes as a layer, held against counting by hand; and beside a reader."""

import math

import pytest
import torch

import elman
from elman.data import count_phrases, pad_sequences, phrases_of
from elman.errors import ShapeError
from elman.models import BagOfWords, Classifier, WithPhrases
from elman.nn.embedding import WordEmbedding
from elman.nn.naive_bayes import NaiveBayes

TEXTS = [["good", "film"], ["not", "good"], ["good", "good", "fun"], ["a", "bore"], ["not", "fun"]]
LABELS = [0, 1, 0, 1, 2]


def counted(longest=2):
    return count_phrases(TEXTS, LABELS, 3, longest=longest)


def rows(texts, vocabulary):
    return pad_sequences([vocabulary.encode(phrases_of(text, 2)) for text in texts])[0]


def by_hand(text, texts, labels, kinds):
    """Σ log p(phrase | class) by counting in `texts` what is in none of the layer's tables."""
    scores = []
    for label in range(3):
        held = [set(phrases_of(t, 2)) for t, own in zip(texts, labels, strict=True) if own == label]
        total = sum(len(phrases & kinds) for phrases in held)
        scores.append(
            sum(
                math.log((sum(phrase in phrases for phrases in held) + 1) / (total + len(kinds)))
                for phrase in phrases_of(text, 2)
                if phrase in kinds
            )
        )
    return scores


def test_it_is_the_sum_of_logarithms_of_counted_parts():
    vocabulary, counts = counted()
    bayes = NaiveBayes(torch.tensor(counts), weight=0.5)
    texts = [*TEXTS, ["good", "bore", "never seen"], ["unheard"], []]
    kinds = set(vocabulary.words[2:])
    expected = 0.5 * torch.tensor([by_hand(text, TEXTS, LABELS, kinds) for text in texts])
    assert torch.allclose(bayes(rows(texts, vocabulary)), expected, atol=1e-5)


def test_with_labels_each_text_is_judged_by_the_others():
    vocabulary, counts = counted()
    bayes = NaiveBayes(torch.tensor(counts), weight=1.0)
    kinds = set(vocabulary.words[2:])
    expected = [
        by_hand(text, TEXTS[:k] + TEXTS[k + 1 :], LABELS[:k] + LABELS[k + 1 :], kinds)
        for k, text in enumerate(TEXTS)
    ]
    found = bayes(rows(TEXTS, vocabulary), torch.tensor(LABELS))
    assert torch.allclose(found, torch.tensor(expected), atol=1e-5)


def test_padding_and_the_unknown_say_nothing_whatever_is_counted_for_them():
    vocabulary, counts = counted()
    bayes = NaiveBayes(torch.tensor(counts), weight=1.0)
    alone = bayes(rows([["good"]], vocabulary))
    bayes.counts[:2] = 50.0
    padded = torch.nn.functional.pad(rows([["good"]], vocabulary), (0, 0, 0, 3))
    padded[2] = 1
    assert torch.equal(bayes(padded), alone)
    assert torch.equal(bayes(padded, torch.tensor([0])), bayes(padded[:1], torch.tensor([0])))


def test_counts_stay_and_the_weight_learns():
    vocabulary, counts = counted()
    bayes = NaiveBayes(torch.tensor(counts), weight=0.3).double()
    assert [name for name, _ in bayes.named_parameters()] == ["weight"]
    phrases, labels = rows(TEXTS, vocabulary), torch.tensor(LABELS)
    loss = torch.nn.functional.cross_entropy(bayes(phrases, labels), labels)
    loss.backward()
    step = 1e-6
    losses = []
    for sign in (1, -1):
        bayes.weight.data.fill_(0.3 + sign * step)
        losses.append(torch.nn.functional.cross_entropy(bayes(phrases, labels), labels).item())
    assert bayes.weight.grad.item() == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-5)


def test_counts_that_are_no_table_are_refused():
    with pytest.raises(ShapeError, match="has two dimensions"):
        NaiveBayes(torch.zeros(3), weight=1.0)


def readers():
    torch.manual_seed(0)
    encoder = elman.Recurrent(elman.cells.gru, 8, 6, bidirectional=True)
    classifier = Classifier(WordEmbedding(30, 8), encoder, 3, label_smoothing=0.1)
    return [classifier, BagOfWords(WordEmbedding(30, 8), 6, 3)]


@pytest.mark.parametrize("reader", readers(), ids=["recurrent", "bag"])
def test_logits_add_and_only_training_leaves_a_text_out(reader):
    vocabulary, counts = counted()
    bayes = NaiveBayes(torch.tensor(counts), weight=0.3)
    model = WithPhrases(reader, bayes)
    words, lengths = torch.randint(2, 30, (4, 5)), torch.tensor([4, 1, 0, 2, 3])
    phrases, labels = rows(TEXTS, vocabulary), torch.tensor(LABELS)
    logits = reader(words, lengths)
    assert torch.allclose(model(words, lengths, phrases), logits + bayes(phrases))
    smooth = reader.label_smoothing
    for training, bayesian in ((True, bayes(phrases, labels)), (False, bayes(phrases))):
        model.train(training)
        expected = torch.nn.functional.cross_entropy(
            logits + bayesian, labels, label_smoothing=smooth
        )
        assert torch.allclose(model.loss(words, lengths, phrases, labels), expected)
