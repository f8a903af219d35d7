"""Baselines of forecasts: seasonal naive, the last value, the median of the training data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from elman.tasks.series.features import filled_by_season, repeated
from elman.tasks.series.fitting import Model
from elman.tasks.series.scores import mase_or_mae, windows_of
from elman.tasks.series.series import Window
from elman.training.baselines import Baseline


def baselines(train: Sequence[Window], valid: Sequence[Window], fitted: Model) -> list[Baseline]:
    """The MASE, or MAE where that is undefined, of three forecasts without a network."""
    windows = windows_of(valid, fitted.options.steps_read)
    season = fitted.symbols.season
    series = {id(each.series): each.series for each in train}
    median = np.nanmedian(np.concatenate([each.values for each in series.values()]), 0)

    def constant(window: Window) -> np.ndarray:
        return np.tile(median, (window.horizon, 1))

    def again(window: Window, steps: int) -> np.ndarray:
        filled = filled_by_season(window.series.values[: window.end], steps)
        return repeated(filled, window.end, window.horizon, steps)

    def last(window: Window) -> np.ndarray:
        return again(window, 1)

    def seasonal(window: Window) -> np.ndarray:
        return again(window, season)

    found = [
        Baseline("the median of the training data", mase_or_mae(windows, season, constant), True),
        Baseline("the last value", mase_or_mae(windows, season, last)),
    ]
    if season > 1:
        name = f"seasonal naive (the value {season} steps ago)"
        found.append(Baseline(name, mase_or_mae(windows, season, seasonal)))
    return found
