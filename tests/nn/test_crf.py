import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.decode import viterbi
from elman.errors import ShapeError
from elman.nn.crf import LinearChainCRF


def example(time, batch, tags, seed=0):
    generator = torch.Generator().manual_seed(seed)
    crf = LinearChainCRF(tags).double()
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    scores = torch.randn(time, batch, tags, generator=generator, dtype=torch.float64)
    return crf, scores


def score_by_hand(crf, scores, tags, row):
    if not tags:
        return torch.zeros((), dtype=torch.float64)
    total = crf.start[tags[0]] + crf.end[tags[-1]]
    for t, tag in enumerate(tags):
        total = total + scores[t, row, tag]
    for before, after in itertools.pairwise(tags):
        total = total + crf.transitions[before, after]
    return total


def every_path(num_tags, length):
    return list(itertools.product(range(num_tags), repeat=length))


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    num_tags=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_the_partition_is_the_sum_over_every_path(lengths, num_tags, seed):
    crf, scores = example(5, len(lengths), num_tags, seed)
    partition = crf.log_partition(scores, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        paths = every_path(num_tags, length)
        each = torch.stack([score_by_hand(crf, scores, path, row) for path in paths])
        assert torch.allclose(partition[row], torch.logsumexp(each, 0), atol=1e-12)


def test_the_probabilities_of_all_paths_sum_to_one_and_padding_does_not_count():
    crf, scores = example(4, 3, 3)
    lengths = torch.tensor([2, 4, 0])
    for row, length in enumerate(lengths.tolist()):
        total = 0.0
        for path in every_path(3, length):
            inside = torch.arange(4)[:, None] < lengths
            tags = torch.where(inside, 0, 99)  # 99 is no tag: it must not be looked at
            tags[:length, row] = torch.tensor(path, dtype=torch.int64)
            total += crf.log_likelihood(scores, tags, lengths)[row].exp().item()
        assert total == pytest.approx(1.0, abs=1e-12)
    spoilt = scores.clone()
    spoilt[2:, 0] = 1e6
    spoilt[:, 2] = torch.nan
    kept = crf.log_partition(scores, lengths)[:2]
    assert torch.equal(crf.log_partition(spoilt, lengths)[:2], kept)
    assert crf.log_partition(spoilt, lengths)[2] == 0


def test_the_gradient_of_the_partition_is_the_marginal_probability():
    crf, scores = example(3, 1, 2)
    scores.requires_grad_()
    lengths = torch.tensor([3])
    (marginals,) = torch.autograd.grad(crf.log_partition(scores, lengths).sum(), scores)
    paths = every_path(2, 3)
    weights = torch.stack([score_by_hand(crf, scores, path, 0) for path in paths]).softmax(0)
    for t in range(3):
        for tag in range(2):
            expected = sum(w for w, path in zip(weights, paths, strict=True) if path[t] == tag)
            assert torch.allclose(marginals[t, 0, tag], expected, atol=1e-12)


def test_gradients_agree_with_finite_differences():
    crf, scores = example(4, 3, 3)
    tags = torch.randint(0, 3, (4, 3), generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([3, 0, 4])
    names = [name for name, _ in crf.named_parameters()]

    def likelihood(scores, *parameters):
        held = LinearChainCRF(3).double()
        for name, parameter in zip(names, parameters, strict=True):
            delattr(held, name)
            setattr(held, name, parameter)
        return held.log_likelihood(scores, tags, lengths)

    parameters = [p.detach().clone().requires_grad_() for p in crf.parameters()]
    assert torch.autograd.gradcheck(likelihood, (scores.requires_grad_(), *parameters))


def partition_by_hand(crf, scores, length, row=0):
    paths = every_path(crf.start.shape[0], length)
    return torch.stack([score_by_hand(crf, scores, path, row) for path in paths]).logsumexp(0)


@pytest.mark.parametrize("scale", [1, 100, 1e4])
def test_float32_is_exact_however_far_apart_scores_are(scale):
    for seed in range(20):
        crf, scores = example(4, 1, 3, seed)
        with torch.no_grad():
            for parameter in crf.parameters():
                parameter.mul_(scale)
        expected = partition_by_hand(crf, scale * scores, 4)
        found = crf.float().log_partition((scale * scores).float(), torch.tensor([4]))
        # float32 has 24 bits; about ten sums, of terms no larger than a few times the scale
        assert torch.allclose(found.double()[0], expected, rtol=0, atol=3e-6 * scale)


def test_a_best_path_that_other_steps_outweigh_by_far_is_not_lost():
    # the only way to the large transition begins with a start 200 below the other tag's
    crf = LinearChainCRF(2)
    with torch.no_grad():
        crf.start.copy_(torch.tensor([-200.0, 0.0]))
        crf.transitions.copy_(torch.tensor([[1000.0, 0.0], [0.0, 0.0]]))
        crf.end.zero_()
    scores, lengths = torch.zeros(3, 1, 2, requires_grad=True), torch.tensor([3])
    partition = crf.log_partition(scores, lengths)
    assert partition.item() == 1800.0
    partition.sum().backward()
    assert scores.grad[:, 0].tolist() == [[1, 0]] * 3
    likelihood = crf.log_likelihood(scores, torch.zeros(3, 1, dtype=torch.int64), lengths)
    assert likelihood.item() == 0


def test_scores_in_half_precision_are_summed_in_the_precision_of_the_parameters():
    crf, scores = example(30, 2, 3)
    crf, scores = crf.float(), 10 * scores.bfloat16()
    tags, lengths = torch.ones(30, 2, dtype=torch.int64), torch.tensor([30, 20])
    likelihood = crf.log_likelihood(scores, tags, lengths)
    assert likelihood.dtype == torch.float32
    assert torch.equal(likelihood, crf.log_likelihood(scores.float(), tags, lengths))


@pytest.mark.thorough
def test_a_hundred_thousand_steps_and_large_scores_stay_finite_and_have_marginals():
    crf, _ = example(1, 1, 2)
    scores = 1e4 * torch.randn(100_000, 1, 2, dtype=torch.float64)
    scores.requires_grad_()
    partition = crf.log_partition(scores, torch.tensor([100_000]))
    assert torch.isfinite(partition).all()
    partition.sum().backward()
    assert torch.allclose(scores.grad.sum(-1), torch.ones(100_000, 1, dtype=torch.float64))


FORBIDDEN = {
    "one transition": lambda crf: crf.transitions[0, 1],
    "every way to a tag": lambda crf: crf.transitions[:, 1],
    "every way from a tag": lambda crf: crf.transitions[1],
    "a start": lambda crf: crf.start[1],
    "an end": lambda crf: crf.end[1],
    "nearly all": lambda crf: crf.transitions[:, 1:],
}


@pytest.mark.parametrize("what", FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_is_forbidden_has_no_probability_and_every_gradient_is_right(what):
    crf, scores = example(3, 2, 3)
    with torch.no_grad():
        what(crf).fill_(-torch.inf)
    scores[1, 0, 2] = -torch.inf  # a score can forbid too
    scores.requires_grad_()
    wanted = [scores, *crf.parameters()]
    partition = crf.log_partition(scores, torch.tensor([3, 2]))
    gradients = torch.autograd.grad(partition.sum(), wanted)
    for row, length in enumerate([3, 2]):
        assert torch.allclose(
            partition[row], partition_by_hand(crf, scores, length, row), atol=1e-12
        )
    by_hand = partition_by_hand(crf, scores, 3, 0) + partition_by_hand(crf, scores, 2, 1)
    expected = torch.autograd.grad(by_hand, wanted)
    for gradient, right in zip(gradients, expected, strict=True):
        assert torch.allclose(gradient, right, atol=1e-12)


def test_a_row_where_nothing_is_possible_has_no_gradient_and_spoils_no_other_row():
    crf, scores = example(3, 2, 2)
    alone = crf.log_partition(scores[:, 1:], torch.tensor([3]))
    scores[1, 0] = -torch.inf
    partition = crf.log_partition(scores.requires_grad_(), torch.tensor([3, 3]))
    partition.sum().backward()
    assert partition[0] == -torch.inf
    assert torch.allclose(partition[1], alone[0])
    assert (scores.grad[:, 0] == 0).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in crf.parameters())


def test_padding_of_any_kind_reaches_no_gradient():
    crf, scores = example(4, 3, 3)
    lengths, tags = torch.tensor([2, 0, 3]), torch.ones(4, 3, dtype=torch.int64)
    found = []
    for padding in (0.0, torch.nan, -torch.inf):
        spoilt = scores.clone()
        for row, length in enumerate(lengths.tolist()):
            spoilt[length:, row] = padding
        spoilt.requires_grad_()
        likelihood = crf.log_likelihood(spoilt, tags, lengths)
        found.append(torch.autograd.grad(likelihood.sum(), [spoilt, *crf.parameters()]))
    for gradients in found[1:]:
        for gradient, first in zip(gradients, found[0], strict=True):
            assert torch.allclose(gradient, first, rtol=0, atol=1e-14)
    assert (found[0][0][:, 1] == 0).all()


def test_no_rows_no_steps_and_rows_without_steps_have_probability_one():
    crf = LinearChainCRF(3)
    for time, lengths in ((0, [0, 0]), (4, []), (4, [0, 0])):
        none = torch.tensor(lengths, dtype=torch.int64)
        tags = torch.zeros(time, len(lengths), dtype=torch.int64)
        likelihood = crf.log_likelihood(torch.randn(time, len(lengths), 3), tags, none)
        assert likelihood.tolist() == [0.0] * len(lengths)


def test_training_makes_the_right_tags_the_best_path():
    torch.manual_seed(0)
    crf = LinearChainCRF(3)
    scores = torch.randn(6, 2, 3, requires_grad=True)
    tags = torch.randint(0, 3, (6, 2))
    lengths = torch.tensor([6, 4])
    optimizer = torch.optim.SGD([scores, *crf.parameters()], 0.5)
    for _ in range(60):
        optimizer.zero_grad()
        (-crf.log_likelihood(scores, tags, lengths).mean()).backward()
        optimizer.step()
    paths, _ = viterbi(scores, lengths, transitions=crf.transitions, start=crf.start, end=crf.end)
    assert paths == [tags[:6, 0].tolist(), tags[:4, 1].tolist()]


def test_tensors_that_do_not_fit_are_refused_with_a_sentence():
    crf = LinearChainCRF(3)
    with pytest.raises(ShapeError, match=r"scores have the shape \(4, 2, 5\), but they must be"):
        crf.log_partition(torch.zeros(4, 2, 5), torch.tensor([4, 4]))
    with pytest.raises(ShapeError, match="scores have 2 rows"):
        crf.log_partition(torch.zeros(4, 2, 3), torch.tensor([4]))
    with pytest.raises(ShapeError, match=r"tags have the shape \(2, 4\)"):
        crf.log_likelihood(torch.zeros(4, 2, 3), torch.zeros(2, 4).long(), torch.tensor([4, 4]))
    for lengths in ([5, 1], [-1, 4]):
        with pytest.raises(
            ShapeError, match=r"lengths range from -?1 to \d, but scores have 4 steps"
        ):
            crf.log_partition(torch.zeros(4, 2, 3), torch.tensor(lengths))
