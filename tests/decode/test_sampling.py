from itertools import islice

import pytest
import torch

from elman.decode import Sampler, generate
from elman.errors import OptionError

LOGITS = torch.tensor([0.5, 0.25, 0.15, 0.1]).log()


def chi_square(expected, seed=0, draws=20_000, **options):
    drawn = Sampler(**options, seed=seed)(LOGITS.expand(draws, 4))
    observed = torch.bincount(drawn, minlength=4).double()
    inside = expected > 0
    assert observed[~inside].sum() == 0
    difference = observed[inside] - draws * expected[inside]
    return float((difference**2 / (draws * expected[inside])).sum())


CASES = {
    "as they are": ({}, [0.5, 0.25, 0.15, 0.1]),
    "colder": ({"temperature": 0.5}, [0.25, 0.0625, 0.0225, 0.01]),
    "hotter": ({"temperature": 2.0}, [0.5**0.5, 0.5, 0.15**0.5, 0.1**0.5]),
    "top k": ({"top_k": 2}, [0.5, 0.25, 0, 0]),
    "nucleus": ({"top_p": 0.8}, [0.5, 0.25, 0.15, 0]),
    "nucleus of one": ({"top_p": 0.01}, [1, 0, 0, 0]),
    "both": ({"top_k": 3, "top_p": 0.6}, [0.5, 0.25, 0, 0]),
    "top k of more than there are": ({"top_k": 9}, [0.5, 0.25, 0.15, 0.1]),
}


@pytest.mark.parametrize(("options", "weights"), CASES.values(), ids=CASES)
def test_what_is_drawn_follows_the_probabilities_that_are_asked_for(options, weights):
    expected = torch.tensor(weights, dtype=torch.float64)
    expected /= expected.sum()
    assert torch.allclose(Sampler(**options).probabilities(LOGITS).double(), expected, atol=1e-6)
    # of chi-squares with 3 degrees of freedom one in a thousand is above 16.3
    assert chi_square(expected, **options) < 16.3


def test_the_test_of_the_draws_finds_what_is_drawn_wrongly():
    wrong = torch.tensor([0.48, 0.27, 0.15, 0.1], dtype=torch.float64)
    assert chi_square(wrong) > 16.3


def test_temperature_zero_takes_the_likeliest_and_a_seed_repeats():
    assert Sampler(temperature=0)(LOGITS.expand(3, 4)).tolist() == [0, 0, 0]
    rows = LOGITS.expand(50, 4)
    assert torch.equal(Sampler(seed=3)(rows), Sampler(seed=3)(rows))
    assert not torch.equal(Sampler(seed=3)(rows), Sampler(seed=4)(rows))
    sampler = Sampler(seed=3)
    assert not torch.equal(sampler(rows), sampler(rows)), "a sampler goes on, it does not repeat"


def test_what_is_forbidden_is_never_drawn():
    logits = torch.tensor([0.0, -torch.inf, 0.0]).expand(2000, 3)
    for options in ({}, {"top_k": 3}, {"top_p": 0.999}, {"temperature": 100.0}):
        assert not (Sampler(**options)(logits) == 1).any()


def test_drawing_leaves_torchs_own_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    Sampler(seed=5)(LOGITS)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_options_that_cannot_be_are_refused(options, sentence):
    with pytest.raises(OptionError, match=sentence):
        Sampler(**options)


def test_each_item_follows_the_one_before_it():
    seen = []

    def step(item, state):
        seen.append((item, state))
        return item * 10, state + 1

    assert list(islice(generate(step, lambda known: known + 1, 1, 0), 3)) == [11, 111, 1111]
    assert seen == [(1, 0), (11, 1), (111, 2)]


def test_a_tiny_temperature_takes_the_most_likely_choice():
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, -1.0, 0.0]])
    for temperature in (0.0, 1e-45, 1e-38, 1e-9):
        assert Sampler(temperature=temperature, top_k=2)(logits).tolist() == [1, 0]


def test_a_tiny_top_p_takes_the_most_likely_choice():
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, -1.0, 0.0]])
    assert Sampler(top_p=5e-324)(logits).tolist() == [1, 0]


def test_a_huge_temperature_draws_evenly_among_the_possible_choices():
    logits = torch.tensor([0.0, 3.0, -torch.inf])
    assert Sampler(temperature=1e58).probabilities(logits).tolist() == [0.5, 0.5, 0.0]
