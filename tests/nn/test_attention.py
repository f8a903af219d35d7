import math

import pytest
import torch

from elman.nn.attention import AdditiveAttention, MultiplicativeAttention

KINDS = {
    "multiplicative": lambda: MultiplicativeAttention(3, 4),
    "additive": lambda: AdditiveAttention(3, 4, 5),
}


def make(kind):
    torch.manual_seed(0)
    attend = KINDS[kind]().double()
    queries = torch.randn(6, 3, 3, dtype=torch.float64, requires_grad=True)
    memory = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)
    return attend, queries, memory, torch.tensor([5, 1, 3])


def score(attend, query, vector):
    if isinstance(attend, MultiplicativeAttention):
        return query @ (attend.project.weight @ vector) / 3**0.5
    hidden = attend.query.weight @ query + attend.project.weight @ vector + attend.project.bias
    return attend.score.weight[0] @ torch.tanh(hidden)


def by_loop(attend, queries, memory, lengths):
    contexts = []
    for t in range(queries.shape[0]):
        for b, n in enumerate(lengths.tolist()):
            scores = torch.stack([score(attend, queries[t, b], memory[s, b]) for s in range(n)])
            weights = scores.exp() / scores.exp().sum()
            contexts.append(sum(w * memory[s, b] for s, w in enumerate(weights)))
    return torch.stack(contexts).view(*queries.shape[:2], -1)


@pytest.mark.parametrize("kind", KINDS)
def test_attention_agrees_with_a_plain_loop_in_values_and_gradients(kind):
    attend, queries, memory, lengths = make(kind)
    wanted = [queries, memory, *attend.parameters()]
    context, weights = attend(queries, attend.prepare(memory), memory, lengths)
    expected = by_loop(attend, queries, memory, lengths)
    torch.testing.assert_close(context, expected)
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    mixed = torch.randn_like(context)
    ours = torch.autograd.grad((context * mixed).sum(), wanted)
    theirs = torch.autograd.grad((expected * mixed).sum(), wanted)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("filling", [0.0, 1e6, math.nan])
def test_attention_never_reads_what_comes_after_a_row(kind, filling):
    attend, queries, memory, lengths = make(kind)
    before, _ = attend(queries, attend.prepare(memory), memory, lengths)
    with torch.no_grad():
        filled = torch.cat([memory, memory.new_full((2, *memory.shape[1:]), filling)])
        filled[1:, 1] = filling
    after, weights = attend(queries, attend.prepare(filled), filled, lengths)
    torch.testing.assert_close(after, before)
    assert (weights[:, 1, 1:] == 0).all()


def test_a_row_of_length_0_is_answered_with_zeros():
    attend, queries, memory, _ = make("multiplicative")
    context, _ = attend(queries, attend.prepare(memory), memory, torch.tensor([5, 0, 3]))
    assert (context[:, 1] == 0).all()
    assert context[:, 0].abs().min() > 0
