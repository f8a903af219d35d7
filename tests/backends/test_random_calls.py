"""A few hundred random calls; ``random_calls.py`` says how to make as many as one likes."""

import pytest
import torch

import elman
from backends import random_calls
from elman.graph import cell, tanh


@pytest.mark.parametrize("seed", [1, 2])
def test_random_calls_agree_with_the_reference(seed):
    assert list(random_calls.differences(200, seed)) == []


def test_the_harness_finds_a_wrong_number(monkeypatch):
    exact = random_calls.apart

    def disturbed(ours, theirs, scale):
        wrong = ours.clone(memory_format=torch.contiguous_format)
        if wrong.numel():
            wrong.view(-1)[-1] += 1e-4 * max(1.0, theirs.abs().max().item())
        return exact(wrong, theirs, scale)

    monkeypatch.setattr(random_calls, "apart", disturbed)
    monkeypatch.setattr(random_calls, "CALLS_PER_LAYER", 10)
    assert len(list(random_calls.differences(30, 3))) > 10


def test_a_difference_is_that_of_shape_type_and_value():
    one = torch.ones(2, 3)
    assert random_calls.apart(one, one) == 0
    assert random_calls.apart(one, one.double()) == float("inf")
    assert random_calls.apart(one, one[:1]) == float("inf")
    assert random_calls.apart(one * 1.5, one) == 0.5
    assert not random_calls.apart(one * float("nan"), one) <= 1


def test_values_that_follow_from_one_another_in_a_long_chain():
    @cell
    def chain(x, h, *, b):
        h = h + b.a
        for _ in range(245):
            h = tanh(h)
        return h

    found = []
    for backend in ("native", "reference"):
        layer = elman.Recurrent(chain, 3, 4, backend=backend, dtype=torch.float64)
        torch.nn.init.ones_(layer.layers[0][0].b.a)
        y, _ = layer(torch.zeros(2, 2, 3, dtype=torch.float64))
        found.append([y, *torch.autograd.grad(y.sum(), [*layer.parameters()])])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)
