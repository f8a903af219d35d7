"""Checks files of series: ``elman check series``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from elman.data.faults import Fault, Note, Row
from elman.data.report import DataReport, listed, many
from elman.errors import DataError
from elman.tasks.series.data import items
from elman.tasks.series.holes import holes
from elman.tasks.series.options import SeriesOptions
from elman.tasks.series.series import Covariate, Series
from elman.tasks.series.symbols import season_of
from elman.tasks.series.times import in_steps

#: a longer stretch without a value is named
LONG_GAP = 3
#: a correlation from which on a column tells the target, with at least so many values
TELLS, FEWEST = 0.9999, 10
#: steps ahead in which a leak is looked for
LATEST = 13


def check_series(path: Path, options: SeriesOptions) -> DataReport:
    """All faults of a file or folder, and statistics of its series.

    Facts: ``examples`` (series), ``problems``, ``steps_per_series`` (``shortest``, ``median``,
    ``longest``), ``step`` (how often each), ``missing_values``, ``season``.
    """
    found = list(items(path, options))
    rows: list[Row[Series]] = [item for item in found if isinstance(item, Row)]
    series = [row.value for row in rows]
    lengths = sorted([len(each) for each in series])
    quantiles = {"shortest": 0.0, "median": 0.5, "longest": 1.0}
    missing = sum([int((~np.isfinite(each.values)).sum()) for each in series])
    steps = Counter([str(each.step) if each.regular else "irregular" for each in series])
    season: int | str = options.season
    refused: list[str] = []
    if series:
        try:
            season = season_of(series, options)
        except DataError as error:
            refused = [str(error)]
    facts: dict[str, object] = {
        "examples": len(series),
        "problems": sum([isinstance(item, Fault) for item in found]) + len(refused),
        "targets": ", ".join(series[0].targets) if series else "",
        "steps_per_series": {
            name: lengths[round(part * (len(lengths) - 1))] if lengths else 0
            for name, part in quantiles.items()
        },
        "step": dict(steps.most_common(5)),
        "season": season,
        "missing_values": missing,
    }
    warnings = [str(item) for item in found if isinstance(item, Note)]
    if constant := _constant_columns(rows):
        warnings.append(f"{many(constant, 'column')} that never change.")
    if gaps := _gaps(rows):
        warnings.append(f"{many(gaps, 'gap')} of more than {LONG_GAP} steps without a value.")
    warnings += holes(series)
    if twice := _twice(rows):
        warnings.append(f"{many(twice, 'pair')} of series with the same values.")
    if options.forecasts and (short := _short(rows, options)):
        warnings.append(
            f"{many(short, 'group')} too short to hold out {in_steps(options.ahead)} for "
            "validation."
        )
    if leaks := _leaks(rows):
        warnings.append(
            f"{many(leaks, 'column')} that tell what the target will be; leave out what is not "
            "known when a forecast is made."
        )
    return DataReport(path, (*listed(found), *refused), tuple(warnings), facts)


def _named(row: Row[Series], column: str) -> str:
    return f'{row.place}: "{column}"' + (f' of "{row.value.name}"' if row.value.name else "")


def _whose(row: Row[Series]) -> str:
    return f' ("{row.value.name}")' if row.value.name else ""


def _constant_columns(rows: Sequence[Row[Series]]) -> list[str]:
    """Targets and covariates that have one value only."""
    found = []
    for row in rows:
        columns: dict[str, Covariate] = {
            target: row.value.values[:, k] for k, target in enumerate(row.value.targets)
        }
        for name, column in {**columns, **row.value.known, **row.value.past}.items():
            there = {each for each in column.tolist() if each == each and each != ""}
            if len(column) > 1 and len(there) == 1:
                found.append(_named(row, name))
    return found


def _gaps(rows: Sequence[Row[Series]]) -> list[str]:
    """The longest stretch without any value of each series, where it is long."""
    found = []
    for row in rows:
        missing = ~np.isfinite(row.value.values).any(1)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(int)))
        pairs = edges.reshape(-1, 2)
        if not len(pairs):
            continue
        first, end = pairs[(pairs[:, 1] - pairs[:, 0]).argmax()].tolist()
        if end - first > LONG_GAP:
            start, last = row.value.dates(first, end)[:: end - first - 1]
            found.append(f"{_named(row, row.value.targets[0])}, {start} to {last}")
    return found


def _twice(rows: Sequence[Row[Series]]) -> list[str]:
    """Series whose values are those of another."""
    first: dict[bytes, Row[Series]] = {}
    found = []
    for row in rows:
        other = first.setdefault(row.value.values.tobytes(), row)
        if other is not row:
            both = [f"{each.place}{_whose(each)}" for each in (other, row)]
            found.append(" and ".join(both))
    return found


def _short(rows: Sequence[Row[Series]], options: SeriesOptions) -> list[str]:
    """Series that cannot be split in time."""
    least = 2 * options.ahead + 2
    return [
        f'{row.place}: "{row.value.name}"' if row.value.name else str(row.place)
        for row in rows
        if len(row.value) < least
    ]


def _leaks(rows: Sequence[Row[Series]]) -> list[str]:
    """Covariates that are the target at the same time, or some steps later.

    A column that is known in advance must not be the target itself; one that is known up to now
    must not tell the next values.  What the target itself tells of its next value is no leak.
    """
    found = []
    for row in rows:
        series = row.value
        kinds = ((series.known, range(LATEST)), (series.past, range(1, LATEST)))
        for columns, lags in kinds:
            for name, column in columns.items():
                if column.dtype == object:
                    continue
                for k, target in enumerate(series.targets):
                    values = series.values[:, k]
                    own = column[: len(values)].astype(np.float64)
                    lag = next((lag for lag in lags if _tells(own, values, lag)), None)
                    if lag is not None:
                        when = f"{in_steps(lag)} later" if lag else "at the same time"
                        found.append(f'{_named(row, name)} is "{target}" {when}')
    return found


def _tells(column: np.ndarray, values: np.ndarray, lag: int) -> bool:
    """Whether a column gives the value ``lag`` steps later, and today's value does not."""
    count = len(values) - lag
    if count < FEWEST:
        return False
    now, later = column[:count], values[lag:]
    there = np.isfinite(now) & np.isfinite(later) & np.isfinite(values[:count])
    now, later, today = now[there], later[there], values[:count][there]
    if len(now) < FEWEST or now.std() == 0 or later.std() == 0:
        return False
    told = abs(np.corrcoef(now, later)[0, 1])
    by_itself = abs(np.corrcoef(today, later)[0, 1]) if lag and today.std() else 0.0
    return bool(told > TELLS and by_itself < TELLS)
