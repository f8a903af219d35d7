"""Answers while a series arrives: the next forecast, the class so far, the last step's score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from elman.errors import DataError, OptionError
from elman.tasks.series import detection, labelling
from elman.tasks.series.answers import Forecast, Verdict
from elman.tasks.series.arriving import Arriving, lines_of_pieces
from elman.tasks.series.fitting import Model, at_end
from elman.tasks.series.forecasting import continuation, forecast
from elman.tasks.series.options import ForecastOptions


def stream(fitted: Model, source: BinaryIO, wanted: ForecastOptions) -> Iterator[str]:
    """A line for each step that arrives."""
    _refuse_whole(fitted)
    try:
        for answer in _answers(fitted, iter(source.readline, b""), wanted):
            yield answer.line()
    except DataError as error:
        raise DataError(f"standard input: {error}") from error


def stream_records(
    fitted: Model, pieces: Iterable[bytes], wanted: ForecastOptions
) -> Iterator[dict[str, Any]]:
    """A record for each step that arrives, with its number."""
    _refuse_whole(fitted)
    for number, answer in enumerate(_answers(fitted, lines_of_pieces(pieces), wanted), 1):
        yield {"type": fitted.options.mode, "values": number, **answer.record()}


def _refuse_whole(fitted: Model) -> None:
    what = ""
    if fitted.options.bidirectional:
        what = "is bidirectional"
    elif fitted.options.reconstructs:
        what = "reconstructs whole stretches"
    if what:
        raise OptionError(
            f"this model {what} and needs the whole series, not a stream; predict from files, or "
            "train a model with bidirectional=false and anomaly_by=forecast."
        )


def _answers(
    fitted: Model, lines: Iterable[bytes], wanted: ForecastOptions
) -> Iterator[Forecast | Verdict]:
    arriving = Arriving(fitted.symbols, fitted.options)
    for line in lines:
        series = arriving.accept(line)
        if series is None:
            continue
        window = at_end(series, fitted.options)
        if fitted.options.mode == "forecast":
            [quantiles] = forecast(fitted, [window], wanted)
            yield continuation(fitted, window, quantiles)
        elif fitted.options.mode == "anomaly":
            last = len(series) - 1
            scores = np.full(len(series), np.nan)
            if last > 0 and np.isfinite(series.values[:last]).any():
                scores[last] = detection.last_score(fitted, window.at(last))
            found = detection.verdict(fitted, window, scores)
            yield Verdict(
                found.name, spans=found.spans, scores=scores[-1:], threshold=found.threshold
            )
        else:
            [steps] = labelling.outputs(fitted, [window])
            if fitted.options.mode == "label":
                yield labelling.last_label(fitted, steps)
            else:
                yield labelling.verdict(fitted, window, steps)
