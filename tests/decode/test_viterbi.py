import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.decode import bio_constraints, viterbi
from elman.errors import ShapeError

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def best_by_hand(scores, length, transitions, start, end, allowed, allowed_start):
    best, found = -float("inf"), None
    for path in itertools.product(range(scores.shape[-1]), repeat=length):
        if not allowed_start[path[0]] or any(
            not allowed[a, b] for a, b in itertools.pairwise(path)
        ):
            continue
        total = start[path[0]] + end[path[-1]] + sum(scores[t, tag] for t, tag in enumerate(path))
        total += sum(transitions[a, b] for a, b in itertools.pairwise(path))
        if total > best:
            best, found = float(total), list(path)
    return found, best


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
    constrained=st.booleans(),
)
def test_the_path_is_the_best_of_all_that_are_allowed(lengths, seed, constrained):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(5, len(lengths), 3, generator=generator, dtype=torch.float64)
    transitions, start, end = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((3, 3), (3,), (3,))
    )
    allowed, allowed_start = bio_constraints(TAGS[:3])
    if not constrained:
        allowed, allowed_start = torch.ones_like(allowed), torch.ones_like(allowed_start)
    paths, values = viterbi(
        scores,
        torch.tensor(lengths),
        transitions=transitions,
        start=start,
        end=end,
        allowed=allowed,
        allowed_start=allowed_start,
    )
    for row, length in enumerate(lengths):
        if length == 0:
            assert paths[row] == []
            assert values[row] == 0
            continue
        path, value = best_by_hand(
            scores[:, row], length, transitions, start, end, allowed, allowed_start
        )
        assert paths[row] == path
        assert values[row].item() == pytest.approx(value)


def test_bio_paths_are_always_legal_whatever_the_scores():
    allowed, allowed_start = bio_constraints(TAGS)
    scores = torch.randn(12, 50, 5, generator=torch.Generator().manual_seed(0))
    scores[..., [2, 4]] += 5  # as if every word wished to be inside a name
    paths, _ = viterbi(scores, torch.full((50,), 12), allowed=allowed, allowed_start=allowed_start)
    for path in paths:
        tags = [TAGS[k] for k in path]
        for before, tag in zip(["O", *tags], tags, strict=False):
            if tag.startswith("I-"):
                assert before in (f"B-{tag[2:]}", tag)
    free, _ = viterbi(scores, torch.full((50,), 12))
    assert any(TAGS[path[0]].startswith("I-") for path in free), "the constraint has nothing to do"


def test_which_tags_may_follow_which():
    allowed, allowed_start = bio_constraints(TAGS)
    assert allowed_start.tolist() == [True, True, False, True, False]
    assert allowed[TAGS.index("B-PER"), TAGS.index("I-PER")]
    assert not allowed[TAGS.index("B-PER"), TAGS.index("I-LOC")]
    assert not allowed[TAGS.index("O"), TAGS.index("I-LOC")]


def test_what_stands_behind_a_row_does_not_change_its_path():
    scores = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([3, 6])
    paths, values = viterbi(scores, lengths)
    scores[3:, 0] = torch.nan
    again, values_again = viterbi(scores, lengths)
    assert again == paths
    assert torch.equal(values, values_again)


def test_equal_paths_are_decided_the_same_way_each_time():
    assert viterbi(torch.zeros(3, 1, 4), torch.tensor([3]))[0] == [[0, 0, 0]]


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 4), seed=st.integers(0, 10_000))
def test_of_equal_paths_that_with_the_smaller_tag_seen_from_the_end_is_taken(length, seed):
    generator = torch.Generator().manual_seed(seed)
    # whole numbers of 0 and 1: most examples have several best paths
    scores = torch.randint(0, 2, (length, 1, 3), generator=generator).double()
    transitions = torch.randint(0, 2, (3, 3), generator=generator).double()
    every = list(itertools.product(range(3), repeat=length))
    totals = [
        sum(scores[t, 0, tag] for t, tag in enumerate(path))
        + sum(transitions[a, b] for a, b in itertools.pairwise(path))
        for path in every
    ]
    best = [path for path, total in zip(every, totals, strict=True) if total == max(totals)]
    paths, _ = viterbi(scores, torch.tensor([length]), transitions=transitions)
    assert paths == [list(min(best, key=lambda path: path[::-1]))]


def test_a_row_is_decoded_as_it_is_alone_in_any_order_of_lengths():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([2, 7, 0, 1, 5, 7])
    scores = torch.randn(7, 6, 4, generator=generator)
    transitions = torch.randn(4, 4, generator=generator)
    paths, values = viterbi(scores, lengths, transitions=transitions)
    for row, length in enumerate(lengths.tolist()):
        path, value = viterbi(
            scores[:length, [row]], torch.tensor([length]), transitions=transitions
        )
        assert path == [paths[row]]
        assert len(paths[row]) == length
        assert value[0] == values[row]


def test_where_nothing_is_allowed_the_score_says_so():
    nothing = torch.zeros(2, 2, dtype=torch.bool)
    _, values = viterbi(torch.zeros(2, 2, 2), torch.tensor([2, 1]), allowed=nothing)
    assert values.tolist() == [-torch.inf, 0.0]


@pytest.mark.parametrize("types", [[], ["PER"], ["PER", "LOC", "ORG"]])
def test_bio_constraints_leave_a_legal_path_of_any_length(types):
    # "O" may begin and may follow every tag: whatever the row, O O O ... is legal, and no
    # beginning of a path is a dead end
    tags = ("O", *(f"{letter}-{type}" for type in types for letter in "BI"))
    allowed, allowed_start = bio_constraints(tags)
    assert allowed_start[tags.index("O")]
    assert allowed[:, tags.index("O")].all()
    wish = torch.full((9, 1, len(tags)), -1e30)
    wish[..., -1] = 1e30  # the last tag is an I- wherever there is a type
    _, values = viterbi(wish, torch.tensor([9]), allowed=allowed, allowed_start=allowed_start)
    assert torch.isfinite(values).all()


def test_a_hundred_thousand_steps_are_followed_without_recursion():
    scores = torch.randn(100_000, 1, 3, generator=torch.Generator().manual_seed(0))
    paths, _ = viterbi(scores, torch.tensor([100_000]))
    assert paths == [scores[:, 0].argmax(-1).tolist()]


def test_no_rows_and_no_steps_give_no_paths():
    assert viterbi(torch.zeros(0, 2, 3), torch.tensor([0, 0]))[0] == [[], []]
    assert viterbi(torch.zeros(3, 0, 3), torch.tensor([], dtype=torch.int64))[0] == []


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"must be \(time, batch, tag\) and \(batch,\)"):
        viterbi(torch.zeros(3, 2, 3), torch.tensor([3]))
    for lengths in ([4, 1], [-1, 3]):
        with pytest.raises(
            ShapeError, match=r"lengths range from -?1 to \d, but scores have 3 steps"
        ):
            viterbi(torch.zeros(3, 2, 3), torch.tensor(lengths))
