"""Where a data file is wrong, and why: a row or a fault, each with its place.

The readers of this folder yield `Row` and `Fault` in the order of the file.  A strict reader
raises the first fault as one `DataError` (`values_or_error`); ``elman check`` gathers them all
(``report.py``).  So a rule of a format is written once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from elman.errors import DataError

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Place:
    """A file, and the line in it where that is known.

    >>> print(Place(Path("train.conll"), 214))
    train.conll, line 214
    """

    path: Path
    line: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.line is None else f"{self.path}, line {self.line}"


@dataclass(frozen=True)
class Fault:
    """What is wrong at a place, and what to do about it.

    >>> print(Fault(Place(Path("reviews.csv"), 3), "the text is empty."))
    reviews.csv, line 3: the text is empty.
    """

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(frozen=True)
class Row(Generic[T_co]):
    """One good example, and the place where it begins."""

    place: Place
    value: T_co


def values_or_error(items: Iterable[Row[T_co] | Fault]) -> list[T_co]:
    """The values of the rows; a ``DataError`` with the sentence of the first fault if there is one.

    >>> place = Place(Path("reviews.csv"), 2)
    >>> values_or_error([Row(place, "fine")])
    ['fine']
    >>> values_or_error([Row(place, "fine"), Fault(place, "the label is empty.")])
    Traceback (most recent call last):
    elman.errors.DataError: reviews.csv, line 2: the label is empty.
    """
    values = []
    for item in items:
        if isinstance(item, Fault):
            raise DataError(str(item))
        values.append(item.value)
    return values
