"""How answers are shown and saved."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from elman.errors import OptionError
from elman.files import write_whole
from elman.tasks.series.answers import Answer, Continuation, Labelled
from elman.tasks.series.fan import draw_fans
from elman.tasks.series.options import ForecastOptions

#: steps of a forecast that are shown; the rest is in the JSON and CSV
_MOST_SHOWN = 48


def show(answer: Answer) -> str:
    """A line for each step, series or span."""
    if isinstance(answer, Continuation):
        return _forecasts(answer)
    named = len(answer.verdicts) > 1
    return "\n".join(
        [f"[bold]{escape(each.name)}[/]   {each.line()}" if named else each.line()
         for each in answer.verdicts]
    )  # fmt: skip


def _forecasts(answer: Continuation) -> str:
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


def record(answer: Answer) -> dict[str, Any]:
    """The answers for a file as a JSON object."""
    own = answer.forecasts if isinstance(answer, Continuation) else answer.verdicts
    return {"file": answer.file, "series": [each.record() for each in own]}


def save(answers: Sequence[Answer], wanted: ForecastOptions) -> list[Path]:
    """Writes the picture and the table, where requested."""
    written = []
    if wanted.png:
        path = Path(wanted.png)
        fans = [
            each
            for answer in answers
            if isinstance(answer, Continuation)
            for each in answer.forecasts
        ]
        if not fans:
            raise OptionError("--png draws forecasts, and this model makes none; omit it.")
        draw_fans(fans, path)
        written.append(path)
    if wanted.csv:
        path = Path(wanted.csv)
        write_whole(path, as_csv(answers))
        written.append(path)
    return written


def as_csv(answers: Sequence[Answer]) -> str:
    """A row for each step and target of a forecast, or for each series or span."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    forecasts = [
        (a.file, each) for a in answers if isinstance(a, Continuation) for each in a.forecasts
    ]
    if forecasts:
        levels = [f"{level:g}" for level in forecasts[0][1].levels]
        writer.writerow(["file", "series", "target", "time", "forecast", *levels])
    else:
        writer.writerow(
            ["file", "series", "label", "value", "probability", "start", "end", "score"]
        )
    for file, each in forecasts:
        for k, target in enumerate(each.targets):
            for row, date in enumerate(each.dates):
                found = [f"{value:.7g}" for value in each.quantiles[row, k]]
                median = f"{each.median[row, k]:.7g}"
                writer.writerow([file, each.name, target, date, median, *found])
    for answer in answers:
        for verdict in answer.verdicts if isinstance(answer, Labelled) else ():
            first = [answer.file, verdict.name]
            if verdict.spans is None:
                value = "" if verdict.value is None else f"{verdict.value:.7g}"
                sure = f"{verdict.probability:.6f}" if verdict.label else ""
                writer.writerow([*first, verdict.label or "", value, sure, "", "", ""])
            for span in verdict.spans or ():
                score = f"{span.score:.6g}" if span.score else ""
                writer.writerow([*first, span.label, "", "", span.start, span.end, score])
    return text.getvalue()
