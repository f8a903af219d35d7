"""Covariates that lack values, or have texts that training did not have: named, or refused.

A model reads what is missing as such, but it has learned to only where training data lack values.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from elman.errors import DataError, DataWarning
from elman.tasks.series.series import Covariate, Series, Window
from elman.tasks.series.symbols import SeriesSymbols, lacking
from elman.tasks.series.times import in_steps

#: places that a sentence names
_SHOWN = 3


def holes(series: Sequence[Series]) -> list[str]:
    """A sentence for each column that is known in advance and has no value at some steps."""
    found = []
    for name in dict.fromkeys([name for each in series for name in each.known]):
        count, places = 0, list[str]()
        for each in series:
            missing = np.flatnonzero(lacking(each.known[name])) if name in each.known else ()
            count += len(missing)
            for step in missing[: _SHOWN - len(places)]:
                places.append(f"{_whose(each)}: {each.dates(int(step), int(step) + 1)[0]}")
        if count:
            more = "; ..." if count > len(places) else ""
            found.append(
                f'the column "{name}" is known in advance, but has no value at {in_steps(count)} '
                f"({'; '.join(places)}{more}); these are read as missing."
            )
    return found


def warn_of_holes(series: Sequence[Series]) -> None:
    """Name them in a ``DataWarning`` each."""
    for sentence in holes(series):
        warnings.warn(sentence, DataWarning, stacklevel=2)


def check_covariates(series: Sequence[Series], symbols: SeriesSymbols) -> None:
    """Raise ``DataError`` for a category that training did not have, or a static value it lacks.

    Where training data lack values, too, it is read as missing, and named in a ``DataWarning``.
    """
    read: dict[str, list[str]] = {}
    for each in series:
        static: dict[str, Covariate] = {
            name: np.array([value], object if isinstance(value, str) else np.float64)
            for name, value in each.static.items()
        }
        for columns, encodings in (
            (each.known, symbols.known),
            (each.past, symbols.past),
            (static, symbols.static),
        ):
            for name, encoding in encodings.items():
                if name in columns:
                    found = encoding.refuse_unknown(columns[name], name, _whose(each))
                    read.setdefault(name, []).extend(found)
        for name, encoding in symbols.static.items():
            if not encoding.missing and name in static and lacking(static[name]).any():
                raise DataError(
                    f'{_whose(each)}: the column "{name}" has no value, but has one throughout the '
                    "training data; write it."
                )
    for name, unknown in read.items():
        if unknown:
            warn_of_unknown(name, [*dict.fromkeys(unknown)])


def warn_of_unknown(name: str, unknown: Sequence[str]) -> None:
    """Name categories that training did not have in a ``DataWarning``."""
    listed = ", ".join([f'"{each[:40]}"' for each in unknown[:_SHOWN]])
    more = ", ..." if len(unknown) > _SHOWN else ""
    warnings.warn(
        f'the column "{name}" has {listed}{more}, which the training data do not have; it is read '
        "as missing.",
        DataWarning,
        stacklevel=3,
    )


def require_known(window: Window, symbols: SeriesSymbols) -> None:
    """Raise ``DataError`` if a column that is known in advance lacks a value of the horizon.

    A missing one among them is read as such where training data lack values, too.
    """
    require_length(window)
    series, end, last = window.series, window.end, window.end + window.horizon
    for name, encoding in symbols.known.items():
        missing = np.flatnonzero(lacking(series.known[name][end:last]))
        if len(missing) and not encoding.missing:
            step = end + int(missing[0])
            raise DataError(
                f'{_whose(series)}: the column "{name}" is known in advance, but has no value at '
                f"{series.dates(step, step + 1)[0]}; write it."
            )


def require_length(window: Window) -> None:
    """Raise ``DataError`` if a column that is known in advance ends before the horizon."""
    series = window.series
    for name, column in series.known.items():
        if len(column) < window.end + window.horizon:
            named = f' of the series "{series.name}"' if series.name else ""
            raise DataError(
                f'{series.file}: the column "{name}"{named} is known in advance, but its values '
                f"end {in_steps(window.end + window.horizon - len(column))} too early; add rows "
                f"with the times and known values of {in_steps(window.horizon)}, and leave the "
                "target empty."
            )


def _whose(series: Series) -> str:
    return f'{series.file}, series "{series.name}"' if series.name else series.file
