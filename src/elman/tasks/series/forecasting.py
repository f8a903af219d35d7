"""Forecasts: of the future of files, and of the windows of a backtest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from elman.tasks.inference import in_batches
from elman.tasks.series.answers import Continuation, Forecast
from elman.tasks.series.features import batch_of
from elman.tasks.series.fitting import Model, windows_of_file
from elman.tasks.series.forecaster import Forecaster
from elman.tasks.series.holes import require_known
from elman.tasks.series.options import ForecastOptions, SeriesOptions
from elman.tasks.series.recursive import RecursiveForecaster, quantiles_of
from elman.tasks.series.series import Window
from elman.tasks.series.symbols import inverse
from elman.tasks.series.times import Floats

#: steps of a series before its forecast that a picture shows, in horizons
_SHOWN = 4


def forecast(
    fitted: Model, windows: Sequence[Window], wanted: ForecastOptions | None = None
) -> list[Floats]:
    """(horizon, target, level): the quantiles of each window, at ``options.levels``."""
    wanted = ForecastOptions() if wanted is None else wanted
    model: Forecaster = fitted.model  # type: ignore[assignment]
    options = fitted.options

    def answer(batch: Sequence[Window]) -> list[Floats]:
        b = batch_of(batch, fitted.symbols, options)
        if not isinstance(model, RecursiveForecaster):
            parameters = model(b.x, b.lengths, b.future)
            found = model.distribution.quantiles(
                parameters, b.anchor, b.mean, b.std, options.levels
            )
        elif wanted.feedback == "median":
            found = model.by_medians(b, options.levels)
        else:
            found = quantiles_of(model.paths(b, wanted.paths, wanted.seed), options.levels)
        found = inverse(found, options)
        if options.lowest is not None:
            found = np.maximum(found, options.lowest)
        return list(found.swapaxes(0, 1))

    paths = wanted.paths if isinstance(model, RecursiveForecaster) else 1

    def length(window: Window) -> int:
        return max(_steps(window, options), paths * window.horizon)

    return in_batches(model, windows, length, answer)


def mean_loss(fitted: Model, windows: Sequence[Window]) -> float:
    """The mean loss of all values of the windows."""
    model: Forecaster = fitted.model  # type: ignore[assignment]

    def answer(batch: Sequence[Window]) -> list[Tensor]:
        tensors = vars(batch_of(batch, fitted.symbols, fitted.options))
        return list(model.losses(**tensors).unbind(1))

    each = in_batches(model, windows, lambda each: _steps(each, fitted.options), answer)
    return float(torch.stack(each).double().nanmean())


def _steps(window: Window, options: SeriesOptions) -> int:
    return min(window.end, options.steps_read) + window.horizon


def predict(fitted: Model, inputs: Sequence[Path], wanted: ForecastOptions) -> list[Continuation]:
    """The forecasts of all series of each file, from their last value on."""
    windows = [windows_of_file(path, fitted) for path in inputs]
    for window in [window for each in windows for window in each]:
        require_known(window, fitted.symbols)
    found = iter(forecast(fitted, [window for each in windows for window in each], wanted))
    return [
        Continuation(
            str(path), tuple([continuation(fitted, window, next(found)) for window in each])
        )
        for path, each in zip(inputs, windows, strict=True)
    ]


def continuation(fitted: Model, window: Window, quantiles: Floats) -> Forecast:
    """The answer for one window, with the steps before it."""
    series, end = window.series, window.end
    count = end + window.horizon
    before = max(0, end - _SHOWN * window.horizon)
    return Forecast(
        series.name,
        tuple(series.targets),
        tuple(series.dates(end, count)),
        fitted.options.levels,
        quantiles,
        series.times_until(count)[before:],
        series.values[before:],
        series.step,
    )
