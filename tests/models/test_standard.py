"""The network whose positions have weights of their own."""

import pytest
import torch

from elman.models import StandardClassifier, StandardTagger, WordFeatures
from elman.nn.embedding import WordEmbedding

WORDS = torch.tensor([[3, 5], [4, 6], [7, 8], [9, 2], [10, 11]])  # time batch


def tagger(**options):
    torch.manual_seed(0)
    return StandardTagger(WordFeatures(WordEmbedding(12, 4)), 4, 3, hidden_size=6, **options).eval()


def classifier():
    torch.manual_seed(0)
    return StandardClassifier(WordEmbedding(12, 4), 4, 6, 3).eval()


def test_a_class_comes_from_all_positions_laid_side_by_side():
    model = classifier()
    vectors = model.embedding(WORDS)
    for row, length in ((0, 5), (1, 2)):
        flat = torch.zeros(4, 4)
        seen = min(length, 4)
        flat[:seen] = vectors[:seen, row]
        hidden = torch.tanh(model.hidden.weight @ flat.flatten() + model.hidden.bias)
        expected = model.output.weight @ hidden + model.output.bias
        found = model(WORDS, torch.tensor([5, 2]))[row]
        torch.testing.assert_close(found, expected)


def test_tags_come_from_all_positions_and_a_word_beyond_the_last_is_no_name():
    model = tagger()
    scores = model(WORDS, torch.tensor([5, 5]))
    assert scores.shape == (5, 2, 3)
    assert scores[4].tolist() == [[1.0, 0.0, 0.0]] * 2
    flat = model.features.embedding(WORDS)[:4, 0].flatten()
    hidden = torch.tanh(model.hidden.weight @ flat + model.hidden.bias)
    expected = (model.output.weight @ hidden + model.output.bias).view(4, 3)
    torch.testing.assert_close(scores[:4, 0], expected)


def test_what_is_known_at_one_position_is_not_known_at_another():
    model = tagger()
    shifted = torch.cat([torch.full((1, 2), 3), WORDS])[:5]
    here, there = model(WORDS, torch.tensor([5, 5])), model(shifted, torch.tensor([5, 5]))
    assert (here[0] - there[1]).abs().max() > 0.01


@pytest.mark.parametrize("crf", [True, False])
def test_padding_and_the_batch_change_nothing(crf):
    model = tagger(crf=crf)
    lengths, tags = torch.tensor([5, 2]), torch.zeros(5, 2, dtype=torch.int64)
    both = model.loss(WORDS, lengths, tags=tags)
    each = [
        model.loss(WORDS[:n, [k]], torch.tensor([n]), tags=tags[:n, [k]])
        for k, n in enumerate(lengths.tolist())
    ]
    torch.testing.assert_close(both, sum(each) / 2)
    other = WORDS.clone()
    other[2:, 1] = 1
    torch.testing.assert_close(model.loss(other, lengths, tags=tags), both)
