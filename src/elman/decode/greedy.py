"""Greedy search: takes the most probable token at each step, for many rows at once.

It is fast; ``beam.py`` finds better sequences.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from elman.decode.hypothesis import Hypothesis, Select, State, Step


def greedy_search(
    step: Step[State],
    select: Select[State],
    state: State,
    *,
    longest: Sequence[int],
    start: int,
    end: int,
) -> list[Hypothesis]:
    """Finds one hypothesis for each row of ``state``, of at most ``longest[row]`` tokens.

    ``step(tokens, state)`` returns the log probabilities (rows, vocabulary) of the next token and
    the next state; ``select(state, rows)`` selects rows of a state.  The score of a hypothesis is
    its log probability.

    >>> table = torch.tensor([[0.0, 0.6, 0.4], [0.0, 0.3, 0.7]]).log()
    >>> step = lambda tokens, state: (table[tokens.clamp_max(1)], state)
    >>> greedy_search(step, lambda state, rows: state, None, longest=[5], start=0, end=2)[0].tokens
    (1,)
    """
    found: list[list[int]] = [[] for _ in longest]
    total = [0.0] * len(longest)
    ended = [False] * len(longest)
    alive = [row for row, most in enumerate(longest) if most > 0]
    if len(alive) < len(longest):
        state = select(state, torch.tensor(alive, dtype=torch.int64))
    tokens = torch.full((len(alive),), start, dtype=torch.int64)
    while alive:
        scores, state = step(tokens, state)
        best, tokens = scores.max(-1)
        kept = []
        for place, (row, token, score) in enumerate(
            zip(alive, tokens.tolist(), best.tolist(), strict=True)
        ):
            total[row] += score
            if token == end:
                ended[row] = True
                continue
            found[row].append(token)
            if len(found[row]) < longest[row]:
                kept.append(place)
        if len(kept) < len(alive):
            rows = torch.tensor(kept, dtype=torch.int64)
            state, tokens = select(state, rows), tokens[rows]
            alive = [alive[place] for place in kept]
    return [
        Hypothesis(tuple(row), score, score, done)
        for row, score, done in zip(found, total, ended, strict=True)
    ]
