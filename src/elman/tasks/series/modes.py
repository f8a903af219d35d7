"""What each mode does with a fitted model: predict, score, its baselines and its metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elman.tasks.series import baselines, detection, forecasting, labelling, scores
from elman.tasks.series.answers import Answer
from elman.tasks.series.fitting import Model
from elman.tasks.series.options import ForecastOptions, SeriesOptions
from elman.tasks.series.series import Window
from elman.training.baselines import Baseline


@dataclass(frozen=True)
class Mode:
    """The functions of a mode."""

    predict: Callable[[Model, Sequence[Path], ForecastOptions], Sequence[Answer]]
    score: Callable[[Model, Sequence[Window], ForecastOptions], dict[str, Any]]
    baselines: Callable[[Sequence[Window], Sequence[Window], Model], Sequence[Baseline]]
    #: sets what depends on validation data
    finish: Callable[[Model, Sequence[Window]], bool] = lambda fitted, examples: False


_READ = Mode(labelling.predict, labelling.score, labelling.baselines)
_MODES = {
    "forecast": Mode(forecasting.predict, scores.score, baselines.baselines),
    "classify": _READ,
    "regress": _READ,
    "label": _READ,
    "anomaly": Mode(
        detection.predict, detection.score, lambda train, valid, fitted: (), detection.finish
    ),
}


def mode_of(options: SeriesOptions) -> Mode:
    """The functions of the mode that the options name."""
    return _MODES[options.mode]
