import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import ShapeError
from elman.tasks.dna.grammar import gene_grammar
from elman.tasks.dna.grammar_crf import GrammarCRF

#: four states of three classes; 3 stands only on symbol 0, and costs 2 on it
STATE_CLASSES = [0, 1, 1, 2]
COSTS = torch.tensor([[0.0, 0.0, 0.5, 2.0], [0.0, 1.0, 0.0, torch.inf]])
EDGES = [(0, 0), (0, 1), (1, 2), (2, 2), (2, 0), (2, 3), (3, 0)]
GROUPS = [0, 1, 2, 0, 3, 1, 3]
EDGE_COSTS = [0.0, 0.0, 0.0, 0.0, 0.3, 0.0, 0.0]


def example(time, batch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    crf = GrammarCRF(STATE_CLASSES, COSTS, torch.tensor(EDGES), GROUPS, EDGE_COSTS).double()
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    scores = torch.randn(time, batch, 3, generator=generator, dtype=torch.float64)
    symbols = torch.randint(0, 2, (time, batch), generator=generator)
    return crf, scores.requires_grad_(), symbols


def score_by_hand(crf, scores, symbols, path, row):
    """The score of a path along edges; None for one that is not."""
    total = torch.zeros((), dtype=torch.float64)
    if path:
        total = total + crf.start[STATE_CLASSES[path[0]]] + crf.end[STATE_CLASSES[path[-1]]]
    for t, state in enumerate(path):
        total = total + scores[t, row, STATE_CLASSES[state]] - COSTS[symbols[t, row], state]
    for step in itertools.pairwise(path):
        if step not in EDGES:
            return None
        k = EDGES.index(step)
        total = total + crf.weights[GROUPS[k]] - EDGE_COSTS[k]
    return total if torch.isfinite(total) else None


def every_score(crf, scores, symbols, row, length):
    paths = itertools.product(range(4), repeat=length)
    found = {path: score_by_hand(crf, scores, symbols, path, row) for path in paths}
    return {path: score for path, score in found.items() if score is not None}


@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=4), seed=st.integers(0, 999))
def test_the_partition_and_all_its_gradients_are_those_of_every_path_summed(lengths, seed):
    crf, scores, symbols = example(6, len(lengths), seed)
    inputs = [scores, *crf.parameters()]
    rows = torch.linspace(0.5, 2.0, len(lengths), dtype=torch.float64)  # rows weigh differently
    found = crf.log_partition(scores, symbols, torch.tensor(lengths))
    expected = torch.stack(
        [
            torch.logsumexp(torch.stack([*every_score(crf, scores, symbols, row, n).values()]), 0)
            for row, n in enumerate(lengths)
        ]
    )
    assert torch.allclose(found, expected, atol=1e-10)
    ours = torch.autograd.grad((found * rows).sum(), inputs)
    none = 0 * scores.sum()  # rows without a step have no gradient
    theirs = torch.autograd.grad((expected * rows).sum() + none, inputs, allow_unused=True)
    for name, a, b in zip(["scores", *dict(crf.named_parameters())], ours, theirs, strict=True):
        assert torch.allclose(a, torch.zeros_like(a) if b is None else b, atol=1e-10), name


def test_the_likelihood_is_the_path_s_share_and_padding_does_not_count():
    crf, scores, symbols = example(4, 3)
    lengths = torch.tensor([2, 4, 0])
    for row, length in enumerate(lengths.tolist()):
        total = 0.0
        for path, score in every_score(crf, scores, symbols, row, length).items():
            padded = torch.full((4, 3), 99)  # 99 is no state: it must not be looked at
            padded[: int(lengths[0]), 0] = 0
            padded[:, 1] = 0
            padded[:length, row] = torch.tensor(path, dtype=torch.int64)
            likelihood = crf.log_likelihood(scores, symbols, padded, lengths)[row]
            everything = [*every_score(crf, scores, symbols, row, length).values()]
            by_hand = score - torch.logsumexp(torch.stack(everything), 0)
            assert torch.allclose(likelihood, by_hand, atol=1e-10)
            total += float(likelihood.detach().exp())
        assert total == pytest.approx(1)


