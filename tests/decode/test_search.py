import itertools
import math

import pytest
import torch

from elman.decode import beam_search, greedy_search
from elman.errors import OptionError

VOCABULARY, START, END = 4, 1, 0
LONGEST = 4


def model(rows):
    """Log-probabilities that depend on the row and on all tokens before: no shortcut is exact."""
    cache = {}

    def after(row, tokens):
        if (row, tokens) not in cache:
            generator = torch.Generator().manual_seed(hash((row, *tokens)) % 2**31)
            scores = 2 * torch.randn(VOCABULARY, generator=generator)
            scores[START] = -torch.inf
            cache[row, tokens] = scores.log_softmax(0)
        return cache[row, tokens]

    def step(tokens, state):
        seen = [
            (row, before if token == START else (*before, token))
            for (row, before), token in zip(state, tokens.tolist(), strict=True)
        ]
        return torch.stack([after(row, before) for row, before in seen]), seen

    def select(state, rows):
        return [state[k] for k in rows.tolist()]

    return after, step, select, [(row, ()) for row in rows]


def all_sequences(after, row, longest, penalty):
    """(score, tokens) of every sequence that ends within the longest length, and that is cut."""
    found = []
    symbols = [token for token in range(VOCABULARY) if token not in (START, END)]
    for size in range(longest + 1):
        for tokens in itertools.product(symbols, repeat=size):
            total = sum(after(row, tokens[:k])[tokens[k]].item() for k in range(size))
            if size < longest:
                total += after(row, tokens)[END].item()
                found.append((total / (size + 1) ** penalty, tokens))
            else:
                found.append((total / max(1, size) ** penalty, tokens))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0])
def test_a_wide_beam_finds_what_trying_everything_finds(penalty):
    rows = [0, 1, 2, 3]
    after, step, select, state = model(rows)
    found = beam_search(
        step, select, state, longest=[LONGEST] * 4, start=START, end=END,
        beam=40, n_best=5, length_penalty=penalty,
    )  # fmt: skip
    for row in rows:
        best = all_sequences(after, row, LONGEST, penalty)[:5]
        assert [each.tokens for each in found[row]] == [tokens for _, tokens in best]
        assert [each.score for each in found[row]] == pytest.approx([s for s, _ in best], abs=1e-5)


@pytest.mark.parametrize("beam", [1, 2, 3])
def test_many_rows_at_once_are_each_row_alone(beam):
    rows, longest = [0, 1, 2, 3, 4, 5], [4, 1, 3, 0, 7, 2]
    _, step, select, state = model(rows)
    options = {"start": START, "end": END}
    together = beam_search(step, select, state, longest=longest, beam=beam, n_best=beam, **options)
    greedy = greedy_search(step, select, state, longest=longest, **options)
    for row in rows:
        _, step, select, own = model([row])
        [alone] = beam_search(
            step, select, own, longest=[longest[row]], beam=beam, n_best=beam, **options
        )
        assert together[row] == alone
        assert greedy_search(step, select, own, longest=[longest[row]], **options) == [greedy[row]]
        if beam == 1:
            assert alone[0].tokens == greedy[row].tokens
            assert alone[0].log_probability == pytest.approx(greedy[row].log_probability)


def test_a_beam_finds_more_than_greedy_search_and_never_more_than_there_is():
    totals = []
    for beam in (1, 2, 4, 8, 40):
        _, step, select, state = model(range(20))
        found = beam_search(
            step, select, state, longest=[LONGEST] * 20, start=START, end=END, beam=beam,
            length_penalty=0.0,
        )  # fmt: skip
        totals.append(sum(each[0].log_probability for each in found))
    assert totals[0] < totals[3] <= totals[4] + 1e-4
    assert max(totals) == pytest.approx(totals[4])


def test_length_normalisation_prefers_what_is_longer():
    """Ending at once has 0.4; going on has 0.6, and 0.6 at each of two more steps."""
    table = torch.tensor([[0.4, 0, 0.6, 0], [0, 0, 1e-9, 0], [0.6, 0, 0.4, 0], [0, 0, 0, 1]]).log()

    def step(tokens, state):
        return table[torch.where(tokens == START, 0, tokens)], state

    def best(penalty):
        [[each]] = beam_search(
            step, lambda state, rows: state, None, longest=[6], start=START, end=END, beam=3,
            length_penalty=penalty,
        )  # fmt: skip
        return each

    assert best(0.0).tokens == ()
    assert best(0.0).score == pytest.approx(math.log(0.4))
    assert best(1.0).tokens == (2,)
    assert best(1.0).score == pytest.approx(math.log(0.6 * 0.6) / 2)


def test_what_does_not_end_is_cut_at_the_longest_length():
    def step(tokens, state):
        return torch.tensor([[-20.0, -torch.inf, -1e-8, -20.0]]).expand(len(tokens), -1), state

    [[each]] = beam_search(
        step, lambda state, rows: state, None, longest=[3], start=START, end=END, beam=1
    )
    assert (each.tokens, each.ended) == ((2, 2, 2), False)
    [each] = greedy_search(step, lambda s, rows: s, None, longest=[3], start=START, end=END)
    assert (each.tokens, each.ended) == ((2, 2, 2), False)


@pytest.mark.parametrize(
    "wrong", [{"beam": 0}, {"n_best": 0}, {"n_best": 3}, {"length_penalty": -1}]
)
def test_numbers_that_cannot_be_are_refused(wrong):
    with pytest.raises(OptionError, match="beam_search: "):
        beam_search(None, None, None, longest=[], start=1, end=0, **{"beam": 2, **wrong})
