"""The inputs in a file, a folder or a stream, one after another, in constant memory.

Texts come from the lines of a text file, from a column of CSV, TSV, JSONL or Parquet, or from
standard input; every line is an input, blank ones too.  A folder, a pattern or a URL stands for the
files that it names, one after another; of several, a file that is wrong as a whole is one entry.
Files come from a folder or a manifest, and sequences and tagged sentences from the files that the
task reads itself.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from elman.data.folders import files_below
from elman.data.remote import expanded, opened, shown, size_of, url_of
from elman.data.sources import exists, is_folder, why_not_a_file
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

    ``place`` is the file and the line or row in it; the number of the input if there are no lines;
    empty if nothing can be read in the file.
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


def is_pattern(path: Path) -> bool:
    """Whether a path names files by ``*``, ``?`` or ``[``."""
    return any(sign in str(path) for sign in "*?[") and not exists(path)


def files_of(task: Task, path: Path) -> list[Path]:
    """The files whose inputs a path stands for; itself if the task reads it as a whole.

    ``DataError`` if there are none.
    """
    if is_pattern(path):
        return expanded(path)
    if is_folder(path) and task.input_kind == "text":
        found = files_below(path)
        if not found:
            raise DataError(f"{path}: there are no files in this folder; give at least one.")
        return found
    return [path]


class Source:
    """Where the inputs come from: iterate over it for the entries.

    ``read`` is the fraction that has been read, or None if the total is unknown.
    """

    def __init__(self, task: Task, options: Any, path: Path | None) -> None:
        self._task, self._options, self._path = task, options, path
        self._fraction: Callable[[], float] | None = None
        self._done = 0
        self._files = [] if path is None else files_of(task, path)
        for file in self._files:
            if url_of(file) is not None:
                if task.input_kind != "text":
                    raise DataError(
                        f"{shown(file)}: {task.name} reads local files only; download it."
                    )
            elif not is_folder(file) and (reason := why_not_a_file(file)) is not None:
                raise DataError(f"{file}: {reason}")

    @property
    def read(self) -> float | None:
        """The fraction of the inputs that has been read, from 0 to 1."""
        if self._fraction is None:
            return None
        # the files count alike
        count = max(1, len(self._files))
        return min(1.0, (min(self._done, count - 1) + min(1.0, self._fraction())) / count)

    def __iter__(self) -> Iterator[Entry]:
        """Yields the entries in order; ``DataError`` if the file has no inputs at all."""
        number = 0
        paths: Sequence[Path | None] = self._files or [None]
        for path in paths:
            name = "standard input" if path is None else shown(path)
            unit = "row" if path is not None and path.suffix.lower() == ".parquet" else "line"
            try:
                for of_file, (value, error, line) in enumerate(self._values(path), 1):
                    number += 1
                    place = f"input {of_file}" if line is None else f"{unit} {line}"
                    yield Entry(number, value, error, f"{name}, {place}")
            except DataError as fault:
                # one of several files is wrong; a server may answer later, when a run is resumed
                if len(paths) == 1 or path is None or url_of(path) is not None:
                    raise
                number += 1
                yield Entry(number, error=str(fault))
            self._done += 1
        if number == 0:
            name = "standard input" if self._path is None else shown(self._path)
            raise DataError(f"{name}: there are no inputs; give at least one.")

    def _values(self, path: Path | None) -> Iterator[_Read]:
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
                    yield from self._table(path, lines, _TABLES[suffix])
                elif suffix in _JSON:
                    yield from self._json(lines)
                else:
                    yield from self._texts(lines)
        elif url_of(path) is not None:
            raise DataError(f"{shown(path)}: a file of this format must be local; download it.")
        else:
            yield from self._own(path)

    @contextmanager
    def _open(self, path: Path) -> Iterator[BinaryIO]:
        size = max(1, size_of(path))
        with opened(path) as file:
            self._fraction = lambda: 1.0 if file.closed else file.tell() / size
            yield file

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
        self, path: Path, lines: Iterator[tuple[str, str]], delimiters: tuple[str, ...]
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
        place = self._found(path, names)

        def texts() -> Iterator[str]:
            nonlocal size
            for number, (line, error) in enumerate(lines, 1):
                size += len(line) + 1
                if size > _LONGEST + 1:
                    raise _never_closed(path, first)
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
                    raise _never_closed(path, first) from error
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

    def _found(self, path: Path, names: list[str]) -> int:
        if not any(names):
            raise DataError(
                f"{shown(path)}: the first line is blank or missing; it must name the columns, one "
                f'of them "{self._column}", and each line after it has an input.'
            )
        if names.count(self._column) == 1:
            return names.index(self._column)
        columns = ", ".join([f'"{name}"' for name in names]) or "none"
        flag = "; choose one with --text-column" if hasattr(self._options, "text_column") else ""
        raise DataError(
            f'{shown(path)}: there is no column "{self._column}"; the columns are {columns}{flag}.'
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

        with opened(path) as raw:
            try:
                file = pyarrow.parquet.ParquetFile(raw)
            except (pyarrow.ArrowException, OSError) as error:
                why = _one_line(error)
                raise DataError(f"{shown(path)}: the file is not Parquet ({why}).") from error
            self._found(path, file.schema_arrow.names)
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
                raise DataError(
                    f"{shown(path)}: the file is damaged ({_one_line(error)})."
                ) from error


def _never_closed(path: Path, line: int) -> DataError:
    return DataError(
        f"{shown(path)}, line {line}: a text in double quotes that starts here is never closed; "
        'write a quote inside a quoted text twice ("").'
    )


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
