"""Forecasts: of the future of files, of the windows of a backtest, and of series that arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from elman.data.faults import rows_or_error
from elman.errors import DataError
from elman.tasks.inference import in_batches
from elman.tasks.series.arriving import Arriving, lines_of_pieces
from elman.tasks.series.features import batch_of, require_known
from elman.tasks.series.forecast import Continuation, Forecast
from elman.tasks.series.model import Forecaster
from elman.tasks.series.options import ForecastOptions, SeriesOptions
from elman.tasks.series.reading import series_rows
from elman.tasks.series.series import Series, Window
from elman.tasks.series.symbols import SeriesSymbols, inverse
from elman.tasks.series.times import Floats
from elman.tasks.task import Fitted

Model = Fitted[SeriesSymbols, SeriesOptions]
#: steps of a series before its forecast that a picture shows, in horizons
_SHOWN = 4


def forecast(fitted: Model, windows: Sequence[Window]) -> list[Floats]:
    """(horizon, target, level): the quantiles of each window, at ``options.levels``."""
    model: Forecaster = fitted.model  # type: ignore[assignment]
    options = fitted.options

    def answer(batch: Sequence[Window]) -> list[Floats]:
        b = batch_of(batch, fitted.symbols, options)
        parameters = model(b.x, b.lengths, b.future)
        found = model.distribution.quantiles(parameters, b.anchor, b.mean, b.std, options.levels)
        found = inverse(found, options)
        if options.lowest is not None:
            found = np.maximum(found, options.lowest)
        return list(found.swapaxes(0, 1))

    return in_batches(model, windows, lambda each: _steps(each, options), answer)


def mean_loss(fitted: Model, windows: Sequence[Window]) -> float:
    """The mean loss of all values of the windows."""
    model: Forecaster = fitted.model  # type: ignore[assignment]

    def answer(batch: Sequence[Window]) -> list[Tensor]:
        tensors = vars(batch_of(batch, fitted.symbols, fitted.options))
        return list(model.losses(**tensors).unbind(1))

    each = in_batches(model, windows, lambda each: _steps(each, fitted.options), answer)
    return float(torch.stack(each).double().nanmean())


def _steps(window: Window, options: SeriesOptions) -> int:
    return min(window.end, options.longest) + window.horizon


def predict(fitted: Model, inputs: Sequence[Path], wanted: ForecastOptions) -> list[Continuation]:
    """The forecasts of all series of each file, from their last value on."""
    windows: list[list[Window]] = []
    for path in inputs:
        rows = rows_or_error(series_rows(path, fitted.options))
        if not rows:
            raise DataError(f"{path}: there is no series; give at least one.")
        windows.append([_after(row.value, fitted.options) for row in rows])
        for window in windows[-1]:
            require_known(window)
    found = iter(forecast(fitted, [window for each in windows for window in each]))
    return [
        Continuation(str(path), tuple([_answer(fitted, window, next(found)) for window in each]))
        for path, each in zip(inputs, windows, strict=True)
    ]


def _after(series: Series, options: SeriesOptions) -> Window:
    return Window(series, options.horizon, options.stride, origin=len(series))


def _answer(fitted: Model, window: Window, quantiles: Floats) -> Forecast:
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


def stream(fitted: Model, source: BinaryIO, wanted: ForecastOptions) -> Iterator[str]:
    """A line for each value that arrives: the forecast of the next step."""
    try:
        for arrived in _stream(fitted, iter(source.readline, b"")):
            yield arrived.line()
    except DataError as error:
        raise DataError(f"standard input: {error}") from error


def stream_records(
    fitted: Model, pieces: Iterable[bytes], wanted: ForecastOptions
) -> Iterator[dict[str, Any]]:
    """A record for each value that arrives: its number, and the forecast after it."""
    for number, found in enumerate(_stream(fitted, lines_of_pieces(pieces)), 1):
        yield {"type": "forecast", "values": number, **found.record()}


def _stream(fitted: Model, lines: Iterable[bytes]) -> Iterator[Forecast]:
    arriving = Arriving(fitted.symbols, fitted.options)
    for line in lines:
        series = arriving.accept(line)
        if series is not None:
            window = _after(series, fitted.options)
            [quantiles] = forecast(fitted, [window])
            yield _answer(fitted, window, quantiles)
