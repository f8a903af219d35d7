"""Distributions of what comes next: they are distributions, and what is drawn follows them."""

import itertools
from collections import Counter

import pytest
import torch
from torch import nn

from elman.decode import Sampler
from elman.nn.predictions import IndependentPitches, NextToken, OrderedPitches

PITCHES = 5
EVERY = torch.tensor([*itertools.product([0.0, 1.0], repeat=PITCHES)])

HEADS = {
    "independent": lambda: IndependentPitches(6, PITCHES),
    "ascending": lambda: OrderedPitches(6, PITCHES, 7),
    "descending": lambda: OrderedPitches(6, PITCHES, 7, descending=True),
}


def made(make):
    torch.manual_seed(0)
    head = make()
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.7)
    return head.eval()


@pytest.mark.parametrize("make", HEADS.values(), ids=HEADS)
def test_the_probabilities_of_all_sets_sum_to_one(make):
    head = made(make).double()
    for features in torch.randn(3, 6, dtype=torch.float64):
        log_prob = head.log_prob(features.expand(len(EVERY), 6), EVERY.double())
        assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("make", HEADS.values(), ids=HEADS)
def test_sets_are_drawn_as_often_as_their_probability_says(make):
    head = made(make)
    features, draws = torch.randn(6), 4000
    with torch.no_grad():
        drawn = head.draw(features.expand(draws, 6), Sampler(seed=1))
        expected = draws * head.log_prob(features.expand(len(EVERY), 6), EVERY).exp()
    counts = Counter(tuple(row) for row in drawn.tolist())
    observed = torch.tensor([float(counts[tuple(row)]) for row in EVERY.tolist()])
    enough = expected >= 5
    rest = expected[~enough].sum() - observed[~enough].sum()
    chi = ((observed - expected)[enough] ** 2 / expected[enough]).sum()
    chi = chi + rest**2 / expected[~enough].sum().clamp_min(1)
    # of chi-squares with 31 degrees of freedom one in a thousand is above 61.1
    assert chi < 61.1
    assert counts.total() == draws


@pytest.mark.parametrize("descending", [False, True])
def test_an_ordered_set_is_the_product_of_its_choices_written_out_one_by_one(descending):
    head = made(HEADS["descending" if descending else "ascending"])
    features = torch.randn(6)
    for frame in EVERY:
        pitches = frame.nonzero()[:, 0].tolist()
        if descending:  # the head counts pitches from above
            pitches = [PITCHES - 1 - pitch for pitch in reversed(pitches)]
        expected, last, so_far = 0.0, None, torch.zeros(7)
        for choice in [*pitches, PITCHES]:
            hidden = head.context(features) + so_far + head.last[PITCHES if last is None else last]
            logits = head.output(hidden.relu())
            lowest = 0 if last is None else last + 1
            expected += (logits[choice] - logits[lowest:].logsumexp(-1)).item()
            if choice < PITCHES:
                last, so_far = choice, so_far + head.so_far[choice]
        assert head.log_prob(features, frame).item() == pytest.approx(expected, abs=1e-5)


def test_independent_pitches_are_sums_of_binary_entropies():
    head = made(HEADS["independent"])
    features = torch.randn(6)
    p = head.output(features).sigmoid()
    for frame in EVERY:
        expected = torch.where(frame > 0, p, 1 - p).log().sum()
        assert torch.allclose(head.log_prob(features, frame), expected, atol=1e-5)


@pytest.mark.parametrize("make", HEADS.values(), ids=HEADS)
def test_rows_do_not_know_each_other_and_keep_their_shape(make):
    head = made(make)
    features, frames = torch.randn(3, 4, 6), EVERY[torch.randint(0, 32, (3, 4))]
    together = head.log_prob(features, frames)
    assert together.shape == (3, 4)
    for t, b in itertools.product(range(3), range(4)):
        assert torch.allclose(head.log_prob(features[t, b], frames[t, b]), together[t, b])
    assert head.draw(features, lambda logits: logits.argmax(-1)).shape == frames.shape


@pytest.mark.parametrize("make", HEADS.values(), ids=HEADS)
def test_gradients_are_those_of_finite_differences(make):
    head = made(make).double()
    features = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    frames = EVERY[[0, 9, 21, 31]].double()
    parameters = list(head.parameters())
    assert torch.autograd.gradcheck(
        lambda features, *_: head.log_prob(features, frames), (features, *parameters), eps=1e-7
    )


def test_the_choices_of_a_full_set_end_by_themselves():
    head = made(HEADS["ascending"])
    with torch.no_grad():
        head.output.bias[PITCHES] = -1e4  # the end never wins until nothing else is left
        drawn = head.draw(torch.randn(8, 6), Sampler())
    assert bool(drawn[:, -1].all())


def test_a_token_is_a_softmax():
    head = made(lambda: NextToken(6, 9))
    features, token = torch.randn(5, 6), torch.tensor([0, 3, 8, 8, 1])
    expected = -nn.functional.cross_entropy(head.output(features), token, reduction="none")
    assert torch.allclose(head.log_prob(features, token), expected, atol=1e-6)
    assert torch.equal(
        head.draw(features, lambda x: x.argmax(-1)), head.output(features).argmax(-1)
    )
