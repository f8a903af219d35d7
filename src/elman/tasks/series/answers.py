"""How forecasts are shown and saved."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from elman.files import write_whole
from elman.tasks.series.fan import draw_fans
from elman.tasks.series.forecast import Continuation
from elman.tasks.series.options import ForecastOptions

#: steps of a forecast that are shown; the rest is in the JSON and CSV
_MOST_SHOWN = 48


def show(answer: Continuation) -> str:
    """A line for each step of each series: the median and the outer quantiles."""
    lines = []
    for each in answer.forecasts:
        low, high = f"{each.levels[0]:g}", f"{each.levels[-1]:g}"
        named = f"[bold]{escape(each.name)}[/]   " if each.name else ""
        lines.append(f"{named}[dim]median ({low} to {high} quantile)[/]")
        for row, date in enumerate(each.dates[:_MOST_SHOWN]):
            parts = []
            for k, target in enumerate(each.targets):
                prefix = f"{escape(target)} " if len(each.targets) > 1 else ""
                a, b = each.quantiles[row, k, 0], each.quantiles[row, k, -1]
                parts.append(f"{prefix}[cyan]{each.median[row, k]:.6g}[/] ({a:.6g} to {b:.6g})")
            lines.append(f"{date}   {'   '.join(parts)}")
        if len(each.dates) > _MOST_SHOWN:
            lines.append(f"and {len(each.dates) - _MOST_SHOWN} more steps; --csv writes all.")
    return "\n".join(lines)


def record(answer: Continuation) -> dict[str, Any]:
    """The forecasts of a file as a JSON object."""
    return {"file": answer.file, "series": [each.record() for each in answer.forecasts]}


def save(answers: Sequence[Continuation], wanted: ForecastOptions) -> list[Path]:
    """Writes the picture and the table, where requested."""
    written = []
    if wanted.png:
        path = Path(wanted.png)
        draw_fans([each for answer in answers for each in answer.forecasts], path)
        written.append(path)
    if wanted.csv:
        path = Path(wanted.csv)
        write_whole(path, as_csv(answers))
        written.append(path)
    return written


def as_csv(answers: Sequence[Continuation]) -> str:
    """A row for each step and target of each series."""
    levels = answers[0].forecasts[0].levels if answers else ()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["file", "series", "target", "time", "forecast", *[f"{level:g}" for level in levels]]
    )
    for answer in answers:
        for each in answer.forecasts:
            for k, target in enumerate(each.targets):
                for row, date in enumerate(each.dates):
                    found = [f"{value:.7g}" for value in each.quantiles[row, k]]
                    writer.writerow(
                        [answer.file, each.name, target, date, f"{each.median[row, k]:.7g}", *found]
                    )
    return text.getvalue()
