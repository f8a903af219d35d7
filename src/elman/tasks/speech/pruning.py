"""Chooses the n-grams of a smaller language model: those whose loss would cost most.

The cost of an n-gram is the relative entropy between the model with it and without it (Stolcke
1998), weighted by how often its context occurs.  The contexts' frequencies are those of the text
and not the model's: the lower orders of a Kneser-Ney model are no estimates of frequencies
(Chelba, Brants, Neveitt and Xu 2010).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

Token = tuple[str, ...]


class Model(Protocol):
    """An n-gram model: log probabilities and back-off weights of n-grams, ``tables[n - 1]``."""

    @property
    def tables(self) -> Sequence[Mapping[Token, tuple[float, float]]]: ...

    def score(self, context: Token, token: str) -> float:
        """The log probability of a token after a context."""


def most_informative(model: Model, contexts: Sequence[Counter[Token]], most: int) -> set[Token]:
    """The n-grams of two tokens and more to keep, so that at most ``most`` of any length are left.

    ``contexts[n - 1]`` are the counts of the n-grams of the text.  The context of a kept n-gram is
    kept too.

    >>> from elman.tasks.speech.ngrams import train_ngrams
    >>> model = train_ngrams([["good", "day"]] * 9 + [["good", "news"], ["old", "news"]], 2)
    >>> contexts = [Counter({("<s>",): 11, ("good",): 10, ("old",): 1, ("day",): 9, ("news",): 2})]
    >>> sorted(most_informative(model, contexts, len(model.tables[0]) + 2))
    [('<s>', 'good'), ('good', 'day')]
    """
    costs: dict[Token, float] = {}
    for n in range(2, len(model.tables) + 1):
        costs.update(_costs(model, n, contexts[n - 2]))
    room = most - len(model.tables[0])
    kept: set[Token] = set()
    for gram in sorted(costs, key=lambda gram: (-costs[gram], gram)):
        needed = [gram[:k] for k in range(2, len(gram) + 1) if gram[:k] not in kept]
        if len(kept) + len(needed) <= room:
            kept.update(needed)
        if len(kept) == room:
            break
    return kept


def _costs(model: Model, n: int, contexts: Counter[Token]) -> dict[Token, float]:
    """The relative entropy that losing each n-gram of ``n`` tokens would cost."""
    by_context: dict[Token, list[Token]] = defaultdict(list)
    for gram in model.tables[n - 1]:
        by_context[gram[:-1]].append(gram)
    costs = {}
    for context, grams in by_context.items():
        own = [math.exp(model.tables[n - 1][gram][0]) for gram in grams]
        lower = [math.exp(model.score(context[1:], gram[-1])) for gram in grams]
        left, left_lower = 1.0 - sum(own), 1.0 - sum(lower)
        backoff = model.tables[n - 2][context][1]
        for gram, p, q in zip(grams, own, lower, strict=True):
            # without this n-gram, its probability and the others' come from the shorter context
            new = math.log(max(left + p, 1e-12) / max(left_lower + q, 1e-12))
            change = p * (math.log(q) + new - math.log(p)) + max(left, 0.0) * (new - backoff)
            costs[gram] = -contexts[context] * change
    return costs
