"""Scores of trivial baselines, which a trained model must beat to be of use.

A task computes them on its validation data (``Task.baselines``); they are printed when training
starts and stand on the card.  The monitor of training (``watch.py``) compares every validation with
those that do not look at their input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Baseline:
    """A baseline: what it does, and its score in the metric that selects the best weights.

    A ``constant`` baseline gives the same answer to every input, so that a model which is no
    better has learned nothing.  ``answer`` is that answer, if it is a label, ``fraction`` the
    fraction of the training examples that have it, and ``best`` the score of the best constant
    answer, which only the validation data reveal.
    """

    name: str
    score: float
    constant: bool = False
    answer: str = ""
    fraction: float = 0.0
    best: float | None = None


@dataclass(frozen=True)
class Metric:
    """The metric that selects the best weights: its name, its direction, and how it is written.

    >>> Metric("accuracy").text(0.521), Metric("nll", higher_is_better=False, unit="nats").text(8.4)
    ('52.1 %', '8.40 nats')
    """

    name: str
    higher_is_better: bool = True
    unit: str = "%"

    def text(self, score: float) -> str:
        """A score with its unit."""
        if self.unit == "%":
            return f"{100 * score:.1f} %"
        return f"{score:.2f} {self.unit}".rstrip()

    def better(self, score: float, other: float) -> bool:
        """Whether ``score`` is better than ``other``; equal is not better."""
        return score > other if self.higher_is_better else score < other

    def best(self, baselines: Sequence[Baseline]) -> Baseline | None:
        """The strongest of the baselines."""
        if not baselines:
            return None
        return (max if self.higher_is_better else min)(baselines, key=lambda each: each.score)


def baseline_line(metric: Metric, baseline: Baseline) -> str:
    """A baseline in one line.

    >>> baseline_line(Metric("accuracy"), Baseline("always answering the most frequent label", 0.5))
    'validation accuracy of always answering the most frequent label: 50.0 %'
    """
    return f"validation {metric.name} of {baseline.name}: {metric.text(baseline.score)}"


def verdict(metric: Metric, score: float, baselines: Sequence[Baseline]) -> str:
    """Whether a model with this score beats the baselines, in one sentence; empty without any.

    >>> baselines = [Baseline("guessing", 0.5), Baseline("naive Bayes", 0.7)]
    >>> verdict(Metric("accuracy"), 0.6, baselines)
    "The model's validation accuracy, 60.0 %, beats guessing (50.0 %) but not naive Bayes (70.0 %)."
    """
    if not baselines:
        return ""
    beaten = [each for each in baselines if metric.better(score, each.score)]
    others = [each for each in baselines if each not in beaten]
    parts = [f"beats {_listed(metric, beaten, 'and')}"] if beaten else []
    if others:
        parts.append(f"{'not' if beaten else 'does not beat'} {_listed(metric, others, 'or')}")
    start = f"The model's validation {metric.name}, {metric.text(score)}, "
    return f"{start}{' but '.join(parts)}."


def _listed(metric: Metric, baselines: Sequence[Baseline], joint: str) -> str:
    named = [f"{each.name} ({metric.text(each.score)})" for each in baselines]
    return f" {joint} ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
