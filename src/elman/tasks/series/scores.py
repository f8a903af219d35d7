"""The scores of forecasts, and the backtest that they come from.

A backtest forecasts from several origins, a horizon apart, each time from what came before only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.errors import DataError
from elman.tasks.series.features import filled_by_season, repeated
from elman.tasks.series.fitting import Model
from elman.tasks.series.forecasting import forecast, mean_loss
from elman.tasks.series.holes import require_length
from elman.tasks.series.options import ForecastOptions
from elman.tasks.series.series import Window
from elman.tasks.series.times import Floats

#: what is smaller than this fraction of the values is rounding, not change
_ROUNDING = 1e-9


def windows_of(examples: Sequence[Window], longest: int, origins: int = 0) -> list[Window]:
    """The windows of the backtest of all series; ``DataError`` if there is none."""
    found = [
        each if each.origin is not None else each.at(origin)
        for each in examples
        for origin in ([each.end] if each.origin is not None else each.origins(longest, origins))
    ]
    if not found:
        raise DataError(
            f"{examples[0].series.file}: no series has values before and after a point from which "
            "to forecast; give longer series."
        )
    return found


def score(fitted: Model, examples: Sequence[Window], wanted: ForecastOptions) -> dict[str, Any]:
    """The scores of a backtest, beside the seasonal naive forecast, and the mean loss.

    ``mase`` is the mean absolute scaled error (Hyndman and Koehler 2006), ``smape`` in percent,
    ``crps`` the continuous ranked probability score by the forecast quantiles, ``coverage`` the
    fraction of values between the outer quantiles, which should be ``interval``; ``nse`` and
    ``kge`` are those of hydrology.  A score that is undefined, because the values do not change,
    is left out.
    """
    windows = windows_of(examples, fitted.options.steps_read, wanted.origins)
    for window in windows:
        require_length(window)
    season, levels = fitted.symbols.season, fitted.options.levels
    found = forecast(fitted, windows, wanted)
    errors = [Errors(window, each, levels) for window, each in zip(windows, found, strict=True)]
    point = np.concatenate([each.error.ravel() for each in errors])
    naive = [seasonal_naive(window, season) for window in windows]
    found_scores = {
        "mase": mase(windows, [each.error for each in errors], season),
        "seasonal_naive_mase": mase(windows, naive, season),
        "mae": _mean(abs(point)),
        "rmse": _mean(point**2) ** 0.5,
        "smape": _mean(np.concatenate([each.relative.ravel() for each in errors])),
        "crps": _mean(np.concatenate([each.crps.ravel() for each in errors])),
        **hydrology(windows, [each.error for each in errors]),
        "coverage": _mean(np.concatenate([each.inside.ravel() for each in errors])),
        "interval": levels[-1] - levels[0],
        "loss": mean_loss(fitted, windows),
        "examples": len(windows),
    }
    return {name: value for name, value in found_scores.items() if not math.isnan(value)}


@dataclass(frozen=True)
class Errors:
    """The errors of one window, (step, target); NaN where there is no value."""

    error: Floats
    relative: Floats
    crps: Floats
    inside: Floats

    def __init__(self, window: Window, quantiles: Floats, levels: Sequence[float]) -> None:
        actual = actual_of(window)
        median = quantiles[:, :, levels.index(0.5)]
        size = abs(actual) + abs(median)
        with np.errstate(invalid="ignore"):
            relative = np.where(size > 0, 200 * abs(actual - median) / size, 0.0)
            inside = (actual >= quantiles[..., 0]) & (actual <= quantiles[..., -1])
        missing = ~np.isfinite(actual)
        object.__setattr__(self, "error", actual - median)
        object.__setattr__(self, "relative", np.where(missing, np.nan, relative))
        object.__setattr__(self, "crps", crps(actual, quantiles, levels))
        object.__setattr__(self, "inside", np.where(missing, np.nan, inside))


def actual_of(window: Window) -> Floats:
    """(horizon, target): the values that a window forecasts; NaN where there is none."""
    values = window.series.values
    there = values[window.end : window.end + window.horizon]
    found = np.full((window.horizon, values.shape[1]), np.nan)
    found[: len(there)] = there
    return found


def crps(actual: Floats, quantiles: Floats, levels: Sequence[float]) -> Floats:
    """The continuous ranked probability score of each value, as twice the integral of the pinball
    loss over the levels (Laio and Tamea 2007).

    >>> crps(np.array([[1.0]]), np.array([[[0.0]]]), (0.5,)).tolist()  # of a point: its error
    [[1.0]]
    """
    at = np.array(levels)
    error = actual[..., None] - quantiles
    pinball = np.maximum(at * error, (at - 1) * error)
    edges = np.concatenate([[0.0], (at[1:] + at[:-1]) / 2, [1.0]])
    found: Floats = 2 * (pinball * np.diff(edges)).sum(-1)
    return found


def seasonal_naive(window: Window, season: int) -> Floats:
    """(horizon, target): the errors of repeating the last season."""
    filled = filled_by_season(window.series.values[: window.end], season)
    return actual_of(window) - repeated(filled, window.end, window.horizon, season)


def mase(windows: Sequence[Window], errors: Sequence[Floats], season: int) -> float:
    """The mean absolute scaled error: of each series, then of all.

    Errors are divided by the mean absolute error of the seasonal naive forecast, one season ahead,
    before the first window of the series.  A series in which that is 0, up to rounding, does not
    count; NaN if none counts.
    """
    by_series: dict[int, list[int]] = {}
    for k, window in enumerate(windows):
        by_series.setdefault(id(window.series), []).append(k)
    found = []
    for places in by_series.values():
        first = min([windows[k].first or windows[k].end for k in places])
        past = windows[places[0]].series.values[:first]
        scale = naive_scale(past, season)
        whole = abs(np.concatenate([errors[k] for k in places]))
        for k, own in enumerate(scale):
            there = whole[:, k][np.isfinite(whole[:, k])]
            if len(there) and own > 0:
                found.append(float(there.mean()) / own)
    return float(np.mean(found)) if found else math.nan


def hydrology(windows: Sequence[Window], errors: Sequence[Floats]) -> dict[str, float]:
    """The efficiencies of hydrology, 1 at best: the mean over all series and targets.

    NSE (Nash and Sutcliffe 1970) compares the errors with those of the mean, KGE (Gupta, Kling,
    Yilmaz and Martinez 2009) correlation, spread and mean.  A series that is constant, up to
    rounding, does not count; NaN if none counts.
    """
    by_series: dict[int, list[int]] = {}
    for k, window in enumerate(windows):
        by_series.setdefault(id(window.series), []).append(k)
    found: list[tuple[float, float]] = []
    for places in by_series.values():
        actual = np.concatenate([actual_of(windows[k]) for k in places])
        error = np.concatenate([errors[k] for k in places])
        for column, own in zip(actual.T, error.T, strict=True):
            there = np.isfinite(column)
            if there.sum() > 1 and column[there].std() > _ROUNDING * abs(column[there]).max():
                found.append(efficiencies(column[there], column[there] - own[there]))
    nse, kge = np.mean(found, 0).tolist() if found else (math.nan, math.nan)
    return {"nse": nse, "kge": kge}


def efficiencies(actual: Floats, found: Floats) -> tuple[float, float]:
    """NSE and KGE of one row of values, which is not constant.

    >>> efficiencies(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))
    (1.0, 1.0)
    """
    nse = 1 - float(((actual - found) ** 2).sum() / ((actual - actual.mean()) ** 2).sum())
    r = float(np.corrcoef(actual, found)[0, 1]) if found.std() > 0 else 0.0
    alpha = float(found.std() / actual.std())
    mean = float(actual.mean())
    if abs(mean) > _ROUNDING * abs(actual).max():
        beta = float(found.mean()) / mean
    else:
        beta = 0.0 if found.mean() else 1.0
    distance = math.sqrt((r - 1) ** 2 + (alpha - 1) ** 2 + (beta - 1) ** 2)
    return nse, 1 - distance


def naive_scale(past: Floats, season: int) -> list[float]:
    """The mean absolute change over a season of each target; over one step if there are too few.

    A change that is only rounding is 0.

    >>> naive_scale(np.array([[1.0], [2.0], [4.0], [8.0]]), 2)
    [4.5]
    """
    found = []
    for column in past.T:
        scale = 0.0
        for lag in (season, 1):
            changes = abs(column[lag:] - column[:-lag])
            there = changes[np.isfinite(changes)]
            if len(there):
                size = abs(column[np.isfinite(column)]).max()
                scale = float(there.mean()) if there.mean() > _ROUNDING * size else 0.0
                break
        found.append(scale)
    return found


def mase_or_mae(
    windows: Sequence[Window], season: int, answer: Callable[[Window], Floats]
) -> float:
    """The MASE of any rule that gives (horizon, target) values for a window, or its mean absolute
    error where ``has_mase`` is false."""
    errors = [actual_of(window) - answer(window) for window in windows]
    if has_mase(windows, season):
        return mase(windows, errors, season)
    return _mean(abs(np.concatenate([each.ravel() for each in errors])))


def has_mase(windows: Sequence[Window], season: int) -> bool:
    """Whether any series of the windows has values that change, so that MASE is defined."""
    return not math.isnan(mase(windows, [actual_of(window) for window in windows], season))


def _mean(values: Floats) -> float:
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else 0.0
