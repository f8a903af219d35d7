"""Baselines of music: n-grams of the steps of a tune, without a network.

A step is a frame of pitches, a pitch for each voice, or an event.  ``tasks/ngram_baseline.py``
describes the n-grams.  Below the unigram stands a distribution over all steps: for frames and
voices, independent pitches with their frequencies; for events, a uniform one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from elman.tasks.music.data import Tune
from elman.tasks.music.events import NUM_EVENTS
from elman.tasks.music.notes import HIGHEST, LOWEST, NUM_PITCHES
from elman.tasks.music.options import MusicOptions
from elman.tasks.ngram_baseline import Steps, ngram_nll, spread_steps
from elman.training.baselines import Baseline

#: the orders that are scored, and their names
ORDERS = {1: "unigram", 2: "bigram", 4: "4-gram"}


def baselines(
    train: Sequence[Tune], valid: Sequence[Tune], options: MusicOptions
) -> list[Baseline]:
    """The negative log-likelihood of unigrams, bigrams and 4-grams, in nats a step."""
    frames = options.model == "frames"
    counted, scored = [spread_steps([tune.steps for tune in some]) for some in (train, valid)]
    if not any(scored):
        return []
    independent = _independent_voices if options.by_voices else _independent
    floor = independent(counted) if frames else _uniform
    what = "frames" if frames else "events"
    return [
        Baseline(
            f"a {name} of {what}", ngram_nll(order, counted, scored, floor), constant=order == 1
        )
        for order, name in ORDERS.items()
    ]


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


def _independent_voices(tunes: Sequence[Steps]) -> Callable[[Hashable], float]:
    """The probability of a step if its voices were independent, with their frequencies."""
    steps: list[Any] = [step for tune in tunes for step in tune]
    counts = [Counter(line) for line in zip(*steps, strict=True)]

    def probability(step: Hashable) -> float:
        pitches: Sequence[int] = step  # type: ignore[assignment]
        return math.prod(
            [
                (counted[pitch] + 0.5) / (len(steps) + 0.5 * (NUM_PITCHES + 1))
                for counted, pitch in zip(counts, pitches, strict=True)
            ]
        )

    return probability
