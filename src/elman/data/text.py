"""Labelled texts: CSV, TSV, JSON, or a folder of text files for each label.

This module reads and checks files; it does not split texts into words (``words.py``) or index the
labels.  The suffix of a file name determines its format.  ``tables.py`` and ``json_records.py``
parse the records.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elman.data.faults import Fault, Note, Place, Row, values_or_error
from elman.data.folders import entries
from elman.data.json_records import json_records, kind_of_json
from elman.data.plain_text import line_end_notes, lines_of, read_plain_text
from elman.data.sources import exists, is_folder
from elman.data.tables import (
    is_quoted,
    named_delimiter,
    records_with_lines,
    swallowed,
    table_records,
)
from elman.stages import counted

# The suffix of a file name, and the column delimiter (None: detected from the header).
_TABLES = {".csv": None, ".tsv": "\t", ".tab": "\t"}
_JSON = (".jsonl", ".ndjson", ".json")
#: the suffixes of such files
SUFFIXES = (*_TABLES, *_JSON)


@dataclass(frozen=True)
class LabelledText:
    """A text and its label; the label is None if the file was read without labels."""

    text: str
    label: str | None


def read_labelled_texts(
    path: Path, *, text_column: str = "text", label_column: str = "label", labelled: bool = True
) -> list[LabelledText]:
    """Every text of a file or folder, with its label, in the order of the file.

    - ``.csv``, ``.tsv``: the first line names the columns.  A CSV may use "," or ";", a tab or "|".
      Double quotes enclose texts in a CSV.  In a TSV they do if every quote encloses a whole text;
      otherwise they are ordinary characters.
    - ``.jsonl`` (also ``.ndjson``, ``.json``): one object per line, or one array of objects.  A
      numeric label becomes a string, as written in the file.
    - a folder: one folder per label, one text file per text; sorted, without hidden files.

    ``labelled=False`` reads only the texts and ignores labels; the text files may then be in the
    folder itself.

    Raises ``DataError``, with the file and the line, for a file that is missing, empty or not
    UTF-8, a missing column or key, a row of the wrong length, bad JSON, an empty text or label.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "reviews.csv"
    ...     _ = path.write_text('text,label\\n"Warm, and funny.",good\\n')
    ...     read_labelled_texts(path)
    [LabelledText(text='Warm, and funny.', label='good')]
    """
    return values_or_error(
        text_rows(path, text_column=text_column, label_column=label_column, labelled=labelled)
    )


def text_rows(
    path: Path,
    *,
    text_column: str,
    label_column: str,
    labelled: bool,
    flags: tuple[str, str] = ("--text-column", "--label-column"),
) -> Iterator[Row[LabelledText] | Fault | Note]:
    """Rows, faults and notes in the order of the file; arguments as in `read_labelled_texts`.

    ``flags`` are the command-line flags that name the two columns, for messages.
    """
    if is_folder(path):
        yield from _folder_rows(path, labelled)
        return
    suffix = path.suffix.lower()
    if exists(path) and suffix not in SUFFIXES:
        message = (
            f'the suffix "{suffix}" is not a format of labelled texts; '
            "give a .csv, .tsv or .jsonl file, or a folder with a folder of text files per label."
        )
        yield Fault(Place(path), message)
        return
    text, faults = read_plain_text(path)
    yield from faults
    if not text:
        return
    yield from line_end_notes(path, text)
    columns = _Columns(text_column, label_column if labelled else None, flags)
    rows: Iterator[Row[LabelledText] | Fault | Note]
    if suffix in _TABLES:
        rows = _table_rows(path, text, columns, _TABLES[suffix])
    else:
        rows = _json_rows(path, text, columns)
    damaged = {fault.place.line for fault in faults}
    empty = True
    # an estimate of the rows: a cell may hold lines of its own
    for row in counted(rows, f"reading {path.name}", text.count("\n")):
        empty = empty and isinstance(row, Note)
        if not (isinstance(row, Row) and row.place.line in damaged):
            yield row
    if empty:
        yield Fault(Place(path), "there are no rows; give at least one text after the header.")


@dataclass(frozen=True)
class _Columns:
    text: str
    label: str | None  # None: only texts are read
    flags: tuple[str, str]

    def missing_from(self, there: list[str]) -> str | None:
        """The message for a column that does not occur exactly once; None if both do."""
        for name, option in zip((self.text, self.label), self.flags, strict=True):
            if name is None or there.count(name) == 1:
                continue
            names = ", ".join(f'"{other}"' for other in there) or "none"
            what = "no column" if name not in there else "more than one column"
            return f'there is {what} "{name}"; the columns are {names}; choose one with {option}.'
        return None

    def example(self, text: str, label: str | None) -> LabelledText | str:
        """The example, or a message about what is wrong with it."""
        if not text.strip():
            return f'the text (column "{self.text}") is empty; write one or remove the row.'
        if self.label is None:
            return LabelledText(text, None)
        if label is None or not label.strip():
            return f'the label (column "{self.label}") is empty; write one or remove the row.'
        return LabelledText(text, label.strip())


def _placed(place: Place, example: LabelledText | str) -> Row[LabelledText] | Fault:
    return Fault(place, example) if isinstance(example, str) else Row(place, example)


# CSV and TSV


def _table_rows(
    path: Path, text: str, columns: _Columns, delimiter: str | None
) -> Iterator[Row[LabelledText] | Fault | Note]:
    if delimiter is None:
        delimiter = named_delimiter(text) or _delimiter(text, columns)
    quoted = True
    if delimiter == "\t":
        quoted, notes = is_quoted(path, text)
        yield from notes
    records = list(table_records(path, text, delimiter, quoted=quoted))
    if not records:
        yield Fault(
            Place(path, 1), "there are no column names; the first line must name the columns."
        )
        return
    header = records[0]
    if isinstance(header, Fault):
        yield header
        return
    names = [name.strip(" \r\t" if quoted else ' \r\t"') for name in header.value]
    missing = columns.missing_from(names)
    if missing is not None:
        message = f"{missing.removesuffix('.')} (the first line must name the columns)."
        yield Fault(header.place, message)
        return
    at_text = names.index(columns.text)
    at_label = None if columns.label is None else names.index(columns.label)
    stray = _stray_quotes(text, records, delimiter, len(names), at_label) if quoted else {}
    for record in records[1:]:
        if isinstance(record, Fault):
            yield record
            continue
        cells = record.value
        while len(cells) > len(names) and not cells[-1].strip():
            cells = cells[:-1]
        if [cell.strip() for cell in cells] == names:
            yield Note(record.place, "the row repeats the column names; it is left out.")
        elif len(cells) != len(names):
            yield Fault(
                record.place,
                f"the header has {len(names)} columns but the row has {len(cells)}; "
                + (
                    f'put a text that contains "{delimiter}" or a line end in double quotes.'
                    if quoted
                    else "replace the tabs inside a text by spaces."
                ),
            )
        elif record.place.line in stray:
            yield Fault(record.place, stray[record.place.line])
        else:
            label = None if at_label is None else cells[at_label]
            yield _placed(record.place, columns.example(cells[at_text], label))


def _stray_quotes(
    text: str,
    records: Sequence[Row[list[str]] | Fault],
    delimiter: str,
    width: int,
    at_label: int | None,
) -> dict[int, str]:
    """The message for each record in which a stray quote swallows others, by its line.

    Lines inside a text count as rows if they have the right number of columns and a known label.
    """
    if at_label is None:
        return {}
    rows = [record for record in records if isinstance(record, Row)]
    if len(rows) < len(records):  # the csv module has already reported a quote
        return {}
    found: dict[int, str] = {}
    spans = list(records_with_lines(rows, lines_of(text)))[1:]
    labels = {row.value[at_label].strip() for row, inside in spans if len(inside) == 1
              and len(row.value) == width}  # fmt: skip
    for row, inside in spans:
        inner = swallowed(inside, delimiter, width)
        if row.place.line and sum(cells[at_label].strip() in labels for cells in inner) > 1:
            found[row.place.line] = (
                f"a double quote opens a text here that spans {len(inside)} lines, some of which "
                'look like rows; write a quote inside a quoted text twice (""), and put a text '
                "that starts with one in quotes."
            )
    return found


def _delimiter(text: str, columns: _Columns) -> str:
    """The delimiter of a CSV: the one with which the header has the requested columns.

    csv.Sniffer guesses from the texts, and is misled by their punctuation.
    """
    line = re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    headers = {d: [name.strip(' "') for name in line.split(d)] for d in (",", ";", "\t", "|")}
    for delimiter, names in headers.items():
        if columns.missing_from(names) is None:
            return delimiter
    return max(headers, key=lambda d: len(headers[d]))


# JSON


def _json_rows(path: Path, text: str, columns: _Columns) -> Iterator[Row[LabelledText] | Fault]:
    for record in json_records(path, text):
        if isinstance(record, Fault):
            yield record
        else:
            yield _placed(record.place, _json_example(record.value, columns))


def _json_example(row: Any, columns: _Columns) -> LabelledText | str:
    if not isinstance(row, tuple):
        return (
            f"this is a JSON {kind_of_json(row)}, but an object is expected for each text, such as "
            f'{{"{columns.text}": "...", "{columns.label or "label"}": "..."}}.'
        )
    missing = columns.missing_from([key for key, _ in row])
    if missing is not None:
        return missing
    values = dict(row)
    text = values[columns.text]
    if kind_of_json(text) != "string":
        return f'"{columns.text}" is a JSON {kind_of_json(text)}; it must be a string.'
    if columns.label is None:
        return columns.example(text, None) if _is_unicode(text) else _HALF_CHARACTER
    label = values[columns.label]
    if isinstance(label, (list, tuple)):
        return (
            f'"{columns.label}" is a JSON {kind_of_json(label)}; it must be a string or a number.'
        )
    if isinstance(label, bool):
        label = json.dumps(label)
    if not _is_unicode(text + (label or "")):
        return _HALF_CHARACTER
    return columns.example(text, label)


_HALF_CHARACTER = "an escape such as \\ud83d is half a character; write both halves or none."


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


# a folder for each label


def _folder_rows(path: Path, labelled: bool) -> Iterator[Row[LabelledText] | Fault]:
    inside = entries(path)
    files = [] if labelled else [entry for entry in inside if not is_folder(entry)]
    for folder in (entry for entry in inside if is_folder(entry)):
        texts = entries(folder)
        if labelled and not texts:
            yield Fault(Place(folder), "the folder of this label holds no text; fill or remove it.")
        files.extend(texts)
    if not files:
        expected = "a folder of text files for each label" if labelled else "text files"
        yield Fault(Place(path), f"there is no text in this folder; it must hold {expected}.")
    for file in counted(files, f"reading the texts of {path.name}"):
        text, faults = read_plain_text(file)
        yield from faults
        if not faults:
            label = file.parent.name if labelled else None
            yield Row(Place(file), LabelledText(text.strip(), label))
