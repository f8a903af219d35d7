"""Scores from features directly: the sum by hand, what the window sees, and what training does."""

import pytest
import torch

import elman
from elman.errors import ShapeError
from elman.models import StandardTagger, Tagger, WindowTagger, WordFeatures
from elman.models.direct_scores import WINDOW, DirectScores
from elman.nn.embedding import WordEmbedding

TIME, BATCH, COUNT, OWN, TAGS = 6, 2, 20, 4, 3


def scores(**options):
    made = DirectScores(COUNT, OWN, TAGS, **options)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        made.weight[1:] = torch.randn(COUNT - 1, made.weight.shape[1], generator=generator)
    return made.eval()


def drawn():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, COUNT, (TIME, BATCH, OWN), generator=generator)


def features():
    return WordFeatures(WordEmbedding(30, 8))


TAGGERS = {
    "recurrent": lambda **more: Tagger(
        features(), elman.Recurrent(elman.cells.gru, 8, 5), 3, **more
    ),
    "window": lambda **more: WindowTagger(features(), 3, **more),
    "standard": lambda **more: StandardTagger(features(), 4, 3, **more),
}


def test_a_score_is_the_sum_of_a_weight_for_each_tag_feature_and_place():
    made, indices = scores(), drawn()
    weight = made.weight.view(COUNT, 2 * WINDOW + 1, TAGS)
    expected = torch.zeros(TIME, BATCH, TAGS)
    for t in range(TIME):
        for row in range(BATCH):
            for place in range(2 * WINDOW + 1):
                other = t + place - WINDOW
                if 0 <= other < TIME:
                    expected[t, row] += weight[indices[other, row], place].sum(0)
    assert torch.allclose(made(indices), expected / OWN**0.5, atol=1e-5)


def test_no_feature_has_no_weight_and_never_learns_one():
    made = DirectScores(COUNT, OWN, TAGS)
    (made(drawn()) - 1).square().sum().backward()
    assert not made.weight.grad[0].any()
    assert made.weight.grad[1:].any(-1).sum() == drawn().unique().count_nonzero()


def test_padding_changes_no_score():
    made, indices = scores(), drawn()
    longer = torch.cat([indices, torch.zeros(3, BATCH, OWN, dtype=torch.int64)])
    assert torch.equal(made(longer)[:TIME], made(indices))
    assert made(indices[:0]).shape == (0, BATCH, TAGS)


def test_dropout_leaves_out_features_in_training_only():
    made, indices = scores(dropout=0.5), drawn()
    torch.manual_seed(0)
    assert torch.equal(made(indices), scores()(indices))
    many = torch.stack([made.train()(indices) for _ in range(4_000)])
    assert not torch.equal(many[0], many[1])
    # the standard error of these means is about 0.05
    assert torch.allclose(many.mean(0), scores()(indices), atol=0.3)


@pytest.mark.parametrize("make", TAGGERS.values(), ids=TAGGERS)
def test_a_tagger_adds_the_scores_to_its_own(make):
    torch.manual_seed(0)
    model = make(direct=scores()).eval()
    words, lengths = torch.ones(TIME, BATCH, dtype=torch.int64), torch.tensor([6, 4])
    expected = model.score(model.features(words), lengths) + model.direct(drawn())
    assert torch.equal(model(words, lengths, affixes=drawn()), expected)
    with pytest.raises(ShapeError, match="affixes is missing"):
        model(words, lengths)