def test_a_path_without_an_edge_or_on_an_impossible_symbol_has_no_probability():
    crf, scores, symbols = example(3, 1)
    lengths = torch.tensor([3])
    symbols[:] = 0
    legal = crf.log_likelihood(scores, symbols, torch.tensor([[2], [3], [0]]), lengths)
    assert torch.isfinite(legal)
    assert crf.log_likelihood(scores, symbols, torch.tensor([[1], [3], [0]]), lengths) == -torch.inf
    symbols[1] = 1
    assert crf.log_likelihood(scores, symbols, torch.tensor([[2], [3], [0]]), lengths) == -torch.inf


def test_marginals_are_the_shares_of_all_paths_through_a_state():
    crf, scores, symbols = example(5, 2, seed=4)
    lengths = torch.tensor([3, 5])
    scores = scores.detach()
    marginals = crf.marginals(scores, symbols, lengths)
    for row, length in enumerate(lengths.tolist()):
        each = every_score(crf, scores, symbols, row, length)
        total = torch.logsumexp(torch.stack([*each.values()]), 0)
        for t, state in itertools.product(range(length), range(4)):
            share = sum(
                float((s - total).exp().detach()) for path, s in each.items() if path[t] == state
            )
            assert marginals[t, row, state] == pytest.approx(share, abs=1e-10)
    assert (marginals[3:, 0] == 0).all()


def test_thousands_of_steps_neither_overflow_nor_vanish():
    crf, scores, symbols = example(5000, 2)
    loud = scores.detach() * 50
    value = crf.log_partition(loud.requires_grad_(), symbols, torch.tensor([5000, 4000]))
    value.sum().backward()
    assert torch.isfinite(value).all()
    # at each step the classes' probabilities sum to one, also at the end of the chain
    assert torch.allclose(loud.grad[:4000].sum(-1), torch.ones(4000, 2).double(), atol=1e-6)


def test_the_gradient_is_the_same_when_it_is_asked_for_twice():
    crf, scores, symbols = example(6, 2)
    value = crf.log_partition(scores, symbols, torch.tensor([6, 4])).sum()
    first = torch.autograd.grad(value, scores, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(value, scores)[0])


def dense_log_z(crf, scores, symbols, row, length):
    """The same sum with a dense matrix of edges."""
    moves = torch.full((len(crf.state_classes),) * 2, -1e4, dtype=torch.float64)
    moves[crf.edges[:, 0], crf.edges[:, 1]] = crf.edge_scores().double()
    costs = crf.costs.clamp_max(1e4)  # infinite ones would make gradients nan
    own = scores[:length, row][:, crf.state_classes] - costs[symbols[:length, row]]
    total = own[0] + crf.start[crf.state_classes].double()
    for t in range(1, length):
        total = torch.logsumexp(total[:, None] + moves, 0) + own[t]
    return torch.logsumexp(total + crf.end[crf.state_classes].double(), 0)


@pytest.mark.parametrize("rows", [1, 2, 3, 9])
def test_long_introns_and_many_rows_have_the_sums_of_a_dense_matrix(rows):
    grammar = gene_grammar(both_strands=False, shortest_intron=14)
    crf = GrammarCRF(
        grammar.state_classes,
        grammar.emission_costs,
        grammar.edges,
        grammar.edge_groups,
        grammar.edge_costs,
    ).double()
    generator = torch.Generator().manual_seed(rows)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    scores = torch.randn(30, rows, len(grammar.classes), generator=generator, dtype=torch.float64)
    symbols = torch.randint(0, 4, (30, rows), generator=generator)
    lengths = torch.randint(20, 31, (rows,), generator=generator)
    inputs = [scores.requires_grad_(), *crf.parameters()]
    found = crf.log_partition(scores, symbols, lengths)
    expected = torch.stack(
        [dense_log_z(crf, scores, symbols, k, n) for k, n in enumerate(lengths.tolist())]
    )
    # float64 on both sides; only the order of the sums differs
    assert torch.allclose(found, expected, atol=1e-9)
    ours, theirs = (torch.autograd.grad(each.sum(), inputs) for each in (found, expected))
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, atol=1e-9)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((3, 2, 4), (3, 2), (2,)), "must be \\(time, batch, 3\\)"),
        (((3, 2, 3), (2, 2), (2,)), "symbols are \\(2, 2\\)"),
        (((3, 2, 3), (3, 2), (1,)), "lengths \\(1,\\)"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(shapes, message):
    crf, _, _ = example(1, 1)
    scores, symbols, lengths = shapes
    with pytest.raises(ShapeError, match=message):
        crf.log_partition(
            torch.zeros(scores), torch.zeros(symbols).long(), torch.ones(lengths).long()
        )
