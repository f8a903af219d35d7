"""The inputs in a file, a folder or a stream, one after another, in constant memory.

Texts come from the lines of a text file, from a column of CSV, TSV, JSONL or Parquet, or from
standard input; every line is an input, blank ones too.  Files come from a folder or a manifest, and
sequences and tagged sentences from the files that the task reads itself.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from elman.data.sources import is_folder, why_not_a_file
from elman.errors import DataError
from elman.extras import extra
from elman.tasks.task import Task

#: column delimiters of CSV, and those of files that name their format
_CSV_DELIMITERS = (",", ";", "\t", "|")
_TABLES = {".csv": _CSV_DELIMITERS, ".tsv": ("\t",), ".tab": ("\t",)}
_JSON = (".jsonl", ".ndjson")
#: suffixes of text files whose lines are inputs; other suffixes are the task's own formats
_LINES = ("", ".txt", ".text", ".lst")
#: maximum length of a line in bytes; a longer one is no text
_LONGEST = 2**24


@dataclass(frozen=True)
class Entry:
    """An input and its number, from 1; ``error`` says what is wrong with it, if anything is.

    ``place`` is the file and the line or row in it; the number of the input if there are no lines.
    """

    number: int
    value: Any = None
    error: str = ""
    place: str = ""


class _Read(NamedTuple):
    """A value or what is wrong with it, and the line or row where it starts, if there are any."""

    value: Any = None
    error: str = ""
    line: int | None = None


class Source:
    """Where the inputs come from: iterate over it for the entries.

    ``read`` is the fraction that has been read, or None if the total is unknown.
    """

    def __init__(self, task: Task, options: Any, path: Path | None) -> None:
        self._task, self._options, self._path = task, options, path
        self._fraction: Callable[[], float] | None = None
        if path is not None and not is_folder(path):
            reason = why_not_a_file(path)
            if reason is not None:
                raise DataError(f"{path}: {reason}")

    @property
    def read(self) -> float | None:
        """The fraction of the inputs that has been read, from 0 to 1."""
        return None if self._fraction is None else min(1.0, self._fraction())

    def __iter__(self) -> Iterator[Entry]:
        """Yields the entries in order; ``DataError`` if the file has no inputs at all."""
        number = 0
        name = "standard input" if self._path is None else str(self._path)
        parquet = self._path is not None and self._path.suffix.lower() == ".parquet"
        unit = "row" if parquet else "line"
        for number, (value, error, line) in enumerate(self._values(), 1):
            place = f"input {number}" if line is None else f"{unit} {line}"
            yield Entry(number, value, error, f"{name}, {place}")
        if number == 0:
            raise DataError(f"{name}: there are no inputs; give at least one.")

    def _values(self) -> Iterator[_Read]:
        path = self._path
        if path is None:
            yield from self._texts(_lines(sys.stdin.buffer))
            return
        suffix = path.suffix.lower()
        if is_folder(path) or self._task.input_kind != "text":
            yield from self._own(path)
        elif suffix == ".parquet":
            yield from self._parquet(path)
        elif suffix in _TABLES or suffix in _JSON or suffix in _LINES:
            with self._open(path) as file:
                lines = _lines(file)
                if suffix in _TABLES:
                    yield from self._table(lines, _TABLES[suffix])
                elif suffix in _JSON:
                    yield from self._json(lines)
                else:
                    yield from self._texts(lines)
        else:
            yield from self._own(path)

    def _open(self, path: Path) -> AbstractContextManager[BinaryIO]:
        size = max(1, path.stat().st_size)
        file = path.open("rb")
        self._fraction = lambda: 1.0 if file.closed else file.tell() / size
        return file

    def _own(self, path: Path) -> Iterator[_Read]:
        """The inputs of a file or folder that the task reads itself."""
        values = self._task.read_inputs(path, self._options)
        done = 0
        self._fraction = lambda: done / max(1, len(values))
        for value in values:
            done += 1
            yield _Read(value)

    def _text(self, text: str, line: int) -> _Read:
        try:
            return _Read(self._task.as_input(text), "", line)
        except DataError as error:
            return _Read(None, str(error), line)

    def _texts(self, lines: Iterator[tuple[str, str]]) -> Iterator[_Read]:
        for number, (line, error) in enumerate(lines, 1):
            yield _Read(None, error, number) if error else self._text(line, number)

    # ---- columns

    @property
    def _column(self) -> str:
        return str(getattr(self._options, "text_column", "text"))

    def _table(
        self, lines: Iterator[tuple[str, str]], delimiters: tuple[str, ...]
    ) -> Iterator[_Read]:
        """The texts of a table; the first line names its columns."""
        wrong: dict[int, str] = {}
        size = 0
        header = next(lines, ("", ""))[0]
        skipped = 1
        if header.lower().startswith("sep=") and len(header) == 5:
            delimiters, header, skipped = (header[4],), next(lines, ("", ""))[0], 2
        delimiter = max(delimiters, key=header.count)
        names = next(csv.reader([header], delimiter=delimiter), [])
        names = [name.strip() for name in names]
        place = self._found(names)

        def texts() -> Iterator[str]:
            nonlocal size
            for number, (line, error) in enumerate(lines, 1):
                size += len(line) + 1
                if size > _LONGEST + 1:
                    raise self._never_closed(first)
                if error:
                    wrong[number] = error
                yield f"{line}\n"

        # in TSV, as in most corpora, a quote is an ordinary character
        csv.field_size_limit(2 * _LONGEST)  # a field is at most as long as its row
        if delimiter == "\t":
            records = csv.reader(texts(), delimiter=delimiter, quoting=csv.QUOTE_NONE)
        else:
            records = csv.reader(texts(), delimiter=delimiter, strict=True)
        while True:
            start, size = records.line_num, 0
            first = start + skipped + 1
            try:
                record = next(records)
            except StopIteration:
                return
            except csv.Error as error:
                if "end of data" in str(error):
                    raise self._never_closed(first) from error
                yield _Read(None, _why_not_a_row(error), first)
                continue
            finally:
                errors = [
                    wrong.pop(k) for k in range(start + 1, records.line_num + 1) if k in wrong
                ]
            if errors:
                yield _Read(None, errors[0], first)
            elif not record:
                yield self._text("", first)
            elif len(record) != len(names):
                columns = "1 column" if len(record) == 1 else f"{len(record)} columns"
                wanted = f"the row has {columns}, but the header has {len(names)}."
                yield _Read(None, wanted, first)
            else:
                yield self._text(record[place], first)

    def _never_closed(self, line: int) -> DataError:
        return DataError(
            f"{self._path}, line {line}: a text in double quotes that starts here is never closed; "
            'write a quote inside a quoted text twice ("").'
        )

    def _found(self, names: list[str]) -> int:
        if names.count(self._column) == 1:
            return names.index(self._column)
        shown = ", ".join([f'"{name}"' for name in names]) or "none"
        flag = "; choose one with --text-column" if hasattr(self._options, "text_column") else ""
        raise DataError(
            f'{self._path}: there is no column "{self._column}"; the columns are {shown}{flag}.'
        )

    def _json(self, lines: Iterator[tuple[str, str]]) -> Iterator[_Read]:
        """The texts of a file with a JSON object, or a string, on each line."""
        for number, (line, error) in enumerate(lines, 1):
            if error or not line.strip():
                yield _Read(None, error, number) if error else self._text("", number)
                continue
            try:
                found = json.loads(line)
            except (ValueError, RecursionError) as problem:
                yield _Read(None, f"the line is not JSON ({problem}).", number)
                continue
            text = found.get(self._column) if isinstance(found, dict) else found
            if isinstance(text, str):
                yield self._text(text, number)
            else:
                yield _Read(None, f'the line has no text under "{self._column}".', number)

    def _parquet(self, path: Path) -> Iterator[_Read]:
        with extra("parquet", "reading Parquet"):
            import pyarrow
            import pyarrow.parquet

        try:
            file = pyarrow.parquet.ParquetFile(path)
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{path}: the file is not Parquet ({_one_line(error)}).") from error
        with file:
            self._found(file.schema_arrow.names)
            rows, done = max(1, file.metadata.num_rows), 0
            self._fraction = lambda: done / rows
            try:
                for batch in file.iter_batches(1024, columns=[self._column]):
                    for value in batch.column(0).to_pylist():
                        done += 1
                        if value is None or isinstance(value, str):
                            yield self._text(value or "", done)
                        else:
                            why = f'"{self._column}" is {value!r}, which is no text.'
                            yield _Read(None, why, done)
            except (pyarrow.ArrowException, OSError) as error:
                raise DataError(f"{path}: the file is damaged ({_one_line(error)}).") from error


def _why_not_a_row(error: csv.Error) -> str:
    if "expected after" in str(error):
        return (
            "a text in double quotes that starts here continues after its end; write a quote "
            'inside a quoted text twice ("").'
        )
    return f"{_one_line(error)}."


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".")


def _lines(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """The lines of a file, each with what is wrong with it or ""."""
    first = True
    while raw := file.readline(_LONGEST + 1):
        if len(raw) > _LONGEST:
            yield "", f"the line is longer than {_LONGEST:,} bytes, so this is no text file."
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(_LONGEST)
            continue
        if first:
            raw, first = raw.removeprefix(b"\xef\xbb\xbf"), False
        raw = raw.removesuffix(b"\n").rstrip(b"\r")
        try:
            yield raw.decode("utf-8"), ""
        except UnicodeDecodeError as error:
            yield "", f"byte {error.start + 1} of the line is not UTF-8; save it as UTF-8."
