"""A series that arrives line by line: the columns of each line, and the series so far.

The first line may name the columns; without, a line has the values of the targets.  Only as many
steps are kept as the model reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError, OptionError
from elman.tasks.series.columns import Roles, roles_of
from elman.tasks.series.holes import warn_of_unknown
from elman.tasks.series.options import SeriesOptions
from elman.tasks.series.series import Covariate, Series, spread
from elman.tasks.series.symbols import SeriesSymbols, why_not_modelled
from elman.tasks.series.table import MISSING, Table, numbers
from elman.tasks.series.times import (
    DAY,
    Clocks,
    Floats,
    Step,
    grid_of,
    in_steps,
    parse_times,
    places_on,
)

#: a line of numbers is shorter
_LONGEST_LINE = 1_000_000


class Arriving:
    """Reads lines, and gives the series so far after each."""

    def __init__(self, symbols: SeriesSymbols, options: SeriesOptions) -> None:
        if symbols.known:
            raise OptionError(
                f"the model needs {', '.join(symbols.known)} in advance, which a stream cannot "
                "give; predict from files."
            )
        if symbols.static or symbols.past:
            names = [*symbols.static, *symbols.past]
            self._needed = names
        else:
            self._needed = []
        self._symbols, self._options = symbols, options
        season = symbols.season
        self._kept = options.steps_read + max([season * 4, *options.chosen_lags(season)]) + 1
        self._names: list[str] | None = None
        self._roles: Roles | None = None
        self._number = 0
        self._dates = False
        self._times: list[float] = []
        self._values: list[list[float]] = []
        self._past: dict[str, list[str]] = {name: [] for name in symbols.past}
        self._static: dict[str, float | str] = {}
        self._unknown: set[tuple[str, str]] = set()

    def accept(self, line: bytes) -> Series | None:
        """The series with the values of this line; None for a header or an empty line."""
        self._number += 1
        where = f"line {self._number}"
        if len(line) > _LONGEST_LINE:
            raise DataError(f"{where}: it has {len(line):,} bytes; send one step a line.")
        try:
            text = line.decode("utf-8-sig" if self._number == 1 else "utf-8").strip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: byte {error.start + 1} is not UTF-8.") from error
        if not text.strip():
            return None
        cells = [cell.strip().strip('"') for cell in text.split("\t" if "\t" in text else ",")]
        if self._roles is None and not self._begin(cells, where):
            return None
        self._append(cells, where)
        return self._series(where)

    def _begin(self, cells: list[str], where: str) -> bool:
        """Take note of the columns; whether the line holds values already."""
        targets = [*self._symbols.targets]
        plain = not numbers(cells)[1] and not self._symbols.calendar and not self._needed
        if plain and len(cells) == len(targets):
            self._names, self._roles = targets, Roles(None, tuple(targets), None)
            return True
        if plain:
            raise DataError(
                f"{where}: it has {_values(len(cells))}; give the column names first, or "
                f"{', '.join(targets)} on each line."
            )
        options = self._options
        asked = {
            "target_columns": options.target_columns
            if options.layout == "long" and options.target_columns
            else ",".join(targets),
            "known_columns": "", "past_columns": ",".join(self._symbols.past),
            "static_columns": ",".join(self._symbols.static), "layout": "long",
        }  # fmt: skip
        if not numbers(cells)[1]:
            needed = ["time"] * bool(self._symbols.calendar) + self._needed
            raise DataError(
                f"{where}: it has only numbers, but the model also reads {', '.join(needed)}; the "
                f'first line must name the columns, such as "{",".join([*needed, *targets])}".'
            )
        named = Table(Path("-"), {cell: [] for cell in cells if cell}, [])
        roles = roles_of(named, replace(options, **asked))  # type: ignore[arg-type]
        if isinstance(roles, str):
            raise DataError(f"{where}: {roles}")
        if roles.time is None and self._symbols.calendar:
            raise DataError(
                f"{where}: the model reads the calendar, but no column holds the time; the first "
                'line must name the columns, such as "time,value".'
            )
        self._names, self._roles = cells, roles
        return False

    def _append(self, cells: list[str], where: str) -> None:
        assert self._names is not None
        assert self._roles is not None
        if len(cells) != len(self._names):
            raise DataError(
                f"{where}: it has {_values(len(cells))}, but the first line names "
                f"{len(self._names)} columns; send a value for each."
            )
        by_name = dict(zip(self._names, cells, strict=True))
        found, wrong = numbers([by_name[name] for name in self._roles.targets])
        if wrong:
            name = self._roles.targets[wrong[0]]
            raise DataError(
                f'{where}: the column "{name}" has "{by_name[name][:40]}"; send numbers.'
            )
        for value in found:
            if why := why_not_modelled(value, self._options):
                raise DataError(f"{where}: {why}")
        time = float(len(self._times) and self._times[-1] + 1)
        if self._roles.time is not None:
            dates, times, faults = parse_times(
                [by_name[self._roles.time]], self._options.time_format, self._options.time_zone
            )
            if faults:
                raise DataError(f"{where}: {faults[0][1]}")
            if self._times and (dates != self._dates or times[0] <= self._times[-1]):
                raise DataError(f"{where}: its time is not after that of the line before.")
            self._dates, time = dates, float(times[0])
        for name in self._roles.static:
            self._static[name] = _cell(by_name[name], self._symbols.static[name].scale is not None)
        self._check_texts(by_name, where)
        for name in self._roles.past:
            self._past[name].append(by_name[name])
        self._times.append(time)
        self._values.append(found)
        if len(self._times) > 2 * self._kept:  # now and then, so that a step costs the same
            self._times = self._times[-self._kept :]
            self._values = self._values[-self._kept :]
            self._past = {name: cells[-self._kept :] for name, cells in self._past.items()}

    def _check_texts(self, by_name: Mapping[str, str], where: str) -> None:
        """Refuse, or name once, texts that training did not have."""
        for name, encoding in {**self._symbols.past, **self._symbols.static}.items():
            cell = np.array([_cell(by_name[name], False)], object)
            for text in encoding.refuse_unknown(cell, name, where):
                if (name, text) not in self._unknown:
                    self._unknown.add((name, text))
                    warn_of_unknown(name, [text])

    def _series(self, where: str) -> Series:
        times, zone = np.array(self._times), ""
        if self._roles is not None and self._roles.time is None:
            step, places = Step("number", 1.0), np.arange(len(times))
        else:
            zone = self._options.time_zone if self._dates else ""
            if zone and len(times) > 1:
                local = Clocks(zone).local(times)
                if (np.diff(local) >= 0.9 * DAY).all():
                    times, zone = local, ""
            step, places = self._grid(times, where)  # type: ignore[assignment]
        if places is not None and places[-1] >= 20 * len(times) + 1000:
            raise DataError(
                f"{where}: the times so far span {in_steps(int(places[-1]) + 1)} of {step}, but "
                f"there are {len(times)} lines; correct the time."
            )
        values = np.array(self._values)
        past: dict[str, Covariate] = {
            name: _column(cells, self._symbols.past[name].scale is not None)
            for name, cells in self._past.items()
        }
        count = len(times)
        if places is not None and places[-1] + 1 > count:
            count = int(places[-1]) + 1
            whole = Series("", "", (), step, True, times[:1], values[:0]).times_until(count)
            whole[places] = times
            times = whole
            values, old = np.full((count, values.shape[1]), np.nan), values
            values[places] = old
            past = {name: spread(column, places, count) for name, column in past.items()}
        return Series(
            "the stream", "", tuple(self._symbols.targets), step, places is not None, times, values,
            {}, past, dict(self._static), None, zone,
        )  # fmt: skip

    def _grid(self, times: Floats, where: str) -> tuple[Step, NDArray[np.int64] | None]:
        """The step and the places of times: those of the training series, if all had the same."""
        known = self._symbols.steps
        if len(known) != 1 or (known[0].unit == "number") == self._dates:
            return grid_of(times, self._dates)
        places = places_on(times, known[0])
        if places is None:
            raise DataError(
                f"{where}: its time is not a whole number of steps after the first; the model was "
                f"trained on steps of {known[0]}."
            )
        return known[0], places


def _values(count: int) -> str:
    return f"{count} value{'s' if count != 1 else ''}"


def _cell(cell: str, number: bool) -> float | str:
    if number:
        return numbers([cell])[0][0]
    return "" if cell.lower() in MISSING else cell


def _column(cells: list[str], number: bool) -> Covariate:
    if number:
        return np.array(numbers(cells)[0])
    return np.array([_cell(cell, False) for cell in cells], object)


def lines_of_pieces(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of text that arrives in pieces, cut anywhere."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
        if len(rest) > _LONGEST_LINE:
            raise DataError(f"a line has more than {_LONGEST_LINE:,} bytes; send one step a line.")
    if rest:
        yield rest
