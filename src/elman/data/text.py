"""Texts with a label each: CSV, TSV, JSON Lines, or a folder of text files for each label.

This reads and checks files; it does not split texts into words (``words.py``) nor number the
labels.  Which format a file is in is told by the end of its name.
"""

import csv
import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from elman.data.faults import Fault, Place, Row, values_or_error
from elman.data.plain_text import read_plain_text
from elman.errors import DataError

# The end of a file's name, and what separates the columns (None: looked for in the header).
_TABLES = {".csv": None, ".tsv": "\t", ".tab": "\t"}
_JSON_LINES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class LabelledText:
    """A text and its label; the label is None where a file was read without."""

    text: str
    label: str | None


def read_labelled_texts(
    path: Path, *, text_column: str = "text", label_column: str = "label", labelled: bool = True
) -> list[LabelledText]:
    """Every text of a file or folder, with its label, in the order of the file.

    - ``.csv``, ``.tsv``: the first line names the columns.  A CSV may use "," or ";", a tab or "|".
    - ``.jsonl`` (also ``.ndjson``, ``.json``): an object a line.  A number as label becomes text.
    - a folder: a folder for each label, a text file for each text; sorted, hidden files left out.

    ``labelled=False`` takes the texts alone, whether there are labels or not; the text files may
    then lie in the folder itself.

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
) -> Iterator[Row[LabelledText] | Fault]:
    """Rows and faults in the order of the file; the arguments are `read_labelled_texts`'s.

    ``flags`` are what chooses the two columns on the command line, for the sentences.
    """
    if path.is_dir():
        yield from _folder_rows(path, labelled)
        return
    suffix = path.suffix.lower()
    if path.exists() and suffix not in _TABLES and suffix not in _JSON_LINES:
        message = (
            f'the name ends in "{suffix}", which is no format of labelled texts; '
            "give a .csv, .tsv or .jsonl file, or a folder with a folder of text files per label."
        )
        yield Fault(Place(path), message)
        return
    text, faults = read_plain_text(path)
    yield from faults
    if not text:
        return
    columns = _Columns(text_column, label_column if labelled else None, flags)
    if suffix in _TABLES:
        rows = _table_rows(path, text, columns, _TABLES[suffix])
    else:
        rows = _json_rows(path, text, columns)
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        yield Fault(Place(path), "there are no rows; give at least one text after the header.")


@dataclass(frozen=True)
class _Columns:
    text: str
    label: str | None  # None: texts alone are wanted
    flags: tuple[str, str]

    def missing_from(self, there: list[str]) -> str | None:
        """The sentence for a column that is not there once; None if all is well."""
        for name, option in zip((self.text, self.label), self.flags, strict=True):
            if name is None or there.count(name) == 1:
                continue
            names = ", ".join(f'"{other}"' for other in there) or "none"
            what = "no column" if name not in there else "more than one column"
            return (
                f'there is {what} "{name}"; those that are there: {names}; '
                f"choose one with {option}."
            )
        return None

    def example(self, text: str, label: str | None) -> LabelledText | str:
        """The example, or the sentence that says what is wrong with it."""
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
) -> Iterator[Row[LabelledText] | Fault]:
    if delimiter is None:
        delimiter = _delimiter(text, columns)
    quoted = delimiter != "\t" or _is_quoted(text)
    records = _records(path, text, delimiter, quoted)
    header = next(records)
    if isinstance(header, Fault):
        yield header
        return
    names = [name.strip() for name in header.value]
    missing = columns.missing_from(names)
    if missing is not None:
        message = f"{missing.removesuffix('.')} (the first line is to name the columns)."
        yield Fault(header.place, message)
        return
    at_text = names.index(columns.text)
    at_label = None if columns.label is None else names.index(columns.label)
    for record in records:
        if isinstance(record, Fault):
            yield record
        elif len(record.value) != len(names):
            yield Fault(
                record.place,
                f"the header names {len(names)} columns and the row has {len(record.value)}; "
                + (
                    f'put a text that holds "{delimiter}" or a line end in double quotes.'
                    if quoted
                    else "replace the tabs inside a text by blanks."
                ),
            )
        else:
            label = None if at_label is None else record.value[at_label]
            yield _placed(record.place, columns.example(record.value[at_text], label))


def _records(
    path: Path, text: str, delimiter: str, quoted: bool
) -> Iterator[Row[list[str]] | Fault]:
    """The records of a table, each with the line on which it starts; blank lines are left out."""
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        skipinitialspace=delimiter != "\t",  # people write: good, "warm, and funny"
        strict=True,
    )
    while True:
        place = Place(path, reader.line_num + 1)
        try:
            with _fields_of_any_length():
                record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            why = "is never closed" if "end of data" in str(error) else "goes on after its end"
            yield Fault(
                place,
                f"a text in double quotes that starts here {why}; "
                'write a quote inside a quoted text twice ("").',
            )
            continue
        if record:
            yield Row(place, record)


@contextmanager
def _fields_of_any_length() -> Iterator[None]:
    # The csv module refuses fields over 131,072 characters; the limit is one for the process.
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _delimiter(text: str, columns: _Columns) -> str:
    """What separates the columns of a CSV: that which makes the header name the wanted ones.

    csv.Sniffer guesses from the texts, and is led astray by their punctuation.
    """
    line = re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    headers = {d: [name.strip(' "') for name in line.split(d)] for d in (",", ";", "\t", "|")}
    for delimiter, names in headers.items():
        if columns.missing_from(names) is None:
            return delimiter
    return max(headers, key=lambda d: len(headers[d]))


def _is_quoted(text: str) -> bool:
    """Whether double quotes in a TSV enclose texts, as pandas writes them, or are plain signs.

    Both kinds are common.  They enclose if the file then falls into rows of one length.
    """
    if '"' not in text:
        return False
    lengths = {
        None if isinstance(record, Fault) else len(record.value)
        for record in _records(Path(), text, "\t", quoted=True)
    }
    return len(lengths) == 1 and None not in lengths


# JSON Lines


def _json_rows(path: Path, text: str, columns: _Columns) -> Iterator[Row[LabelledText] | Fault]:
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        if line.strip():
            yield _placed(Place(path, number), _json_example(line, columns))


def _json_example(line: str, columns: _Columns) -> LabelledText | str:
    try:
        row = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        why = str(error)
        if isinstance(error, json.JSONDecodeError):
            why = f"{error.msg.removesuffix(' at')} at character {error.colno}"
        return f"this is not JSON ({why}); write one object a line."
    if not isinstance(row, dict):
        return (
            f"a JSON {_kind(row)} came where an object was expected; write a line for each text, "
            f'such as {{"{columns.text}": "...", "{columns.label or "label"}": "..."}}.'
        )
    missing = columns.missing_from(list(row))
    if missing is not None:
        return missing
    text = row[columns.text]
    if not isinstance(text, str):
        return f'"{columns.text}" is a JSON {_kind(text)}; a text is a string.'
    if columns.label is None:
        return columns.example(text, None) if _is_unicode(text) else _HALF_CHARACTER
    label = row[columns.label]
    if isinstance(label, (list, dict)):
        return f'"{columns.label}" is a JSON {_kind(label)}; a label is a string or a number.'
    if label is not None and not isinstance(label, str):
        label = json.dumps(label)  # 1, 0.5, true as they stand in the file
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


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not of JSON")


def _kind(value: object) -> str:
    kinds = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")


# a folder for each label


def _folder_rows(path: Path, labelled: bool) -> Iterator[Row[LabelledText] | Fault]:
    entries = _visible(path)
    files = [] if labelled else [entry for entry in entries if not entry.is_dir()]
    for folder in (entry for entry in entries if entry.is_dir()):
        texts = _visible(folder)
        if labelled and not texts:
            yield Fault(Place(folder), "the folder of this label holds no text; fill or remove it.")
        files.extend(texts)
    if not files:
        expected = "a folder of text files for each label" if labelled else "text files"
        yield Fault(Place(path), f"there is no text in this folder; it is to hold {expected}.")
    for file in files:
        text, faults = read_plain_text(file)
        yield from faults
        if not faults:
            label = file.parent.name if labelled else None
            yield Row(Place(file), LabelledText(text.strip(), label))


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"{folder}: the folder cannot be read ({reason}); check its rights."
        ) from error
