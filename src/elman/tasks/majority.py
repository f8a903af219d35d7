"""The baseline of classifiers: always the most frequent label of the training data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from elman.training.baselines import Baseline

Score = Callable[[Sequence[str], Sequence[str]], float]


def most_frequent_label(
    train: Sequence[str], valid: Sequence[str], score: Score
) -> tuple[Baseline, ...]:
    """The ``score`` on the labels ``valid`` of always answering the commonest label of ``train``.

    >>> from elman.training.metrics import accuracy
    >>> [baseline] = most_frequent_label(["good", "bad", "bad"], ["good", "bad"], accuracy)
    >>> baseline.score, baseline.answer
    (0.5, 'bad')
    """
    if not valid:
        return ()
    [(label, count)] = Counter(train).most_common(1)
    [(best, _)] = Counter(valid).most_common(1)
    return (
        Baseline(
            "always answering the most frequent label",
            score(valid, [label] * len(valid)),
            constant=True,
            answer=label,
            fraction=count / len(train),
            best=score(valid, [best] * len(valid)),
        ),
    )
