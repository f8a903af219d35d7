"""Reads series from tables: long, with a column that names the group, or wide.

Rows are sorted by time and put on a grid; steps without a row have missing values.  Faults have the
line where they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from elman.data.faults import Fault, Note, Place, Row
from elman.data.folders import files_below
from elman.data.sources import is_folder
from elman.tasks.series.columns import Roles, roles_of
from elman.tasks.series.options import SeriesOptions
from elman.tasks.series.series import Covariate, Series, spread
from elman.tasks.series.symbols import why_not_modelled
from elman.tasks.series.table import MISSING, Table, numbers, read_table, why_no_number
from elman.tasks.series.times import DAY, Clocks, Floats, Step, grid_of, in_steps, parse_times

Item = Row[Series] | Fault | Note
#: a grid may have this many times as many steps as the file has rows
_SPARSEST = 20


def series_rows(path: Path, options: SeriesOptions) -> Iterator[Item]:
    """The series, faults and notes of a file, or of all files of a folder."""
    if not is_folder(path):
        yield from _file_rows(path, options)
        return
    files = files_below(path)
    if not files:
        yield Fault(Place(path), "there are no files in this folder; it must hold tables.")
    for file in files:
        yield from _file_rows(file, options)


def _file_rows(path: Path, options: SeriesOptions) -> Iterator[Item]:
    table, faults = read_table(path)
    yield from faults
    if table is None or not len(table):
        return
    roles = roles_of(table, options)
    if isinstance(roles, str):
        yield Fault(table.place(0) if roles.startswith("no column") else Place(path, 1), roles)
        return
    yield from _Reader(table, roles, options).rows()


@dataclass(frozen=True)
class _Grid:
    """The times of a series, their places on the grid of steps, and their zone if they are UTC."""

    times: Floats
    step: Step
    places: np.ndarray | None
    zone: str


class _Reader:
    """The columns of one table as numbers, and the series made of them."""

    def __init__(self, table: Table, roles: Roles, options: SeriesOptions) -> None:
        self.table, self.roles, self.options = table, roles, options
        self.faults: list[Fault] = []
        self.dates, self.times = self._times()
        self.values = np.array([self._target(name) for name in roles.targets]).T
        self.covariates = {name: _covariate(table.columns[name]) for name in roles.covariates}

    def rows(self) -> Iterator[Item]:
        """Series and faults; no series where a row of it is faulty."""
        yield from sorted(self.faults, key=lambda fault: fault.place.line or 0)
        if self.faults:
            return
        yield from self._mixed_columns()
        for name, rows in self._groups().items():
            if self.options.layout == "long":
                yield from self._series(name, rows, [*range(len(self.roles.targets))])
                continue
            for k, target in enumerate(self.roles.targets):
                yield from self._series(target, rows, [k])

    def _groups(self) -> dict[str, list[int]]:
        """The rows of each group."""
        if self.roles.group is None:
            return {"": [*range(len(self.table))]}
        groups: dict[str, list[int]] = {}
        for row, cell in enumerate(self.table.columns[self.roles.group]):
            groups.setdefault(cell.strip(), []).append(row)
        return groups

    def _times(self) -> tuple[bool, Floats]:
        if self.roles.time is None:
            times = np.zeros(len(self.table))
            for rows in self._groups().values():  # a row is a step
                times[rows] = np.arange(len(rows))
            return False, times
        cells = self.table.columns[self.roles.time]
        groups = self.table.columns[self.roles.group] if self.roles.group else ()
        dates, times, wrong = parse_times(
            cells, self.options.time_format, self.options.time_zone, groups
        )
        for row, message in wrong:
            self.faults.append(Fault(self.table.place(row), message))
        return dates, times

    def _target(self, name: str) -> list[float]:
        found, wrong = numbers(self.table.columns[name])
        for row in wrong:
            why = why_no_number(self.table.columns[name][row])
            self.faults.append(Fault(self.table.place(row), f'the column "{name}" has {why}'))
        for row, value in enumerate(found):
            if why := why_not_modelled(value, self.options):
                self.faults.append(Fault(self.table.place(row), f'the column "{name}": {why}'))
        return found

    def _mixed_columns(self) -> Iterator[Note]:
        """Covariates whose numbers are read as names because a few cells are none."""
        for name in self.roles.covariates:
            cells = self.table.columns[name]
            _, wrong = numbers(cells)
            if 0 < len(wrong) < len(cells) / 10:
                why = why_no_number(cells[wrong[0]])
                yield Note(
                    self.table.place(wrong[0]),
                    f'the column "{name}" is read as names of categories, because not all of it is '
                    f"numbers: it has {why}",
                )

    def _series(self, name: str, rows: list[int], targets: list[int]) -> Iterator[Item]:
        table, roles = self.table, self.roles
        place = table.place(rows[0])
        whose = f'the series "{name}"' if name else "the series"
        order = np.argsort(self.times[rows], kind="stable")
        if (np.diff(order) < 0).any():
            yield Note(place, f"the rows of {whose} are not in order of time; they are sorted.")
        kept = np.array(rows)[order]
        times = self.times[kept]
        twice = np.flatnonzero(np.diff(times) == 0)
        if len(twice):
            row = int(kept[twice[0] + 1])
            time = table.columns[roles.time][row].strip() if roles.time else str(row)
            hint = (
                ""
                if roles.group
                else ", or name the column that tells series apart by the option group_column"
            )
            yield Fault(
                table.place(row),
                f"{whose} has the time {time} twice; remove a row{hint}.",
            )
            return
        static: dict[str, float | str] = {}
        for column in roles.static:
            cells = {table.columns[column][row].strip() for row in rows}
            if len(cells) > 1:
                first, second, *_ = sorted(cells)
                yield Fault(
                    place,
                    f'the column "{column}" is named by static_columns, but has "{first}" and '
                    f'"{second}" in {whose}; correct it, or name it by known_columns or '
                    "past_columns.",
                )
                return
            value = self.covariates[column][rows[0]]
            static[column] = str(value) if isinstance(value, str) else float(value)
        zone = self.options.time_zone if self.dates else ""
        if zone:  # days are those of the clocks, also where one has 23 hours
            local = Clocks(zone).local(times)
            if len(times) > 1 and (np.diff(local) >= 0.9 * DAY).all():
                times, zone = local, ""
        step, places = grid_of(times, self.dates)
        if places is not None and places[-1] >= _SPARSEST * len(rows) + 1000:
            yield Fault(
                place,
                f"{whose} has {len(rows)} rows, but its times span {in_steps(int(places[-1]) + 1)} "
                f"of {step}; correct the times.",
            )
            return
        values = self.values[kept][:, targets]
        there = np.flatnonzero(np.isfinite(values).any(1))
        if not len(there):
            yield Fault(place, f"{whose} has no value; give one or remove its rows.")
            return
        if roles.label is not None and self.options.mode in ("classify", "regress"):
            found = [table.columns[roles.label][row].strip() for row in kept]
            different = [k for k, label in enumerate(found) if label not in ("", found[0])]
            if different:
                yield Fault(
                    table.place(int(kept[different[0]])),
                    f'{whose} has the labels "{found[0]}" and "{found[different[0]]}"; give a '
                    "series one label; only mode label takes one for each step.",
                )
                return
        on_grid = _Grid(times, step, places, zone)
        yield Row(place, self._on_grid(name, targets, on_grid, kept, int(there[-1]) + 1, static))

    def _on_grid(
        self,
        name: str,
        targets: list[int],
        on_grid: _Grid,
        kept: np.ndarray,
        seen: int,
        static: dict[str, float | str],
    ) -> Series:
        """The series, with missing values where the grid has no row; ``seen`` rows have values."""
        times, step, places = on_grid.times, on_grid.step, on_grid.places
        at = np.arange(len(kept)) if places is None else places
        count, length = int(at[-1]) + 1, int(at[seen - 1]) + 1
        values = np.full((count, len(targets)), np.nan)
        values[at] = self.values[kept][:, targets]

        def column(name: str) -> Covariate:
            return spread(self.covariates[name][kept], at, count)

        grid = times
        if places is not None and count > len(kept):
            whole = Series("", "", (), step, True, times[:1], values[:0])
            grid = whole.times_until(count)
            grid[at] = times
        return Series(
            str(self.table.path),
            name,
            tuple([self.roles.targets[k] for k in targets])
            if self.options.layout == "long"
            else ("value",),
            step,
            places is not None,
            grid,
            values[:length],
            {name: column(name) for name in self.roles.known},
            {name: column(name)[:length] for name in self.roles.past},
            static,
            self._labels(kept, at, count, length),
            on_grid.zone,
        )

    def _labels(
        self, kept: np.ndarray, at: np.ndarray, count: int, length: int
    ) -> np.ndarray | None:
        if self.roles.label is None:
            return None
        cells = self.table.columns[self.roles.label]
        own = np.array([cells[row].strip() for row in kept], object)
        return spread(own, at, count)[:length]


def _covariate(cells: list[str]) -> Covariate:
    """Numbers where all cells are, or else names; a missing one is NaN or ""."""
    found, wrong = numbers(cells)
    if not wrong:
        return np.array(found)
    names = [cell.strip() for cell in cells]
    return np.array([("" if name.lower() in MISSING else name) for name in names], object)
