"""Anomalies: stretches of a series that are far from their forecast, or from what is remembered.

The score of a step is its error in units of the spread that the model expects: the distance between
the outer quantiles.  The threshold is a quantile of the scores of the validation data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from elman.errors import DataError
from elman.tasks.series.answers import Labelled, Span, Verdict
from elman.tasks.series.fitting import Model, windows_of_file
from elman.tasks.series.forecaster import Detector
from elman.tasks.series.forecasting import forecast, mean_loss
from elman.tasks.series.options import ForecastOptions
from elman.tasks.series.scores import actual_of
from elman.tasks.series.series import Window
from elman.tasks.series.times import Floats

#: the expected spread is at least this fraction of that of the training data
_LEAST_SPREAD = 0.02
#: labels of steps that are no anomaly
_NORMAL = frozenset({"", "0", "no", "false", "normal", "ok"})


def step_scores(fitted: Model, windows: Sequence[Window]) -> list[Floats]:
    """(time,): the score of each step of each series; NaN where a value is missing.

    The first steps, before which there is no past to forecast from, have none.
    """
    options = fitted.options
    parts: list[Window] = []
    owner: list[int] = []
    for k, window in enumerate(windows):
        first = 0 if options.reconstructs else 1
        for origin in range(first, len(window.series), max(1, options.ahead)):
            if origin == 0 or np.isfinite(window.series.values[:origin]).any():
                parts.append(window.at(origin))
                owner.append(k)
    if not parts:
        raise DataError(f"{windows[0].series.file}: no series is long enough to be scored.")
    found = [np.full(len(window.series), np.nan) for window in windows]
    for part, k, each in zip(parts, owner, forecast(fitted, parts), strict=True):
        worst = _worst(fitted, part, each)
        end = min(len(part.series), part.end + len(worst))
        found[k][part.end : end] = worst[: end - part.end]
    return found


def last_score(fitted: Model, window: Window) -> float:
    """The score of the first step that a window forecasts."""
    [quantiles] = forecast(fitted, [window])
    return float(_worst(fitted, window, quantiles)[0])


def _worst(fitted: Model, window: Window, quantiles: Floats) -> Floats:
    """(horizon,): the highest score over the targets; NaN where all values are missing."""
    levels = fitted.options.levels
    least = [_LEAST_SPREAD * scale.std for scale in fitted.symbols.targets.values()]
    if fitted.options.transform != "none":  # the scales are those of the logarithm
        least = [1e-12] * len(least)
    error = abs(actual_of(window) - quantiles[..., levels.index(0.5)])
    scores = error / np.maximum(quantiles[..., -1] - quantiles[..., 0], least)
    worst = np.max(np.where(np.isfinite(scores), scores, -np.inf), 1)
    return np.where(np.isfinite(worst), worst, np.nan)


def finish(fitted: Model, examples: Sequence[Window]) -> bool:
    """Set the threshold by the scores of the validation steps."""
    model: Detector = fitted.model  # type: ignore[assignment]
    scores = np.concatenate(
        [
            each[window.first :]
            for window, each in zip(examples, step_scores(fitted, examples), strict=True)
        ]
    )
    there = scores[np.isfinite(scores)]
    if len(there):
        model.threshold.fill_(float(np.quantile(there, fitted.options.threshold)))
    return True


def predict(fitted: Model, inputs: Sequence[Path], wanted: ForecastOptions) -> list[Labelled]:
    """The stretches above the threshold in all series of each file."""
    answers = []
    for path in inputs:
        windows = windows_of_file(path, fitted)
        found = step_scores(fitted, windows)
        verdicts = [
            verdict(fitted, window, each) for window, each in zip(windows, found, strict=True)
        ]
        answers.append(Labelled(str(path), tuple(verdicts)))
    return answers


def verdict(fitted: Model, window: Window, scores: Floats) -> Verdict:
    """The stretches of one series, each with its highest score."""
    model: Detector = fitted.model  # type: ignore[assignment]
    above = scores > float(model.threshold)
    dates = window.series.dates(0, len(scores))
    spans = [
        Span(
            "anomaly", a, b - 1, dates[a], dates[b - 1], float(scores[a:b].max())
        )
        for a, b in stretches(above)
    ]  # fmt: skip
    threshold = float(model.threshold)
    return Verdict(window.series.name, spans=tuple(spans), scores=scores, threshold=threshold)


def score(fitted: Model, examples: Sequence[Window], wanted: ForecastOptions) -> dict[str, Any]:
    """The mean loss, and with labels precision, recall and F1 of stretches.

    A stretch is found if an answer overlaps it, and an answer is right if it overlaps one.
    """
    model: Detector = fitted.model  # type: ignore[assignment]
    ahead = max(1, fitted.options.ahead)
    parts = [
        window.at(origin)
        for window in examples
        for origin in range(max(1, window.first), len(window.series), ahead)
        if np.isfinite(window.series.values[:origin]).any()
    ]
    found: dict[str, Any] = {"loss": mean_loss(fitted, parts), "examples": len(examples)}
    if all([window.series.labels is None for window in examples]) or not float(model.threshold):
        return found
    hit = right = there = answered = 0
    for window, scores in zip(examples, step_scores(fitted, examples), strict=True):
        if window.series.labels is None:
            continue
        wrong = np.array([label.lower() not in _NORMAL for label in window.series.labels])
        wrong[: window.first] = False
        above = (scores > float(model.threshold)) & (np.arange(len(scores)) >= window.first)
        true, answers = stretches(wrong), stretches(above)
        hit += sum([bool(above[a:b].any()) for a, b in true])
        there += len(true)
        right += sum([bool(wrong[a:b].any()) for a, b in answers])
        answered += len(answers)
    precision = right / answered if answered else 0.0
    recall = hit / there if there else 0.0
    both = precision + recall
    f1 = 2 * precision * recall / both if both else 0.0
    return {**found, "precision": precision, "recall": recall, "f1": f1}


def stretches(steps: np.ndarray) -> list[tuple[int, int]]:
    """The first step of each stretch of true values, and the one after its last.

    >>> stretches(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], steps, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
