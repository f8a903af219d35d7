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


def test_a_hundred_thousand_steps_and_large_scores_stay_finite():
    crf, _ = example(1, 1, 3)
    scores = 1e4 * torch.randn(100_000, 1, 3, dtype=torch.float64)
    assert torch.isfinite(crf.log_partition(scores, torch.tensor([100_000]))).all()


def test_impossible_transitions_have_no_probability_and_no_nan():
    crf, scores = example(3, 1, 2)
    with torch.no_grad():
        crf.transitions[0, 1] = -torch.inf
    lengths = torch.tensor([3])
    partition = crf.log_partition(scores.requires_grad_(), lengths)
    allowed = [p for p in every_path(2, 3) if (0, 1) not in list(itertools.pairwise(p))]
    each = torch.stack([score_by_hand(crf, scores, path, 0) for path in allowed])
    assert torch.allclose(partition[0], torch.logsumexp(each, 0), atol=1e-12)
    partition.sum().backward()
    assert torch.isfinite(scores.grad).all()


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
