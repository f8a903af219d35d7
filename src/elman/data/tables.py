"""The records of CSV and TSV tables, and whether double quotes enclose fields in them.

In CSV they do (RFC 4180).  In TSV they may, as pandas and Excel write it, or may be ordinary
characters, as in most corpora, where a stray quote would swallow all lines up to the next one.
``is_quoted`` decides.  The readers interpret the columns: see ``text.py``.
"""

import csv
import io
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from elman.data.excerpts import excerpt_of
from elman.data.faults import Fault, Note, Place, Row
from elman.data.plain_text import lines_of

_ENCLOSED = re.compile(r'"(?:[^"]|"")*+"')
_SEPARATOR = re.compile(r"sep=([,;|\t])\r?\n")
# placeholders for a carriage return inside a line, at which the csv module would stop
_STAND_INS = "\ue000\ue001\ue002\uf8fe\uf8ff"


def table_records(
    path: Path, text: str, delimiter: str, *, quoted: bool
) -> Iterator[Row[list[str]] | Fault]:
    """The records of a table, each with the line on which it starts; blank lines are skipped.

    With ``quoted``, double quotes enclose fields, which may then hold delimiters and line ends.  A
    line such as ``sep=;``, with which Excel declares the delimiter, is skipped.

    >>> [row.value for row in table_records(Path(), 'a,"b\\nc"\\n', ",", quoted=True)]
    [['a', 'b\\nc']]
    """
    named = _SEPARATOR.match(text)
    first = 1 if named is None else 2
    stand_in = next((sign for sign in _STAND_INS if sign not in text), "")
    body = re.sub(r"\r(?!\n)", stand_in or " ", text if named is None else text[named.end() :])
    replaced = stand_in != "" and stand_in in body  # once: a file may have a million records
    reader = csv.reader(
        io.StringIO(body, newline="\n"),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        skipinitialspace=delimiter != "\t",  # people write: good, "warm, and funny"
        strict=True,
    )
    while True:
        place = Place(path, reader.line_num + first)
        try:
            with fields_of_any_length():
                record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            why = "is never closed" if "end of data" in str(error) else "continues after its end"
            yield Fault(
                place,
                f"a text in double quotes that starts here {why}; "
                'write a quote inside a quoted text twice ("").',
            )
            continue
        if replaced:
            record = [cell.replace(stand_in, "\r") for cell in record]
        if any(cell.strip() for cell in record):
            yield Row(place, record)


@contextmanager
def fields_of_any_length() -> Iterator[None]:
    """Let the csv module read fields over 131,072 characters; its limit is global."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def named_delimiter(text: str) -> str | None:
    """The delimiter that a first line such as ``sep=;`` declares; None if there is none."""
    named = _SEPARATOR.match(text)
    return None if named is None else named[1]


def is_quoted(path: Path, text: str, *, doubled: bool = False) -> tuple[bool, list[Note]]:
    """Whether double quotes in a TSV enclose fields, and a note about the decision.

    They do if every field that contains a double quote is enclosed in a pair, with the quotes
    inside it doubled.  A field may then span several lines, unless one of them is a complete row:
    two stray quotes would look the same.  With ``doubled`` they enclose fields only if the file
    also has doubled quotes.

    >>> is_quoted(Path(), 'text\\tlabel\\n"A ""dud""."\\tbad\\n')[0]
    True
    >>> is_quoted(Path(), 'text\\tlabel\\n" a dud\\tbad\\nfine , he said "\\tgood\\n')[0]
    False
    """
    excerpt = excerpt_of(path)
    if excerpt is not None and excerpt.quoted is not None:
        return excerpt.quoted, []
    if ('""' if doubled else '"') not in text:
        return False, []
    lines = [line.split("\t") for line in lines_of(text)]
    width = len(next((cells for cells in lines if any(cells)), []))
    first = next(k for k, cells in enumerate(lines, 1) if any('"' in cell for cell in cells))
    enclosed = all(is_enclosed(cells, width) for cells in lines if any(cells))
    if not enclosed and not _encloses_line_ends(text, lines, width):
        count = text.count('"')
        message = f"double quotes are read as ordinary characters ({count} in the file)."
        return False, [Note(Place(path, first), message)]
    message = "double quotes around fields are removed."
    return True, [Note(Place(path, first), message)]


def is_enclosed(cells: Sequence[str], width: int) -> bool:
    """Whether a line has ``width`` cells, and each with a double quote is enclosed in a pair."""
    return len(cells) == width and all(_ENCLOSED.fullmatch(cell) for cell in cells if '"' in cell)


def _encloses_line_ends(text: str, lines: Sequence[list[str]], width: int) -> bool:
    """Whether all quotes enclose whole fields, and no row lies between two of them."""
    records = list(table_records(Path(), text, "\t", quoted=True))
    rows = [record for record in records if isinstance(record, Row)]
    if len(rows) < len(records) or any(len(row.value) != width for row in rows):
        return False
    joined = ["\t".join(cells) for cells in lines]
    for _, inside in records_with_lines(rows, joined):
        if not _ROW.fullmatch("\n".join(inside)) or swallowed(inside, "\t", width):
            return False
    return True


_FIELD = r'(?:"(?:[^"]|"")*+"|[^"\t]*+)'
_ROW = re.compile(rf"{_FIELD}(?:\t{_FIELD})*+\s*+")


def records_with_lines(
    records: Sequence[Row[list[str]]], lines: Sequence[str]
) -> Iterator[tuple[Row[list[str]], Sequence[str]]]:
    """Each record with the lines of the file that it spans, without trailing blank lines."""
    starts = [record.place.line or 1 for record in records]
    ends = [*starts[1:], len(lines) + 1][: len(starts)]
    for record, start, end in zip(records, starts, ends, strict=True):
        inside = lines[start - 1 : end - 1]
        while len(inside) > 1 and not inside[-1].strip():
            inside = inside[:-1]
        yield record, inside


def swallowed(inside: Sequence[str], delimiter: str, width: int) -> list[list[str]]:
    """The lines of a record that are complete rows, which a stray quote has swallowed.

    Empty if the record is one line, or all its fields are in double quotes.

    >>> swallowed(['" a dud,bad', 'Fine.,good', 'he said ",good'], ",", 2)
    [['" a dud', 'bad'], ['Fine.', 'good'], ['he said "', 'good']]
    >>> swallowed(['"A dud,', 'bad","good"'], ",", 2)
    []
    """
    if len(inside) < 2:
        return []
    field = r'"(?:[^"]|"")*+"'
    if re.fullmatch(rf"{field}(?:{re.escape(delimiter)}{field})*+\s*+", "\n".join(inside)):
        return []
    rows = [line.split(delimiter) for line in inside]
    whole = [cells for cells in rows if len(cells) == width]
    # a single one is the first or last line of a multi-line text
    return whole if len(whole) > 1 else []
