"""Times: from text to numbers, the step between them, and their place in day, week and year.

A time is a number: seconds since 1970 for dates, and itself for a column of numbers.  A series is
put on a grid of equal steps (``Step``), where months count as equal.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from elman.data.numbers import number_of
from elman.errors import OptionError
from elman.saved import in_short

Floats = NDArray[np.float64]

DAY = 86_400.0
_EPOCH = datetime(1970, 1, 1)
#: times that are numbers are known to about a millionth of a step then
_LARGEST = 1e15
_LATEST_YEAR = 9000
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_QUARTER = re.compile(r"(\d{4})[- ]?[Qq]([1-4])")
#: steps per season by the number of seconds between two steps
_SEASONS = {60.0: 60, 900.0: 96, 1800.0: 48, 3600.0: 24, DAY: 7, 7 * DAY: 52}
_SEASONS_OF_MONTHS = {1: 12, 2: 6, 3: 4}


@dataclass(frozen=True)
class Step:
    """The time between two steps: ``size`` months, seconds, or units of a column of numbers."""

    unit: Literal["months", "seconds", "number"]
    size: float

    @property
    def season(self) -> int:
        """The usual number of steps per season.

        >>> Step("months", 1).season, Step("seconds", 3600).season, Step("number", 1).season
        (12, 24, 1)
        """
        if self.unit == "months":
            return _SEASONS_OF_MONTHS.get(int(self.size), 1)
        return _SEASONS.get(self.size, 1) if self.unit == "seconds" else 1

    @property
    def calendar(self) -> tuple[str, ...]:
        """The cycles that are longer than a step and shorter than a season can show."""
        if self.unit == "number":
            return ()
        if self.unit == "months":
            return ("year",) if self.size < 12 else ()
        lengths = {"day": DAY, "week": 7 * DAY, "year": 365.25 * DAY}
        return tuple([name for name, length in lengths.items() if self.size < length])

    def is_like(self, other: Step) -> bool:
        """Whether two steps are the same, up to rounding."""
        return self.unit == other.unit and math.isclose(self.size, other.size, rel_tol=1e-6)

    def __str__(self) -> str:
        if self.unit == "number":
            return f"{self.size:g}"
        if self.unit == "months":
            return f"{self.size:g} month{'s' if self.size != 1 else ''}"
        for name, length in (("day", DAY), ("hour", 3600.0), ("minute", 60.0)):
            if self.size % length == 0:
                count = self.size / length
                return f"{count:g} {name}{'s' if count != 1 else ''}"
        return f"{self.size:g} seconds"


def in_steps(count: int) -> str:
    """A number of steps as text.

    >>> in_steps(1), in_steps(1200)
    ('1 step', '1,200 steps')
    """
    return f"{count:,} step{'s' if count != 1 else ''}"


def parse_times(
    cells: Sequence[str], time_format: str, zone: str = "", groups: Sequence[str] = ()
) -> tuple[bool, Floats, list[tuple[int, str]]]:
    """Whether the cells are dates, their numbers, and what is wrong with which cell.

    A time with an offset becomes UTC, and so does one without where there is a ``zone``.  When its
    clocks go back, an hour comes twice: the second time in one of the ``groups`` is the later one.

    >>> parse_times(["1970-01-02T00:00Z", "1970-01-03T12:00+12:00"], "")[1].tolist()
    [86400.0, 172800.0]
    >>> parse_times(["3", "4.5"], "")[:2]
    (False, array([3. , 4.5]))
    """
    if not time_format:
        numbers = _numbers(cells)
        if numbers is not None:
            return False, numbers, []
        if strange := _strange_numbers(cells):
            return False, np.zeros(len(cells)), strange
    read = _reader(time_format)
    found = np.zeros(len(cells))
    wrong: list[tuple[int, str]] = []
    aware: bool | None = None
    clocks = Clocks(zone) if zone else None
    seen: set[tuple[str, datetime]] = set()
    for k, cell in enumerate(cells):
        text = cell.strip()
        try:
            time = read(text)
        except ValueError:
            shown = text if len(text) <= 40 else f"{text[:40]}..."
            expected = (
                f"in the format {time_format} (option time_format)"
                if time_format
                else "as ISO 8601 (2026-01-31 12:00), or in the format of the option time_format"
            )
            wrong.append(
                (k, f'the time is "{shown}"; write it {expected}.')
                if text
                else (k, "the time is empty; write one or remove the row.")
            )
            continue
        if aware not in (None, time.tzinfo is not None):
            wrong.append((k, "some times have an offset from UTC and others have none; give all."))
            continue
        aware = time.tzinfo is not None
        if time.year > _LATEST_YEAR:  # a forecast could not be written as dates
            wrong.append(
                (
                    k,
                    f"the time is {text}; dates must not be after the year {_LATEST_YEAR}.",
                )
            )
            continue
        if aware:
            time = time.astimezone(UTC).replace(tzinfo=None)
        elif clocks is not None:
            key = (groups[k] if groups else "", time)
            there = clocks.utc(time, again=key in seen)
            seen.add(key)
            if there is None:
                wrong.append((k, f"the clocks of {zone} skip the time {text}; correct it."))
                continue
            time = there
        found[k] = (time - _EPOCH).total_seconds()
    return True, found, wrong


def _numbers(cells: Sequence[str]) -> Floats | None:
    try:
        numbers = np.array([number_of(cell) for cell in cells])
    except ValueError:
        return None
    # "nan" and "1e999" are no times
    dates = len(cells) and all([_is_compact_date(cell) for cell in cells])
    return None if dates or not (abs(numbers) <= _LARGEST).all() else numbers


def _is_compact_date(cell: str) -> bool:
    """Whether a number is a date, too, such as 20260131."""
    return len(cell.strip()) == 8 and cell.strip().isdigit()


def _strange_numbers(cells: Sequence[str]) -> list[tuple[int, str]]:
    """What is wrong with which cell of a column that has more numbers than other times."""
    wrong: list[tuple[int, str]] = []
    count = 0
    for k, cell in enumerate(cells):
        text = cell.strip()
        try:
            number = number_of(text)
        except ValueError:
            number = math.nan
        if math.isfinite(number) and not _is_compact_date(text):
            count += 1
            if abs(number) > _LARGEST:
                wrong.append(
                    (k, f"the time is {in_short(text, 40)}; numbers must be at most {_LARGEST:g}, "
                    "such as seconds.")
                )  # fmt: skip
        elif text:
            shown = in_short(text, 40)
            wrong.append((k, f'the time is "{shown}", but most times are numbers; correct it.'))
        else:
            wrong.append((k, "the time is empty; write one or remove the row."))
    return wrong if 2 * count > len(cells) else []


def _reader(time_format: str) -> Callable[[str], datetime]:
    def read(text: str) -> datetime:
        if time_format:
            return datetime.strptime(text, time_format)
        if month := _MONTH.fullmatch(text):
            return datetime(int(month[1]), int(month[2]), 1)
        if quarter := _QUARTER.fullmatch(text):
            return datetime(int(quarter[1]), 3 * int(quarter[2]) - 2, 1)
        return datetime.fromisoformat(text)

    def checked(text: str) -> datetime:
        try:
            time = read(text)
            if time.tzinfo is not None:
                time.astimezone(UTC)
        except OverflowError as error:
            raise ValueError(str(error)) from error
        return time

    return checked


class Clocks:
    """The clocks of a time zone; ``OptionError`` for a name that is none.

    >>> Clocks("Europe/Berlin").local(np.array([0.0])).tolist()
    [3600.0]
    """

    def __init__(self, zone: str) -> None:
        try:
            self._zone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise OptionError(
                f'time_zone is "{zone}"; it must be a name such as Europe/Berlin or UTC.'
            ) from error

    def utc(self, time: datetime, *, again: bool) -> datetime | None:
        """A local time as UTC; None if the clocks skip it."""
        there = time.replace(tzinfo=self._zone, fold=int(again)).astimezone(UTC)
        back = there.astimezone(self._zone).replace(tzinfo=None, fold=0)
        return there.replace(tzinfo=None) if back == time.replace(fold=0) else None

    def local(self, times: Floats) -> Floats:
        """Seconds of UTC as seconds of the local clocks."""
        found = times.copy()
        for k, time in enumerate(times):
            if -6.2e10 < time < 2.5e11:  # what Python's dates can say
                date = as_datetime(time).replace(tzinfo=UTC).astimezone(self._zone)
                offset = date.utcoffset()
                found[k] += offset.total_seconds() if offset is not None else 0.0
        return found


def as_datetime(time: float) -> datetime:
    """The date of seconds since 1970."""
    return _EPOCH + timedelta(seconds=round(float(time), 6))


def shown(times: Floats, step: Step) -> list[str]:
    """The times as text: ISO 8601, or numbers."""
    if step.unit == "number":
        return [f"{time:.10g}" for time in times]
    dates = [as_datetime(time) for time in times]
    if all([date.time() == _EPOCH.time() for date in dates]):
        return [date.date().isoformat() for date in dates]
    return [date.isoformat(sep=" ") for date in dates]


def grid_of(times: Floats, dates: bool) -> tuple[Step, NDArray[np.int64] | None]:
    """The step of increasing times, and the place of each on the grid.

    The places are None if the times fit no grid; the step is then the median.

    >>> step, places = grid_of(np.array([0.0, 1.0, 3.0]), False)
    >>> step.size, places.tolist()
    (1.0, [0, 1, 3])
    """
    if len(times) < 2:
        return Step("seconds", DAY) if dates else Step("number", 1.0), np.zeros(
            len(times), np.int64
        )
    if dates:
        months = _months(times)
        if months is not None:
            months_each = int(np.gcd.reduce(np.diff(months)))
            return Step("months", float(months_each)), (months - months[0]) // months_each
    unit: Literal["seconds", "number"] = "seconds" if dates else "number"
    gaps = np.diff(times)
    sizes, counts = np.unique(np.round(gaps, 6), return_counts=True)
    for size in (float(sizes[0]), float(sizes[counts.argmax()])):
        places = (times - times[0]) / max(size, 1e-6)
        whole = np.round(places)
        if size > 0 and (abs(places - whole) < 1e-3).all() and whole[-1] < 2**40:
            return Step(unit, size), whole.astype(np.int64)
    return Step(unit, float(np.median(gaps))), None


def places_on(times: Floats, step: Step) -> NDArray[np.int64] | None:
    """The place of each increasing time on the grid of ``step`` from the first on; None if one is
    not on it.

    >>> day = Step("seconds", DAY)
    >>> places_on(np.array([0.0, 2 * DAY]), day).tolist(), places_on(np.array([0.0, DAY / 2]), day)
    ([0, 2], None)
    """
    if step.unit == "months":
        months = _months(times)
        if months is None or ((months - months[0]) % step.size).any():
            return None
        found: NDArray[np.int64] = ((months - months[0]) // step.size).astype(np.int64)
        return found
    places = (times - times[0]) / step.size
    whole = np.round(places)
    return whole.astype(np.int64) if (abs(places - whole) < 1e-3).all() else None


def _months(times: Floats) -> NDArray[np.int64] | None:
    """The number of the month of each time, if all lie at the same place of theirs."""
    dates = [as_datetime(time) for time in times]
    months = np.array([12 * date.year + date.month for date in dates])
    if (np.diff(months) < 1).any():
        return None
    clocks = {date.time() for date in dates}
    days = {date.day for date in dates}
    ends = all([(date + timedelta(days=1)).day == 1 for date in dates])
    return months if len(clocks) == 1 and (len(days) == 1 or ends) else None


def times_after(start: float, step: Step, count: int, *, first: int = 1) -> Floats:
    """``count`` times, ``first`` steps after ``start`` and on.

    >>> _, [start], _ = parse_times(["2024-01-31"], "")
    >>> shown(times_after(start, Step("months", 1), 2), Step("months", 1))
    ['2024-02-29', '2024-03-31']
    """
    steps = np.arange(first, first + count, dtype=np.float64)
    if step.unit != "months":
        return start + steps * step.size
    date = as_datetime(start)
    ends = (date + timedelta(days=1)).day == 1
    found: list[float] = []
    for number in steps:
        month = 12 * date.year + date.month - 1 + int(number * step.size)
        year, month = divmod(month, 12)
        if not 1 <= year < 9999:  # beyond what dates can say
            found.append(float(start + number * step.size * 30.436875 * DAY))
            continue
        next_month = datetime(year + (month == 11), (month + 1) % 12 + 1, 1)
        last = (next_month - timedelta(days=1)).day
        day = last if ends else min(date.day, last)
        found.append((date.replace(year=year, month=month + 1, day=day) - _EPOCH).total_seconds())
    return np.array(found)


def cycles(times: Floats, names: Sequence[str]) -> Floats:
    """(time, 2 * cycle): the sine and cosine of the place in the day, the week and the year.

    >>> cycles(np.array([0.0, 7200.0]), ["day"]).round(2).tolist()
    [[0.0, 1.0], [0.5, 0.87]]
    """
    lengths = {"day": DAY, "week": 7 * DAY, "year": 365.2425 * DAY}
    columns = []
    for name in names:
        angle = 2 * np.pi * np.mod(times, lengths[name]) / lengths[name]
        columns += [np.sin(angle), np.cos(angle)]
    return np.stack(columns, 1) if columns else np.zeros((len(times), 0))
