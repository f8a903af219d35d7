"""A fitted model of series, and the windows of the files that it answers."""

from __future__ import annotations

from pathlib import Path

from elman.data.faults import rows_or_error
from elman.errors import DataError
from elman.tasks.series.holes import check_covariates, warn_of_holes
from elman.tasks.series.options import SeriesOptions
from elman.tasks.series.reading import series_rows
from elman.tasks.series.series import Series, Window
from elman.tasks.series.symbols import SeriesSymbols
from elman.tasks.task import Fitted

Model = Fitted[SeriesSymbols, SeriesOptions]


def windows_of_file(path: Path, fitted: Model) -> list[Window]:
    """The series of a file, each read to its end; ``DataError`` if there is none."""
    rows = rows_or_error(series_rows(path, fitted.options))
    if not rows:
        raise DataError(f"{path}: there is no series; give at least one.")
    series = [row.value for row in rows]
    warn_of_holes(series)
    check_covariates(series, fitted.symbols)
    return [at_end(each, fitted.options) for each in series]


def at_end(series: Series, options: SeriesOptions) -> Window:
    """The series with all its steps known."""
    return Window(series, options.ahead, options.stride, origin=len(series))
