"""Naive Bayes as a layer, held against counting by hand; and beside a reader."""

import math

import pytest
import torch

import elman
from elman.data import pad_sequences
from elman.errors import ShapeError
from elman.models import BagOfWords, Classifier
from elman.nn.embedding import WordEmbedding
from elman.tasks.sentiment.model import WithPhrases
from elman.tasks.sentiment.naive_bayes import NaiveBayes
from elman.tasks.sentiment.phrases import count_phrases, phrases_of

TEXTS = [["good", "film"], ["not", "good"], ["good", "good", "fun"], ["a", "bore"], ["not", "fun"]]
LABELS = [0, 1, 0, 1, 2]


def counted(longest=2):
    return count_phrases(TEXTS, LABELS, 3, longest=longest)


def rows(texts, vocabulary):
    return pad_sequences([vocabulary.encode(phrases_of(text, 2)) for text in texts])[0]


def by_hand(text, kinds):
    """Σ log p(phrase | class), less the classes' mean, by counting in the texts themselves."""
    scores = []
    for label in range(3):
        held = [set(phrases_of(t, 2)) for t, own in zip(TEXTS, LABELS, strict=True) if own == label]
        total = sum(len(phrases & kinds) for phrases in held)
        scores.append(
            sum(
                math.log((sum(phrase in phrases for phrases in held) + 1) / (total + len(kinds)))
                for phrase in phrases_of(text, 2)
                if phrase in kinds
            )
        )
    return [score - sum(scores) / 3 for score in scores]


def test_it_is_the_sum_of_logarithms_of_counted_parts():
    vocabulary, counts = counted()
    bayes = NaiveBayes(torch.tensor(counts), weight=0.5)
    texts = [*TEXTS, ["good", "bore", "never seen"], ["unheard"], []]
    kinds = set(vocabulary.words[2:])
    expected = 0.5 * torch.tensor([by_hand(text, kinds) for text in texts])
    assert torch.allclose(bayes(rows(texts, vocabulary)), expected, atol=1e-5)


def test_padding_and_the_unknown_say_nothing_whatever_is_counted_for_them():
    vocabulary, counts = counted()
    other = torch.tensor(counts)
    other[:2] = 50
    alone = NaiveBayes(torch.tensor(counts))(rows([["good"]], vocabulary))
    padded = torch.nn.functional.pad(rows([["good"]], vocabulary), (0, 0, 0, 3))
    padded[2] = 1
    assert torch.equal(NaiveBayes(other)(padded), alone)


def test_there_is_nothing_to_train_and_the_table_is_saved():
    bayes = NaiveBayes(torch.tensor(counted()[1]))
    assert list(bayes.parameters()) == []
    copy = NaiveBayes(torch.zeros(bayes.evidence.shape))
    copy.load_state_dict(bayes.state_dict())
    assert torch.equal(copy.evidence, bayes.evidence)


def test_counts_that_are_no_table_are_refused():
    with pytest.raises(ShapeError, match="must have two dimensions"):
        NaiveBayes(torch.zeros(3))


def readers():
    torch.manual_seed(0)
    encoder = elman.Recurrent(elman.cells.gru, 8, 6, bidirectional=True)
    classifier = Classifier(WordEmbedding(30, 8), encoder, 3, label_smoothing=0.1)
    return [classifier, BagOfWords(WordEmbedding(30, 8), 6, 3)]


@pytest.mark.parametrize("reader", readers(), ids=["recurrent", "bag"])
def test_probabilities_are_the_geometric_mean_and_the_reader_learns_alone(reader):
    vocabulary, counts = counted()
    bayes = NaiveBayes(torch.tensor(counts), weight=0.3)
    model = WithPhrases(reader, bayes)
    words, lengths = torch.randint(2, 30, (4, 5)), torch.tensor([4, 1, 0, 2, 3])
    phrases, labels = rows(TEXTS, vocabulary), torch.tensor(LABELS)
    read, counted_on = reader(words, lengths).softmax(-1), bayes(phrases).softmax(-1)
    mean = (read * counted_on).sqrt()
    expected = mean / mean.sum(-1, keepdim=True)
    assert torch.allclose(model(words, lengths, phrases).softmax(-1), expected)
    alone = reader.loss(words, lengths, labels)
    assert torch.equal(model.loss(words, lengths, phrases, labels), alone)
