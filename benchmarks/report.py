"""Print, save and plot rows of figures.

The verdicts come from ``targets.py``, the figures from ``sections.py``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from elman.benchmark import Result, Shape, Timing
from elman.files import write_whole
from targets import TARGETS, Bound, Summary, Verdict, summarise, verdict

FORMAT = 1


@dataclass(frozen=True)
class Row:
    """One figure: a ratio, or a value in ``unit``.

    ``value`` comes from medians and ``tenth`` from 10th percentiles; ``None`` means that Elman and
    the rival computed different values, which counts as missed.
    """

    section: str
    what: str
    shape: str
    threads: int
    rival: str
    value: float | None
    tenth: float | None = None
    target: str = ""
    ours: Timing | None = None
    theirs: Timing | None = None
    note: str = ""
    unit: str = "×"

    @property
    def bound(self) -> Bound:
        return TARGETS[self.target].each if self.target else Bound()

    @property
    def verdict(self) -> Verdict:
        if self.value is None:
            return "missed"
        return verdict(self.value, self.bound, bool(self.target) and TARGETS[self.target].at_most)

    def record(self) -> dict[str, Any]:
        asked = {"required": self.bound.required, "hoped": self.bound.hoped}
        return {**asdict(self), **asked, "verdict": self.verdict}


def read_result(record: Mapping[str, Any]) -> Result:
    """A result that another process wrote by ``Result.record``."""
    fields = {f.name: record[f.name] for f in dataclasses.fields(Result)}
    for name in ("ours", "theirs"):
        fields[name] = None if fields[name] is None else Timing(**fields[name])
    return Result(**{**fields, "shape": Shape(*fields["shape"])})


def row_of(section: str, result: Result, target: str = "") -> Row:
    """A row from a contest's result."""
    there = result.agrees
    return Row(
        section=section,
        what=f"{result.cell} {result.work}",
        shape=str(result.shape),
        threads=result.threads,
        rival=result.rival,
        value=result.ratio if there else None,
        tenth=result.ratio_tenth if there else None,
        target=target,
        ours=result.ours,
        theirs=result.theirs,
        note="" if there else f"values differ by {result.difference:.0e}: not timed",
    )


def summaries(rows: Iterable[Row]) -> list[Summary]:
    """Summaries of all targets with rows, by number of threads, in the order of ``targets.py``."""
    values: dict[tuple[str, int], list[float | None]] = {}
    for row in rows:
        if row.target:
            values.setdefault((row.target, row.threads), []).append(row.value)
    order = list(TARGETS)
    found = []
    for name, threads in sorted(values, key=lambda key: (order.index(key[0]), key[1])):
        each = values[name, threads]
        there = [value for value in each if value is not None]
        found.append(summarise(TARGETS[name], threads, there, len(each) - len(there)))
    return found


def print_section(console: Console, section: str, rows: Sequence[Row]) -> None:
    table = Table(box=None, title=section, title_justify="left", title_style="bold")
    table.add_column("what", no_wrap=True)
    table.add_column("shape", no_wrap=True)
    for name in ("threads", "Elman ms", "rival ms", "value", "10th pct", "required", "goal"):
        table.add_column(name, justify="right")
    table.add_column("rival", no_wrap=True)
    table.add_column("")
    for row in rows:
        table.add_row(
            row.what,
            row.shape,
            str(row.threads),
            _milliseconds(row.ours),
            _milliseconds(row.theirs),
            "" if row.value is None else f"{_number(row.value)} {row.unit}",
            _number(row.tenth),
            _number(row.bound.required),
            _number(row.bound.hoped),
            row.rival,
            row.note or row.verdict,
        )
    console.print(table)


def print_targets(console: Console, found: Sequence[Summary]) -> None:
    table = Table(box=None, title="targets", title_justify="left", title_style="bold")
    table.add_column("comparison")
    names = (
        "threads",
        "rows",
        "differ",
        "worst",
        "required",
        "goal",
        "geometric mean",
        "required",
        "goal",
    )
    for name in names:
        table.add_column(name, justify="right")
    table.add_column("")
    for one in found:
        target = one.target
        table.add_row(
            target.title,
            str(one.threads),
            str(one.values),
            str(one.differing or ""),
            f"{_number(one.worst)} {target.unit}" if one.values else "",
            _bound(target.each.required, target.at_most),
            _bound(target.each.hoped, target.at_most),
            f"{_number(one.mean)} {target.unit}" if one.values else "",
            _bound(target.mean.required, target.at_most),
            _bound(target.mean.hoped, target.at_most),
            one.verdict.upper() if one.verdict == "missed" else one.verdict,
        )
    console.print(table)


def write_json(
    path: Path,
    machine: Mapping[str, Any],
    settings: Mapping[str, Any],
    rows: Sequence[Row],
    skipped: Sequence[str],
    engines: Sequence[str],
) -> None:
    """Write all measurements as JSON; times in seconds."""
    record = {
        "format": FORMAT,
        "machine": dict(machine),
        "settings": dict(settings),
        "engines": list(engines),
        "targets": [asdict(one) for one in summaries(rows)],
        "rows": [row.record() for row in rows],
        "skipped": list(skipped),
    }
    write_whole(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def draw(path: Path, rows: Sequence[Row], title: str) -> None:
    """Plot the ratios, one line per comparison; does nothing without ratios."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines: dict[str, list[Row]] = {}
    for row in rows:
        # times, and ratios that should be small, do not fit this axis
        small = bool(row.target) and TARGETS[row.target].at_most
        if row.value is not None and row.unit == "×" and not small:
            lines.setdefault(f"{row.what}, {row.rival}", []).append(row)
    if not lines:
        return
    figure, axes = pyplot.subplots(figsize=(9, 1.6 + 0.26 * len(lines)), layout="constrained")
    threads = sorted({row.threads for row in rows})
    for height, members in enumerate(lines.values()):
        for row in members:
            # more threads: a lighter marker, a little lower, readable in black and white
            place = threads.index(row.threads)
            axes.plot(
                row.value,
                height + 0.18 * place,
                marker="os^D"[place % 4],
                markersize=5,
                color="black",
                markerfacecolor="black" if place == 0 else "white",
                linestyle="none",
            )
            bounds = [TARGETS[row.target].each, TARGETS[row.target].mean] if row.target else []
            for bound in bounds:
                for value, size in ((bound.required, 14), (bound.hoped, 7)):
                    if value is not None:
                        axes.plot(value, height, "|", markersize=size, color="0.45", zorder=0)
    for place, count in enumerate(threads):
        name = f"{count} thread{'' if count == 1 else 's'}"
        axes.plot([], [], "os^D"[place % 4], color="black", label=name,
                  markerfacecolor="black" if place == 0 else "white")  # fmt: skip
    axes.plot([], [], "|", markersize=14, color="0.45", label="required")
    axes.plot([], [], "|", markersize=7, color="0.45", label="goal")
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(lines)), list(lines), fontsize=8)
    axes.set_ylim(len(lines) - 0.3, -0.7)
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("speed-up over the rival; one marker per shape")
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=8, wrap=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _milliseconds(timing: Timing | None) -> str:
    return "" if timing is None else _number(1000 * timing.median)


def _bound(value: float | None, at_most: bool) -> str:
    return "" if value is None else f"{'≤' if at_most else '≥'} {_number(value)}"


def _number(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
