"""The problems are those of the papers: what is asked can be told from the sequence, and how."""

import pytest
import torch

from elman.diagnose.problems import PROBLEMS, adding, copying, digits, temporal_order


def drawn(problem, batch=500, seed=0, part="train"):
    return problem.draw(batch, torch.Generator().manual_seed(seed), part)


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=lambda p: p.name)
def test_shapes_are_as_the_problem_says_and_draws_follow_from_the_generator(problem):
    x, wanted = drawn(problem)
    assert x.shape == (problem.time, 500, problem.input_size)
    assert wanted.shape == (problem.answers, 500)
    again, other = drawn(problem), drawn(problem, seed=1)
    assert torch.equal(x, again[0])
    assert torch.equal(wanted, again[1])
    assert not torch.equal(x, other[0])


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=lambda p: p.name)
def test_who_has_understood_nothing_gets_the_measure_of_chance(problem):
    _, wanted = drawn(problem, batch=20_000)
    if problem.measure == "squared error":
        score = float((wanted - 1).square().mean())
    else:
        score = float((wanted == 1).double().mean())
    assert score == pytest.approx(problem.chance, abs=0.02)
    assert not problem.is_solved(problem.chance)
    assert problem.is_solved(0.0 if problem.measure == "squared error" else 1.0)


def test_adding_asks_for_the_two_marked_numbers_one_in_each_half():
    x, wanted = drawn(adding(11))
    numbers, marks = x.unbind(-1)
    assert (marks[:5].sum(0) == 1).all()
    assert (marks[5:].sum(0) == 1).all()
    torch.testing.assert_close((numbers * marks).sum(0), wanted[0])


def test_copying_asks_for_the_letters_after_the_delay():
    x, wanted = drawn(copying(7))
    steps = x.argmax(-1)
    assert torch.equal(steps[:3], wanted)
    assert (steps[3:10] == 4).all()
    assert (steps[10:] == 5).all()
    assert len(steps) == 13
    assert set(wanted.flatten().tolist()) == {0, 1, 2, 3}


def test_temporal_order_asks_in_which_order_the_signs_came():
    x, wanted = drawn(temporal_order(40))
    steps = x.argmax(-1)
    for column, answer in zip(steps.T, wanted[0], strict=True):
        first, second = (column >= 4).nonzero().flatten().tolist()
        assert 4 <= first < 8
        assert 20 <= second < 24
        assert answer == 2 * (column[first] - 4) + column[second] - 4


def test_digits_are_read_row_by_row_and_no_image_is_in_two_parts():
    from sklearn.datasets import load_digits

    known = load_digits()
    (train, _), (valid, _), (test, labels) = (
        drawn(digits(), batch=5000, part=p) for p in ("train", "valid", "test")
    )
    assert test.shape == (64, 360, 1)
    assert torch.equal(labels[0], torch.tensor(known.target[-360:]))
    image = torch.tensor(known.images[-360]).float() / 16
    assert torch.equal(test[:, 0, 0].reshape(8, 8), image)
    rows = [{tuple(c) for c in part[..., 0].T.tolist()} for part in (train, valid, test)]
    assert [len(part) for part in rows[1:]] == [180, 360]
    assert not rows[0] & rows[1]
    assert not (rows[0] | rows[1]) & rows[2]
