"""Whole series: their class, their number, or the class of each step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from elman.tasks.inference import in_batches
from elman.tasks.majority import most_frequent_label
from elman.tasks.series.answers import Labelled, Span, Verdict
from elman.tasks.series.classifier import steps_of
from elman.tasks.series.features import batch_of
from elman.tasks.series.fitting import Model, windows_of_file
from elman.tasks.series.options import ForecastOptions
from elman.tasks.series.series import Window
from elman.training.baselines import Baseline
from elman.training.metrics import accuracy, class_scores


def outputs(fitted: Model, windows: Sequence[Window]) -> list[Tensor]:
    """Probabilities of the classes, or of each step's, or the number of a regression."""
    options, model = fitted.options, fitted.model

    def answer(batch: Sequence[Window]) -> list[Tensor]:
        tensors = batch_of(batch, fitted.symbols, options)
        found = model(tensors.x, tensors.lengths)
        if options.mode == "label":
            return steps_of(found, tensors.lengths)
        if options.mode == "regress":
            scale = fitted.symbols.response
            assert scale is not None
            return list(found[:, 0] * scale.std + scale.mean)
        return list(found.softmax(-1))

    return in_batches(model, windows, lambda each: min(each.end, options.steps_read), answer)


def predict(fitted: Model, inputs: Sequence[Path], wanted: ForecastOptions) -> list[Labelled]:
    """The answers for all series of each file."""
    windows = [windows_of_file(path, fitted) for path in inputs]
    found = iter(outputs(fitted, [window for each in windows for window in each]))
    return [
        Labelled(str(path), tuple([verdict(fitted, window, next(found)) for window in each]))
        for path, each in zip(inputs, windows, strict=True)
    ]


def verdict(fitted: Model, window: Window, found: Tensor) -> Verdict:
    """The answer for one series."""
    name, labels = window.series.name, fitted.symbols.labels
    if fitted.options.mode == "regress":
        return Verdict(name, value=float(found))
    if fitted.options.mode == "classify":
        each = {label: float(p) for label, p in zip(labels, found, strict=True)}
        best = max(each, key=lambda label: each[label])
        return Verdict(name, best, probability=each[best], probabilities=each)
    best_steps = found.argmax(-1).tolist()
    start = window.end - len(best_steps)
    dates = window.series.dates(start, window.end)
    spans: list[Span] = []
    for k, place in enumerate(best_steps):
        if not spans or spans[-1].label != labels[place]:
            spans.append(Span(labels[place], start + k, start + k, dates[k], dates[k]))
        else:
            spans[-1] = Span(labels[place], spans[-1].first, start + k, spans[-1].start, dates[k])
    return Verdict(name, spans=tuple(spans))


def last_label(fitted: Model, steps: Tensor) -> Verdict:
    """The class of the last step."""
    each = {label: float(p) for label, p in zip(fitted.symbols.labels, steps[-1], strict=True)}
    best = max(each, key=lambda label: each[label])
    return Verdict("", best, probability=each[best], probabilities=each)


def expected_steps(window: Window, count: int) -> tuple[list[str], list[bool]]:
    """The labels of the last ``count`` steps, and which of them are scored."""
    assert window.series.labels is not None
    start = window.end - count
    own = window.series.labels[start : window.end].tolist()
    return own, [bool(label) and start + k >= window.first for k, label in enumerate(own)]


def score(fitted: Model, examples: Sequence[Window], wanted: ForecastOptions) -> dict[str, Any]:
    """Accuracy and macro F1 of classes, of series or of steps; or the errors of a regression."""
    found = outputs(fitted, examples)
    if fitted.options.mode == "regress":
        numbers = np.array([float(each) for each in found])
        return {**regression_scores(_numbers(examples), numbers), "examples": len(examples)}
    labels = fitted.symbols.labels
    if fitted.options.mode == "classify":
        return class_scores([labels.index(each.series.label) for each in examples], found)
    expected: list[int] = []
    rows: list[Tensor] = []
    for window, steps in zip(examples, found, strict=True):
        own, scored = expected_steps(window, len(steps))
        for label, counts, row in zip(own, scored, steps, strict=True):
            if counts:
                expected.append(labels.index(label))
                rows.append(row)
    return class_scores(expected, rows)


def regression_scores(expected: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Mean absolute and root mean squared error, and the fraction of variance explained.

    >>> regression_scores(np.array([0.0, 2.0]), np.array([0.0, 1.0]))
    {'mae': 0.5, 'rmse': 0.7071067811865476, 'r2': 0.5}
    """
    error = expected - found
    spread = float(((expected - expected.mean()) ** 2).sum())
    return {
        "mae": float(abs(error).mean()),
        "rmse": float((error**2).mean() ** 0.5),
        "r2": 1 - float((error**2).sum()) / spread if spread > 0 else 0.0,
    }


def _numbers(examples: Sequence[Window]) -> np.ndarray:
    return np.array([float(each.series.label) for each in examples])


def baselines(
    train: Sequence[Window], valid: Sequence[Window], fitted: Model
) -> Sequence[Baseline]:
    """The most frequent label, or the mean of the training numbers."""
    if fitted.options.mode == "regress":
        mean = float(_numbers(train).mean())
        constant = np.full(len(valid), mean)
        rmse = regression_scores(_numbers(valid), constant)["rmse"]
        return [Baseline("the mean of the training data", rmse, True)]
    if fitted.options.mode == "classify":
        known, expected = [[each.series.label for each in part] for part in (train, valid)]
    else:
        known, expected = [
            [
                label
                for each in part
                for label, counts in zip(*expected_steps(each, each.end), strict=True)
                if counts
            ]
            for part in (train, valid)
        ]
    return most_frequent_label(known, expected, accuracy)
