"""CTC's searches against every path and every text; alignments against every path."""

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
import torch

from elman.decode import PrefixBeam, align, best_path, prefix_beam
from elman.decode.ctc import merge
from elman.errors import OptionError


def steps(time, symbols, seed, sharp=1.5):
    draw = np.random.default_rng(seed).standard_normal((time, symbols)) * sharp
    return draw - np.log(np.exp(draw).sum(1, keepdims=True))


def texts(log_probs):
    """The probability of each text: the sum over all paths."""
    time, symbols = log_probs.shape
    found = defaultdict(float)
    for path in itertools.product(range(symbols), repeat=time):
        found[tuple(merge(path))] += math.exp(sum(log_probs[t, s] for t, s in enumerate(path)))
    return found


class Likes:
    """A fusion by a table: what a symbol adds after the one before, and what an end adds."""

    def __init__(self, seed, symbols):
        self.table = np.random.default_rng(seed).standard_normal((symbols, symbols + 1))
        self.start = 0

    def extend(self, state, symbol):
        return symbol, float(self.table[state, symbol])

    def finish(self, state):
        return float(self.table[state, -1])

    def of(self, text):
        before = (0, *text)
        return (
            sum(self.table[a, b] for a, b in itertools.pairwise(before))
            + self.table[before[-1], -1]
        )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("fused", [False, True])
def test_a_wide_beam_finds_the_text_that_all_texts_show_to_be_best(seed, fused):
    log_probs = steps(6, 4, seed)
    fusion = Likes(seed, 4) if fused else None
    every = texts(log_probs)
    best = max(every, key=lambda t: math.log(every[t]) + (fusion.of(t) if fusion else 0))
    found = prefix_beam(log_probs, 10_000, fusion=fusion, least=-math.inf)
    assert tuple(found) == best


def test_the_best_path_may_say_another_thing_than_all_paths_together():
    log_probs = np.log([[0.6, 0.4], [0.6, 0.4]])
    assert best_path(torch.tensor(log_probs)[:, None], torch.tensor([2])) == [[]]
    assert prefix_beam(log_probs, 4) == [1]


def test_repetitions_need_a_blank_between_and_greedy_stops_at_a_rows_end():
    path = torch.tensor([[1, 1], [1, 2], [0, 2], [1, 1]])
    log_probs = torch.nn.functional.one_hot(path, 3).float()
    assert best_path(log_probs, torch.tensor([4, 2])) == [[1, 1], [1, 2]]


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_fed_in_pieces_finds_the_same_and_settles_only_what_stays(seed):
    log_probs = steps(150, 5, seed, sharp=3)
    fusion = Likes(seed, 5)
    whole = PrefixBeam(6, fusion=fusion)
    whole.advance(log_probs)
    pieces, stable = PrefixBeam(6, fusion=fusion), []
    draw, at = np.random.default_rng(seed), 0
    while at < len(log_probs):
        size = draw.integers(0, 20)
        pieces.advance(log_probs[at : at + size])
        at += size
        now = pieces.stable()
        assert now[: len(stable)] == stable
        stable = now
    assert pieces.best() == whole.best()
    assert whole.best()[: len(stable)] == stable
    assert len(stable) > 50


def test_a_beam_forgets_what_it_will_not_need():
    beam = PrefixBeam(4)
    beam.advance(steps(2000, 5, 0, sharp=3))

    def count(prefix):
        return 1 + sum(count(child) for child in prefix.children.values())

    assert count(beam._root) < 1000  # 32 steps of 4 texts with 5 symbols


@pytest.mark.parametrize("seed", range(6))
def test_an_alignment_is_the_best_of_all_paths_of_the_symbols(seed):
    log_probs, symbols = steps(7, 4, seed), [[1, 1, 2], [3], [2, 3, 2]][seed % 3]
    every = [p for p in itertools.product(range(4), repeat=7) if merge(p) == symbols]
    best = max(every, key=lambda path: sum(log_probs[t, s] for t, s in enumerate(path)))
    spans = align(log_probs, symbols)
    covered = [0] * 7
    for symbol, (start, end) in zip(symbols, spans, strict=True):
        covered[start:end] = [symbol] * (end - start)
    assert tuple(covered) == best


def test_what_cannot_be_aligned_or_searched_is_said():
    with pytest.raises(OptionError, match="2 symbols do not fit into 2 steps"):
        align(steps(2, 3, 0), [1, 1])
    with pytest.raises(OptionError, match="width is 0"):
        PrefixBeam(0)
    assert align(steps(2, 3, 0), []) == []
