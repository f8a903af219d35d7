"""Rows, faults and notes of a data file, each with its position.

The readers yield `Row`, `Fault` and `Note` in the order of the file.  A strict reader raises the
first fault as a `DataError` (`rows_or_error`); ``elman check`` collects them all (``report.py``).
So each rule of a format is implemented once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from elman.data.excerpts import excerpt_of
from elman.data.remote import shown
from elman.errors import DataError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Place:
    """A file, and the line in it if known; tables that are not text have rows instead.

    >>> print(Place(Path("train.conll"), 214))
    train.conll, line 214
    """

    path: Path
    line: int | None = None
    unit: str = "line"

    def __str__(self) -> str:
        place = self.in_file()
        name = shown(place.path)
        return name if place.line is None else f"{name}, {place.unit} {place.line}"

    def in_file(self) -> "Place":
        """This place in the file itself, if an excerpt of it is being read."""
        excerpt = excerpt_of(self.path)
        if excerpt is None:
            return self
        line = None if self.line is None else excerpt.number(self.line)
        return Place(Path(excerpt.shown), line, excerpt.unit)


@dataclass(frozen=True)
class Fault:
    """A problem at a position, and how to fix it.

    >>> print(Fault(Place(Path("reviews.csv"), 3), "the text is empty."))
    reviews.csv, line 3: the text is empty.
    """

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(frozen=True)
class Row(Generic[T_co]):
    """A valid example, and the position where it starts."""

    place: Place
    value: T_co


@dataclass(frozen=True)
class Note:
    """Something unusual at a position that does not make the file unusable.

    >>> print(Note(Place(Path("genes.gtf"), 3), "this gene is left out."))
    genes.gtf, line 3: this gene is left out.
    """

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class Rows(list[Row[T]]):
    """The valid rows of a file; ``skipped`` holds the faults of the rows left out."""

    def __init__(self, rows: Iterable[Row[T]] = (), skipped: Iterable[Fault] = ()) -> None:
        super().__init__(rows)
        self.skipped = tuple(skipped)


def rows_or_error(items: Iterable[Row[T] | Fault | Note], *, skip_bad: bool = False) -> Rows[T]:
    """The rows; raises the first fault, if any, as a ``DataError``.

    With ``skip_bad``, faults are collected in ``skipped`` instead; the first is still raised if no
    row is left.

    >>> place = Place(Path("reviews.csv"), 2)
    >>> rows = rows_or_error([Row(place, "fine"), Fault(place, "bad.")], skip_bad=True)
    >>> [row.value for row in rows], len(rows.skipped)
    (['fine'], 1)
    """
    rows: list[Row[T]] = []
    skipped: list[Fault] = []
    for item in items:
        if isinstance(item, Row):
            rows.append(item)
        elif isinstance(item, Fault):
            if not skip_bad:
                raise DataError(str(item))
            skipped.append(item)
    if skipped and not rows:
        raise DataError(str(skipped[0]))
    return Rows(rows, skipped)


def values_or_error(items: Iterable[Row[T] | Fault | Note]) -> list[T]:
    """The values of the rows; raises the first fault, if any, as a ``DataError``.

    >>> place = Place(Path("reviews.csv"), 2)
    >>> values_or_error([Row(place, "fine")])
    ['fine']
    >>> values_or_error([Row(place, "fine"), Fault(place, "the label is empty.")])
    Traceback (most recent call last):
    elman.errors.DataError: reviews.csv, line 2: the label is empty.
    """
    return [row.value for row in rows_or_error(items)]
