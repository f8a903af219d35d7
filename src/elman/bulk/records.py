"""Writes answers as CSV, JSONL or Parquet, by the suffix of the name, whole or not at all.

Answers first go to ``.NAME.partial``, one JSON object per line, so that an interrupted run can go
on.  When all are there, they are converted, and the file gets its name.
"""

from __future__ import annotations

import csv
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from elman.errors import OptionError, RunError
from elman.extras import extra

SUFFIXES = (".jsonl", ".csv", ".parquet")
_AT_ONCE = 4096


def partial_of(path: Path) -> Path:
    """Where the answers lie until all are there.

    >>> print(partial_of(Path("d/answers.csv")))
    d/.answers.csv.partial
    """
    return path.with_name(f".{path.name}.partial")


class Records:
    """The answers of a run over a file: add them one after another, then ``finish``.

    ``origin`` describes what the answers come from; a run resumes only with the same.  ``done`` is
    the number of answers that were there already; ``errors`` counts those that are errors, these
    included, and ``first_error`` is the first.
    """

    def __init__(self, path: Path, origin: Mapping[str, Any], *, resume: bool) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise OptionError(f"out is {path}; use a name that ends in {', '.join(SUFFIXES)}.")
        if path.suffix.lower() == ".parquet":
            _pyarrow()  # a missing package is reported now, not after hours
        if path.is_dir():
            raise OptionError(f"out is {path}, which is a folder; give the name of a file.")
        self.path, self.done = path, 0
        self.errors, self.first_error = 0, ""
        self._partial = partial_of(path)
        self._resumable = origin.get("input") != "standard input"
        self._origin = json.dumps(origin, sort_keys=True)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if resume and self._partial.exists():
                self.done = self._repair()
                self._file: TextIO = self._partial.open("a", encoding="utf-8", newline="")
            else:
                self._file = self._partial.open("w", encoding="utf-8", newline="")
                self._file.write(self._origin + "\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def _repair(self) -> int:
        """Removes a torn last line, counts the answers, and finds their errors."""
        end, lines = 0, 0
        with self._partial.open("rb+") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                if lines == 0 and line.decode("utf-8", "replace").strip() != self._origin:
                    raise OptionError(
                        f"{self._partial} has answers of another model, input, options or batch "
                        "size; omit --resume to begin anew."
                    )
                if lines and b'"error"' in line:
                    self._count([json.loads(line)])
                end, lines = end + len(line), lines + 1
            file.truncate(end)
            if lines == 0:
                file.write(self._origin.encode("utf-8") + b"\n")
        return max(0, lines - 1)

    def add(self, records: list[dict[str, Any]]) -> None:
        """Appends answers."""
        self._count(records)
        try:
            self._file.writelines([json.dumps(each, ensure_ascii=False) + "\n" for each in records])
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def _count(self, records: list[dict[str, Any]]) -> None:
        for each in records:
            if "error" in each:
                self.errors += 1
                self.first_error = self.first_error or each["error"]

    def close(self) -> None:
        """Leaves the answers so far where ``resume`` finds them."""
        self._file.close()

    def finish(self) -> None:
        """Writes the file under its name and removes the partial one."""
        self._file.close()
        temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(6)}.part")
        writers = {".jsonl": self._jsonl, ".csv": self._csv, ".parquet": self._parquet}
        try:
            writers[self.path.suffix.lower()](temporary)
            os.replace(temporary, self.path)
            self._partial.unlink()
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            temporary.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> RunError:
        hint = "free some space or choose another folder"
        if self._resumable:
            hint = f"answers so far are kept. F{hint[1:]}, and add --resume"
        return RunError(f"{self.path}: could not be written ({error.strerror or error}); {hint}.")

    # ---- formats

    def _lines(self) -> Iterator[str]:
        with self._partial.open(encoding="utf-8", newline="\n") as file:
            next(file)
            yield from file

    def _rows(self) -> Iterator[dict[str, Any]]:
        for line in self._lines():
            yield {name: _flat(value) for name, value in json.loads(line).items()}

    def _columns(self) -> dict[str, set[type]]:
        """The types of the values in each column, in order of first occurrence."""
        found: dict[str, set[type]] = {}
        for row in self._rows():
            for name, value in row.items():
                kinds = found.setdefault(name, set())
                if value is not None:
                    kinds.add(type(value))
        return found

    def _jsonl(self, path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(self._lines())

    def _csv(self, path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(self._columns()), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows())

    def _parquet(self, path: Path) -> None:
        pyarrow = _pyarrow()
        kinds = {
            int: pyarrow.int64(),
            float: pyarrow.float64(),
            bool: pyarrow.bool_(),
            str: pyarrow.string(),
        }
        schema = pyarrow.schema([
            (name, kinds[next(iter(found))] if len(found) == 1 else
             pyarrow.float64() if found == {int, float} else pyarrow.string())
            for name, found in self._columns().items()
        ])  # fmt: skip
        with pyarrow.parquet.ParquetWriter(path, schema) as writer:
            batch: list[dict[str, Any]] = []
            for row in self._rows():
                batch.append({n: _as(schema.field(n).type, v, pyarrow) for n, v in row.items()})
                if len(batch) == _AT_ONCE:
                    writer.write_batch(pyarrow.RecordBatch.from_pylist(batch, schema))
                    batch = []
            if batch:
                writer.write_batch(pyarrow.RecordBatch.from_pylist(batch, schema))


def _flat(value: Any) -> Any:
    """A value for a column: objects and lists become JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _as(kind: Any, value: Any, pyarrow: Any) -> Any:
    if value is None or kind != pyarrow.string():
        return value
    return value if isinstance(value, str) else json.dumps(value)


def _pyarrow() -> Any:
    with extra("parquet", "writing Parquet"):
        import pyarrow
        import pyarrow.parquet
    return pyarrow
