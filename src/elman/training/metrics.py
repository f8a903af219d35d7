"""Scores of labels and of spans.

Accuracy and macro F1 compare two lists of labels.  ``span_scores`` compares predicted spans with
expected ones: a span is correct only if its start, end and type all match, as in the CoNLL-2003
shared task (Tjong Kim Sang and De Meulder 2003).
"""

from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from elman.errors import DataError, ShapeError


def accuracy(expected: Sequence[Hashable], predicted: Sequence[Hashable]) -> float:
    """The fraction of ``predicted`` that equals ``expected``, position by position.

    >>> accuracy(["good", "bad", "bad", "bad"], ["good", "bad", "good", "bad"])
    0.75
    """
    _check("accuracy", expected, predicted)
    agreeing = sum(e == p for e, p in zip(expected, predicted, strict=True))
    return agreeing / len(expected)


def macro_f1(expected: Sequence[Hashable], predicted: Sequence[Hashable]) -> float:
    """The unweighted mean of the F1 scores of all labels that occur in either list.

    >>> round(macro_f1(["good", "bad", "bad", "bad"], ["good", "bad", "good", "bad"]), 4)
    0.7333
    """
    _check("macro_f1", expected, predicted)
    right = Counter(e for e, p in zip(expected, predicted, strict=True) if e == p)
    there, found = Counter(expected), Counter(predicted)
    labels = there.keys() | found.keys()
    return sum(Score.of(right[x], there[x], found[x]).f1 for x in labels) / len(labels)


def class_scores(
    expected: Sequence[int], probabilities: Sequence[Float[Tensor, " class"]]
) -> dict[str, float]:
    """Accuracy, macro F1, the mean of -log p of the correct classes, the expected calibration
    error, and the number of examples.

    ``expected`` holds class indices; the largest entry of a row of ``probabilities`` is predicted.

    >>> import torch
    >>> scores = class_scores([0, 1], [torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0])])
    >>> scores["accuracy"], round(scores["loss"], 4), scores["examples"]
    (1.0, 0.3466, 2)
    """
    predicted = [int(row.argmax()) for row in probabilities]
    rows = zip(probabilities, expected, strict=True)
    losses = [-float(row[label].clamp_min(1e-30).log()) for row, label in rows]
    return {
        "accuracy": accuracy(expected, predicted),
        "f1": macro_f1(expected, predicted),
        "loss": sum(losses) / len(losses),
        "calibration_error": calibration_error(
            [float(row.max()) for row in probabilities],
            [e == p for e, p in zip(expected, predicted, strict=True)],
        ),
        "examples": len(expected),
    }


def calibration_error(confidences: Sequence[float], right: Sequence[bool], bins: int = 15) -> float:
    """The expected calibration error (Guo, Pleiss, Sun and Weinberger 2017).

    Answers are grouped by confidence into ``bins`` equal intervals.  The error is the mean, over
    all answers, of the distance between the mean confidence of a group and the fraction of its
    answers that are right; 0 without answers.

    >>> round(calibration_error([0.9, 0.9, 0.6, 0.6], [True, True, True, False]), 3)
    0.1
    """
    groups: dict[int, list[tuple[float, bool]]] = {}
    for confidence, correct in zip(confidences, right, strict=True):
        groups.setdefault(min(bins - 1, int(confidence * bins)), []).append((confidence, correct))
    distances = [abs(sum([c - r for c, r in group])) for group in groups.values()]
    return sum(distances) / max(1, len(confidences))


@dataclass(frozen=True)
class Score:
    """Precision: the fraction of predictions that are correct.  Recall: the fraction of expected
    items that were found.  F1: their harmonic mean.  Each is 0 if it has nothing to count.
    """

    precision: float
    recall: float
    f1: float

    @classmethod
    def of(cls, right: int, there: int, found: int) -> "Score":
        return cls(
            precision=right / found if found else 0.0,
            recall=right / there if there else 0.0,
            f1=2 * right / (there + found) if there + found else 0.0,
        )


@dataclass(frozen=True)
class SpanScores(Score):
    """The micro-averaged score over all spans, and the score of each type by name."""

    per_type: dict[str, Score]


class TypedSpan(Protocol):
    """Anything with a start, an end and a type."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def type(self) -> str: ...


def span_scores(
    expected: Sequence[Collection[TypedSpan]], predicted: Sequence[Collection[TypedSpan]]
) -> SpanScores:
    """Exact-match precision, recall and F1 of spans, given as one collection per sentence.

    >>> from collections import namedtuple
    >>> Span = namedtuple("Span", "start end type")
    >>> there = [[Span(2, 4, "PER"), Span(5, 7, "PER")], [Span(0, 1, "LOC")]]
    >>> found = [[Span(2, 4, "PER"), Span(5, 6, "PER")], []]
    >>> scores = span_scores(there, found)
    >>> scores.precision, round(scores.recall, 3), scores.f1
    (0.5, 0.333, 0.4)
    >>> scores.per_type["PER"].f1
    0.5
    """
    _check("span_scores", expected, predicted)
    right: Counter[str] = Counter()
    there: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for e, p in zip(expected, predicted, strict=True):
        spans, guesses = _places(e), _places(p)
        there.update(type for _, _, type in spans)
        found.update(type for _, _, type in guesses)
        right.update(type for _, _, type in spans & guesses)
    total = Score.of(right.total(), there.total(), found.total())
    return SpanScores(
        precision=total.precision,
        recall=total.recall,
        f1=total.f1,
        per_type={
            type: Score.of(right[type], there[type], found[type])
            for type in sorted(there.keys() | found.keys())
        },
    )


def _places(spans: Collection[TypedSpan]) -> set[tuple[int, int, str]]:
    return {(span.start, span.end, span.type) for span in spans}


def _check(name: str, expected: Sequence[object], predicted: Sequence[object]) -> None:
    if len(expected) != len(predicted):
        raise ShapeError(
            f"{name}: there are {len(expected)} expected values but {len(predicted)} predictions; "
            "give one prediction for each expected value."
        )
    if not expected:
        raise DataError(f"{name}: there are no examples to score; give at least one.")
