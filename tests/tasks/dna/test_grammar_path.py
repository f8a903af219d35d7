import itertools

import numpy as np
import pytest
import torch

from elman.tasks.dna.grammar_path import Automaton, PathSearch, best_paths

CLASSES = np.array([0, 1, 1, 2])
COSTS = np.array([[0.0, 0.0, 0.5, 2.0], [0.0, 1.0, 0.0, np.inf]])
EDGES = np.array([(0, 0), (0, 1), (1, 2), (2, 2), (2, 0), (2, 3), (3, 0)])


def example(time, batch, seed):
    random = np.random.default_rng(seed)
    automaton = Automaton(
        CLASSES, COSTS, EDGES, random.normal(size=7), random.normal(size=3), random.normal(size=3)
    )
    scores = torch.from_numpy(random.normal(size=(time, batch, 3)))
    return automaton, scores, torch.from_numpy(random.integers(0, 2, (time, batch)))


def score(automaton, scores, symbols, path):
    total = automaton.start[CLASSES[path[0]]] + automaton.end[CLASSES[path[-1]]]
    total += sum(scores[t, CLASSES[s]] - COSTS[symbols[t], s] for t, s in enumerate(path))
    for step in itertools.pairwise(path):
        (edge,) = [k for k, pair in enumerate(EDGES.tolist()) if tuple(pair) == step] or [None]
        total += -np.inf if edge is None else automaton.edge_scores[edge]
    return total


@pytest.mark.parametrize("seed", range(8))
def test_no_path_is_better(seed):
    automaton, scores, symbols = example(6, 4, seed)
    lengths = torch.tensor([6, 3, 1, 0])
    found = best_paths(automaton, scores, symbols, lengths)
    assert [len(path) for path in found] == [6, 3, 1, 0]
    for row in range(3):
        own, signs = scores[:, row].numpy(), symbols[:, row].numpy()
        paths = itertools.product(range(4), repeat=int(lengths[row]))
        best = max(score(automaton, own, signs, path) for path in paths)
        assert score(automaton, own, signs, tuple(found[row].tolist())) == pytest.approx(best)


@pytest.mark.parametrize("sizes", [(1,), (7,), (50, 1, 3), (400,)])
def test_pieces_give_the_path_of_the_whole(sizes):
    automaton, scores, symbols = example(300, 1, seed=3)
    whole = best_paths(automaton, scores, symbols, torch.tensor([300]))[0]
    search, found, start = PathSearch(automaton), [], 0
    for size in itertools.cycle(sizes):
        if start >= 300:
            break
        found.append(search.feed(scores[start : start + size, 0], symbols[start : start + size, 0]))
        start += size
    if sizes == (7,):
        settled = sum(map(len, found))
        assert settled > 280, "what is settled is given at once, and forgotten"
    assert np.array_equal(np.concatenate([*found, search.finish()]), whole)


def test_nothing_gives_nothing():
    automaton, scores, symbols = example(0, 1, seed=0)
    assert best_paths(automaton, scores, symbols, torch.tensor([0]))[0].tolist() == []
    search = PathSearch(automaton)
    assert search.feed(scores[:, 0], symbols[:, 0]).tolist() == []
    assert search.finish().tolist() == []
