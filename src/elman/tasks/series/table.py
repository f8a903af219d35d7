"""A table of text: named columns, and the line of each row.

This module reads CSV, TSV and Parquet.  What the columns mean is decided in ``columns.py``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from elman.data.faults import Fault, Place, Row
from elman.data.numbers import number_of
from elman.data.plain_text import read_plain_text
from elman.data.sources import is_folder, why_not_a_file
from elman.data.tables import named_delimiter, table_records
from elman.extras import extra
from elman.saved import in_short
from elman.stages import counted

#: how files write that a value is missing
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-", "."})
#: values must be below this: float32 ends at 3e38
LARGEST = 1e30
_COMMAS = re.compile(r"[-+]?\d+(,\d+)+(\.\d+)?")
_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", "")


@dataclass(frozen=True)
class Table:
    """The cells of each column as text, and the line of each row."""

    path: Path
    columns: dict[str, list[str]]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int) -> Place:
        """The position of a row."""
        return Place(self.path, self.lines[row])


def read_table(path: Path) -> tuple[Table | None, list[Fault]]:
    """The table, or None where it cannot be read at all, and the faults."""
    if not is_folder(path) and path.suffix.lower() == ".parquet":
        return _parquet(path)
    if not is_folder(path) and path.suffix.lower() not in _SUFFIXES:
        message = (
            f'the suffix "{path.suffix}" is not a format of series; give a .csv, .tsv or .parquet '
            "file."
        )
        return None, [Fault(Place(path), message)]
    text, faults = read_plain_text(path)
    if not text:
        return None, faults
    delimiter = named_delimiter(text) or ("\t" if path.suffix.lower() in (".tsv", ".tab") else "")
    records = table_records(path, text, delimiter or _delimiter(text), quoted=True)
    header = next(records, None)
    if not isinstance(header, Row):
        message = "there are no column names; the first line must name the columns."
        return None, [*faults, header or Fault(Place(path, 1), message)]
    names = [name.strip() for name in header.value]
    twice = [name for name in names if name and names.count(name) > 1]
    if twice:
        message = f'two columns are named "{twice[0]}"; give each a name of its own.'
        return None, [*faults, Fault(header.place, message)]
    rows: list[list[str]] = []
    lines: list[int] = []
    damaged = {fault.place.line for fault in faults}
    for record in counted(records, f"reading {path.name}", text.count("\n")):
        if isinstance(record, Fault):
            faults.append(record)
            continue
        cells = record.value
        while len(cells) > len(names) and not cells[-1].strip():
            cells = cells[:-1]
        if len(cells) != len(names):
            faults.append(
                Fault(
                    record.place,
                    f"the header has {len(names)} columns but the row has {len(cells)}; write one "
                    "value for each, and decimals with a point.",
                )
            )
        elif record.place.line not in damaged:
            rows.append(cells)
            lines.append(record.place.line or 0)
    if not rows and not faults:
        faults.append(Fault(Place(path), "there are no rows; give at least one after the header."))
    faults.sort(key=lambda fault: fault.place.line or 0)
    # a column without a name is an index, as some programs write it
    columns = {name: [row[k] for row in rows] for k, name in enumerate(names) if name}
    return Table(path, columns, lines), faults


def _parquet(path: Path) -> tuple[Table | None, list[Fault]]:
    """The table of a Parquet file; the line of a row is its number."""
    reason = why_not_a_file(path)
    if reason is not None:
        return None, [Fault(Place(path), reason)]
    with extra("parquet", "reading a .parquet file"):
        import pyarrow
        import pyarrow.parquet
    try:
        found = pyarrow.parquet.read_table(path)
        columns = {
            str(name): [_text(value) for value in found.column(k).to_pylist()]
            for k, name in enumerate(found.column_names)
        }
    except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:
        message = f"this is not a Parquet file ({in_short(str(error), 100)}); write it again."
        return None, [Fault(Place(path), message)]
    if not found.num_rows:
        return None, [Fault(Place(path), "there are no rows; give at least one.")]
    return Table(path, columns, [*range(1, found.num_rows + 1)]), []


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _delimiter(text: str) -> str:
    line = text.lstrip("\r\n").partition("\n")[0]
    return max((",", ";", "\t", "|"), key=line.count)


def why_no_number(cell: str) -> str:
    """What is wrong with a cell that ``numbers`` does not take, and what to do.

    >>> why_no_number("1,5")
    '"1,5"; write decimals with a point, and thousands without a separator.'
    >>> why_no_number("1e300")
    '"1e300", but values must be below 1e+30; give them in a larger unit.'
    """
    text = cell.strip()
    shown = f'"{text if len(text) <= 40 else f"{text[:40]}..."}"'
    if _COMMAS.fullmatch(text):
        return f"{shown}; write decimals with a point, and thousands without a separator."
    try:
        number = number_of(text)
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return f"{shown}, but values must be below {LARGEST:g}; give them in a larger unit."
    return f"{shown}; write a number, or nothing where a value is missing."


def numbers(cells: list[str]) -> tuple[list[float], list[int]]:
    """The numbers in cells, NaN where one is missing, and the rows that hold something else.

    >>> numbers(["1.5", "NA", "x", "inf"])
    ([1.5, nan, nan, nan], [2, 3])
    """
    found: list[float] = []
    wrong: list[int] = []
    for k, cell in enumerate(cells):
        number = float("nan")
        text = cell.strip()
        if text.lower() not in MISSING:
            try:
                number = number_of(text)
            except ValueError:
                wrong.append(k)
            else:
                if not abs(number) < LARGEST:
                    number = float("nan")
                    wrong.append(k)
        found.append(number)
    return found, wrong
