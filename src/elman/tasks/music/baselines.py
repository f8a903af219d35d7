"""Baselines of music: n-grams of the steps of a tune, without a network.

A step is a frame of pitches or an event.  The n-grams are interpolated by the method of Witten and
Bell (1991): p(step | context) = (count(context step) + kinds(context) p(step | shorter context)) /
(count(context) + kinds(context)), where kinds(context) is the number of different steps that
followed.  Below the unigram stands a distribution over all steps: for frames, independent pitches
with their frequencies; for events, a uniform one.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence

from elman.tasks.music.data import Tune
from elman.tasks.music.events import NUM_EVENTS
from elman.tasks.music.notes import HIGHEST, LOWEST
from elman.tasks.music.options import MusicOptions
from elman.training.baselines import Baseline

#: at most this many steps are counted, and as many are scored
MOST = 200_000
#: the orders that are scored, and their names
ORDERS = {1: "unigram", 2: "bigram", 4: "4-gram"}

Steps = Sequence[Hashable]


def baselines(
    train: Sequence[Tune], valid: Sequence[Tune], options: MusicOptions
) -> list[Baseline]:
    """The negative log-likelihood of unigrams, bigrams and 4-grams, in nats a step."""
    frames = options.model == "frames"
    counted, scored = [_first([tune.steps for tune in some]) for some in (train, valid)]
    if not any(scored):
        return []
    floor = _independent(counted) if frames else _uniform
    what = "frames" if frames else "events"
    return [
        Baseline(f"a {name} of {what}", _nll(order, counted, scored, floor), constant=order == 1)
        for order, name in ORDERS.items()
    ]


def _first(tunes: Sequence[Steps]) -> list[Steps]:
    """Whole tunes from the start, up to ``MOST`` steps."""
    found, left = [], MOST
    for steps in tunes:
        if left <= 0:
            break
        found.append(steps[:left])
        left -= len(steps)
    return found


def _uniform(step: Hashable) -> float:
    return 1 / NUM_EVENTS


def _independent(tunes: Sequence[Steps]) -> Callable[[Hashable], float]:
    """The probability of a frame if its pitches were independent, with their frequencies."""
    total = sum([len(steps) for steps in tunes])
    counts: Counter[int] = Counter()
    for steps in tunes:
        for step in steps:
            counts.update(step)  # type: ignore[call-overload]
    log_p = {p: math.log((counts[p] + 0.5) / (total + 1)) for p in range(LOWEST, HIGHEST + 1)}
    log_q = {p: math.log1p(-math.exp(value)) for p, value in log_p.items()}
    silence = sum(log_q.values())

    def probability(step: Hashable) -> float:
        on: Sequence[int] = step  # type: ignore[assignment]
        return math.exp(silence + sum([log_p[p] - log_q[p] for p in on]))

    return probability


def _nll(
    order: int,
    train: Sequence[Steps],
    valid: Sequence[Steps],
    floor: Callable[[Hashable], float],
) -> float:
    """The mean of -log p over the steps of ``valid``; before a tune stand marks of its start."""
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
