"""Checks files of series: ``elman check series``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from elman.data.faults import Fault, Note, Row
from elman.data.report import DataReport, listed, many
from elman.tasks.series.data import items
from elman.tasks.series.options import SeriesOptions
from elman.tasks.series.series import Series


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
    season = options.season
    if season == "auto" and series:
        season = max(series, key=len).step.season
    facts: dict[str, object] = {
        "examples": len(series),
        "problems": sum([isinstance(item, Fault) for item in found]),
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
    constant = [
        f'{row.place}: "{target}"' + (f' of "{row.value.name}"' if row.value.name else "")
        for row in rows
        for k, target in enumerate(row.value.targets)
        if _constant(row.value.values[:, k])
    ]
    if constant:
        warnings.append(f"{many(constant, 'target')} that never change.")
    return DataReport(path, listed(found), tuple(warnings), facts)


def _constant(column: np.ndarray) -> bool:
    there = column[np.isfinite(column)]
    return len(there) > 1 and bool((there == there[0]).all())
