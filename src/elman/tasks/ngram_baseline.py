"""N-grams of the steps of sequences: a baseline without a network, for tasks that generate.

The n-grams are interpolated by the method of Witten and Bell (1991): p(step | context) =
(count(context step) + kinds(context) p(step | shorter context)) / (count(context) +
kinds(context)), where kinds(context) is the number of different steps that followed.  Below the
unigram stands a distribution over all steps, which the task gives.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

#: at most this many steps are counted, and as many are scored
MOST = 200_000
#: of longer data, stretches of this many steps are taken
STRETCH = 1000

Steps = Sequence[Hashable]
Step = TypeVar("Step", bound=Hashable)


def spread_steps(sequences: Sequence[Sequence[Step]]) -> list[Sequence[Step]]:
    """Stretches from everywhere, up to ``MOST`` steps: the start alone may be of another kind.

    >>> [len(found) for found in spread_steps(["abc", "de"])]
    [3, 2]
    """
    total = sum([len(steps) for steps in sequences])
    if total <= MOST:
        return list(sequences)
    found: list[Sequence[Step]] = []
    seen = taken = 0
    for steps in sequences:
        for first in range(0, len(steps), STRETCH):
            stretch = steps[first : first + STRETCH]
            seen += len(stretch)
            if (taken + len(stretch)) * total <= MOST * seen:
                found.append(stretch)
                taken += len(stretch)
    return found


def ngram_nll(
    order: int,
    train: Sequence[Steps],
    valid: Sequence[Steps],
    floor: Callable[[Hashable], float],
) -> float:
    """The mean of -log p over the steps of ``valid``; before a sequence stand marks of its start.

    >>> round(ngram_nll(1, ["aab"], ["ab"], lambda step: 0.5), 3)
    0.714
    """
    after: defaultdict[Steps, Counter[Hashable]] = defaultdict(Counter)
    start = (None,) * (order - 1)
    for steps in train:
        marked = (*start, *steps)
        for k, step in enumerate(steps, order - 1):
            for size in range(order):
                after[marked[k - size : k]][step] += 1
    totals = {context: counts.total() for context, counts in after.items()}
    loss = count = 0.0
    for steps in valid:
        marked = (*start, *steps)
        for k, step in enumerate(steps, order - 1):
            p = floor(step)
            for size in range(order):
                context = marked[k - size : k]
                if context not in totals:
                    break
                kinds = len(after[context])
                p = (after[context][step] + kinds * p) / (totals[context] + kinds)
            loss -= math.log(max(p, 1e-300))
            count += 1
    return loss / count
