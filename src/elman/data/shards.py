"""Shards: data files of any size, cut into parts that fit into memory.

One pass over the files, in bounded memory, finds where records end (``index_source``).  A shard is
a range of bytes with a bounded number of records, a row group of Parquet, or a range of rows of a
Hugging Face data set on disk; a file of a format that cannot be cut is one shard.  ``Source.read``
returns a shard as an excerpt, which the reader of the task reads like a file.
"""

from __future__ import annotations

import csv
import hashlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from elman.data.excerpts import Excerpt
from elman.data.remote import expanded, opened, read_range, shown, size_of, url_of
from elman.data.sources import data_files, exists, is_folder, why_not_a_file
from elman.data.tables import fields_of_any_length, is_enclosed, named_delimiter
from elman.errors import DataError
from elman.extras import extra

#: how a format is cut: at each line, at each line of JSON, at rows of a table with a header (with
#: quotes or tabs), or at empty lines
Cut = Literal["lines", "json", "csv", "tsv", "blocks"]
#: the text of each row of a table, with its line ends, for the reader of the task
RowTexts = Callable[[Sequence[Mapping[str, Any]]], Sequence[str]]

_AT_ONCE = 2**22
#: maximum bytes of a record; more is no text, or a quote that is never closed
_LONGEST = 2**24
#: a shard of long records ends after so many bytes
_SHARD_BYTES = 2**25
_BOM = b"\xef\xbb\xbf"
_CSV_DELIMITERS = (b",", b";", b"\t", b"|")
#: the columns of ``Source.shards``
FIRST, RECORDS, START, END = range(4)


@dataclass(frozen=True)
class Source:
    """A file, or two that are aligned line by line, with its shards.

    ``shards`` has a row per shard: its first line or row, its number of records, and where it
    starts and ends in each file; for tables, the row group, or the rows.  ``head`` is repeated
    before each shard.
    """

    paths: tuple[Path, ...]
    kind: Literal["text", "parquet", "arrow", "whole"]
    size: int
    shards: npt.NDArray[np.int64]
    head: bytes = b""
    quoted: bool | None = None
    #: the suffix under which the rows of a table are read as text
    suffix: str = ""
    check: str = field(default="", repr=False)

    def read(self, number: int, texts: RowTexts | None) -> tuple[Path, dict[Path, Excerpt]]:
        """The path that stands for a shard, and the excerpts that are read under it."""
        row = self.shards[number].tolist()
        if self.kind == "whole":
            return self.paths[0], {}
        if self.kind == "text":
            excerpts = {
                path: Excerpt(
                    self.head + read_range(path, row[START + 2 * k], row[END + 2 * k]),
                    shown(path),
                    first=row[FIRST],
                    head=self.head.count(b"\n"),
                    quoted=self.quoted,
                )
                for k, path in enumerate(self.paths)
            }
            path = self.paths[0]
            if len(self.paths) == 2:
                path = Path(",".join([str(each) for each in self.paths]))
            return path, excerpts
        assert texts is not None
        return _as_text(self, texts(_table_rows(self.paths[0], self.kind, row)), row[FIRST])


def is_collection(path: Path) -> bool:
    """Whether a path names data that are read in shards at any size.

    That is a pattern such as ``data/*.jsonl``, a URL, a Parquet file, or a Hugging Face data set
    that ``save_to_disk`` has written.

    >>> is_collection(Path("data/*.jsonl")), is_collection(Path("s3://b/a.csv"))
    (True, True)
    >>> is_collection(Path("train.csv"))
    False
    """
    if url_of(path) is not None or path.suffix.lower() == ".parquet":
        return True
    if is_folder(path):
        return _is_arrow(path)
    return any(sign in str(path) for sign in "*?[") and not exists(path)


def _is_arrow(folder: Path) -> bool:
    return (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()


def named_sources(path: Path) -> list[tuple[Path, ...]]:
    """The files that a path names; pairs for two patterns or files separated by a comma."""
    if url_of(path) is not None or exists(path):
        return [(each,) for each in expanded(path)]
    sides = [expanded(each) for each in data_files(path)]
    if len(sides) == 2 and len(sides[0]) != len(sides[1]):
        raise DataError(
            f"{path}: the first pattern names {len(sides[0])} files and the second "
            f"{len(sides[1])}; each file needs the one with its translations."
        )
    return list(zip(*sides, strict=True))


def index_source(
    paths: tuple[Path, ...],
    cuts: Mapping[str, Cut],
    table_suffix: str,
    per_shard: int,
    count: Callable[[Path], int],
) -> Source:
    """Find the shards of a file, of up to ``per_shard`` records each.

    ``cuts`` says how formats are cut, by suffix; the suffix "" stands for all others.  ``count``
    counts the examples of a file that cannot be cut.

    Raises ``DataError`` for a file that cannot be read.
    """
    path = paths[0]
    if is_folder(path) and _is_arrow(path):
        return _index_arrow(path, table_suffix, per_shard)
    for each in paths:
        reason = why_not_a_file(each) if url_of(each) is None and not is_folder(each) else None
        if reason is not None:
            raise DataError(f"{each}: {reason}")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _index_parquet(path, table_suffix)
    cut = None if is_folder(path) else cuts.get(suffix, cuts.get(""))
    if cut is not None:
        source = _index_text(paths, cut, per_shard)
        if source is not None:
            return source
    if url_of(path) is not None:
        raise DataError(
            f"{shown(path)}: a file of this format is read whole, which needs a local file; "
            "download it."
        )
    shards = np.array([[1, count(path), 0, 0]], np.int64)
    size = 0 if is_folder(path) else size_of(path)
    return Source(paths, "whole", size, shards, check=_check(path, shards))


def whole(source: Source, texts: RowTexts | None) -> tuple[Path, dict[Path, Excerpt]]:
    """The path that stands for all of a source, and the excerpts that are read under it."""
    if source.kind in ("parquet", "arrow"):
        assert texts is not None
        rows = source.shards.tolist()
        records = [each for row in rows for each in _table_rows(source.paths[0], source.kind, row)]
        return _as_text(source, texts(records), 1)
    path = source.paths[0]
    if len(source.paths) == 2:
        return Path(",".join([str(each) for each in source.paths])), {}
    if url_of(path) is None:
        return path, {}
    content = read_range(path, 0, source.size)
    return path, {path: Excerpt(content, shown(path), first=1)}


def _as_text(
    source: Source, written: Sequence[str], first: int
) -> tuple[Path, dict[Path, Excerpt]]:
    """The rows of a table, written as text from row ``first`` on."""
    numbers = [first + k for k, text in enumerate(written) for _ in range(text.count("\n"))]
    content = "".join(written).encode("utf-8", "surrogatepass")
    path = Path(f"{source.paths[0]}{source.suffix}")
    name = shown(source.paths[0])
    excerpt = Excerpt(content, name, first, unit="row", quoted=False, numbers=numbers)
    return path, {path: excerpt}


def fingerprint(sources: Sequence[Source]) -> str:
    """A hash of the names, the sizes and the shards of the sources, and of parts of their contents.

    Unlike a hash of the files, it needs no further pass over them.
    """
    digest = hashlib.sha256()
    for source in sources:
        names = [path.name for path in source.paths]
        digest.update(repr((names, source.kind, source.size, source.check)).encode())
        digest.update(source.shards.tobytes())
    return digest.hexdigest()


def file_digests(path: Path, sources: Sequence[Source]) -> dict[str, str]:
    """A short hash of each source by its name, which begins where the pattern ``path`` does.

    >>> [source] = [Source((Path("d/a/0.csv"),), "text", 9, np.zeros((1, 4), np.int64))]
    >>> list(file_digests(Path("d/*/*.csv"), [source]))
    ['a/0.csv']
    """
    sides = [path] if len(sources[0].paths) == 1 else data_files(path)
    beginnings = [_beginning(shown(side)) for side in sides]
    return {
        ",".join(
            [
                shown(each).removeprefix(beginning)
                for each, beginning in zip(source.paths, beginnings, strict=True)
            ]
        ): fingerprint([source])[:16]
        for source in sources
    }


def _beginning(pattern: str) -> str:
    """The folders before the first sign of a pattern, with the last slash."""
    first = min([pattern.find(sign) for sign in "*?[" if sign in pattern], default=len(pattern))
    return pattern[: pattern.rfind("/", 0, first) + 1]


# ---- text


def _index_text(paths: tuple[Path, ...], cut: Cut, per_shard: int) -> Source | None:
    """The shards of text files; None if the format of this file cannot be cut."""
    scans = []
    for path in paths:
        with opened(path) as file:
            scan = _Scan(path, file, cut, per_shard)
            if not scan.run():
                return None
        scans.append(scan)
    first = scans[0]
    if len(scans) == 2 and first.lines != scans[1].lines:
        raise DataError(
            f"{shown(paths[1])}: it has {scans[1].lines} lines, but {paths[0].name} has "
            f"{first.lines}; each line must be the translation of the same line there."
        )
    shards = np.concatenate([first.table(), *[scan.table()[:, START:] for scan in scans[1:]]], 1)
    quoted = None if cut not in ("lines", "tsv") or len(scans) == 2 else first.quoted
    check = "".join([_check(path, scan.table()) for path, scan in zip(paths, scans, strict=True)])
    size = sum([size_of(path) for path in paths])
    return Source(paths, "text", size, shards, first.head, quoted, check=check)


def _check(path: Path, shards: npt.NDArray[np.int64]) -> str:
    """A hash of the first bytes of up to 64 shards."""
    digest = hashlib.sha256()
    if not is_folder(path):
        size = size_of(path)
        for k in np.unique(np.linspace(0, len(shards) - 1, 64).astype(int)):
            start = int(shards[k, START])
            digest.update(read_range(path, start, min(start + 256, size)))
    return digest.hexdigest()


class _Scan:
    """The pass over one text file: ``run`` it, then read the results."""

    def __init__(self, path: Path, file: BinaryIO, cut: Cut, per_shard: int) -> None:
        self.path, self.file, self.cut, self.per_shard = path, file, cut, per_shard
        self.head, self.lines = b"", 0
        self._quotes = self._doubled = False
        self._enclosed = True
        #: rows of four numbers: a large file has a hundred thousand of them
        self._rows = array("q")

    @property
    def quoted(self) -> bool:
        """Whether double quotes enclose the fields of a table with tabs."""
        return self._quotes and self._enclosed and (self._doubled or self.cut == "tsv")

    def table(self) -> npt.NDArray[np.int64]:
        return np.array(self._rows, np.int64).reshape(-1, 4)

    def _end_shard(self, first: int, records: int, start: int, end: int) -> None:
        self._rows.extend((first, records, start, end))

    def run(self) -> bool:
        """Whether the file can be cut; then the results are there."""
        first = self.file.read(_AT_ONCE)
        if first.startswith((b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b")):
            raise DataError(
                f"{shown(self.path)}: the file is not UTF-8 text; unpack or convert it."
            )
        if b"\n" not in first and (b"\r" in first or len(first) < _AT_ONCE):
            return False  # one line, or line ends of an old Mac
        start = len(_BOM) if first.startswith(_BOM) else 0
        if self.cut == "json":
            if first[start:].lstrip().startswith(b"["):
                return False
            self._at_line_feeds(start)
            return True
        self.file.seek(start)
        if self.cut in ("csv", "tsv"):
            start += self._read_head()
        self._group(self._steps(), start)
        return True

    def _at_line_feeds(self, start: int) -> None:
        """Cut after every ``per_shard`` lines; fast, as only line feeds are looked at."""
        self.file.seek(start)
        at, lines, begin, before = start, 0, start, 0
        while chunk := self.file.read(_AT_ONCE):
            ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == 10)
            for k in range(before + self.per_shard - lines - 1, len(ends), self.per_shard):
                end = at + int(ends[k]) + 1
                self._end_shard(before + 1, self.per_shard, begin, end)
                begin, before = end, before + self.per_shard
            lines += len(ends)
            at += len(chunk)
        if at > begin:
            self._end_shard(before + 1, max(1, lines - before), begin, at)
        self.lines = lines

    def _group(self, steps: Iterator[tuple[int, int, int]], start: int) -> None:
        """Group steps of (bytes, lines, records) into shards."""
        at = begin = start
        line = before = self.head.count(b"\n")
        records = 0
        for size, lines, found in steps:
            at += size
            line += lines
            records += found
            if records >= self.per_shard or at - begin >= _SHARD_BYTES:
                if records:
                    self._end_shard(before + 1, records, begin, at)
                begin, before, records = at, line, 0
        if records:
            self._end_shard(before + 1, records, begin, at)
        elif self._rows:  # blank lines or comments at the end
            self._rows[-1] = at
        self.lines = line

    def _read(self) -> Iterator[bytes]:
        number = self.head.count(b"\n")
        for line in iter(partial(self.file.readline, _LONGEST + 1), b""):
            number += 1
            if len(line) > _LONGEST:
                raise DataError(
                    f"{shown(self.path)}, line {number}: the line is longer than {_LONGEST:,} "
                    "bytes, so this is no text file."
                )
            yield line

    def _read_head(self) -> int:
        """Read the names of the columns, and a line such as ``sep=;`` before them."""
        lines: list[bytes] = []
        delimiter = b""
        for line in self._read():
            lines.append(line)
            named = named_delimiter(line.decode("utf-8", "replace")) if len(lines) == 1 else None
            if named is not None:
                delimiter = named.encode()
            elif line.strip():
                break
        self.head = b"".join(lines)
        if lines and not self.head.endswith(b"\n"):
            self.head += b"\n"
        last = lines[-1] if lines else b""
        self._delimiter = (delimiter or max(_CSV_DELIMITERS, key=last.count)).decode()
        self._width = len(last.split(b"\t"))
        if self.cut == "csv" and self._delimiter == "\t":
            self.cut = "tsv"
        if self.cut == "tsv" and b'"' in last:
            self._look_at_quotes(last)
        return sum([len(line) for line in lines])

    def _steps(self) -> Iterator[tuple[int, int, int]]:
        if self.cut == "csv":
            return self._csv_steps()
        return self._block_steps() if self.cut == "blocks" else self._line_steps()

    def _line_steps(self) -> Iterator[tuple[int, int, int]]:
        width = 0 if self.cut == "lines" else self._width
        for line in self._read():
            if b'"' in line:
                if not width:
                    self._width = width = len(line.split(b"\t"))
                self._look_at_quotes(line)
            elif not width and line.strip():
                self._width = width = len(line.split(b"\t"))
            # a blank line counts here too: two aligned files have the same shards
            yield len(line), 1, 1

    def _look_at_quotes(self, line: bytes) -> None:
        self._quotes = True
        self._doubled = self._doubled or b'""' in line
        if self._enclosed:
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            self._enclosed = is_enclosed(text.split("\t"), self._width)

    def _block_steps(self) -> Iterator[tuple[int, int, int]]:
        size = lines = 0
        words = False
        for line in self._read():
            size += len(line)
            lines += 1
            if line.strip():
                words = words or not line.startswith((b"-DOCSTART-", b"# "))
            elif words or size >= _AT_ONCE:
                yield size, lines, int(words)
                size, lines, words = 0, 0, False
        if size:
            yield size, lines, int(words)

    def _csv_steps(self) -> Iterator[tuple[int, int, int]]:
        following = self._read()
        pulled: list[bytes] = []

        def pull(first: bytes) -> Iterator[str]:
            size = 0
            for line in chain([first], following):
                size += len(line)
                if size > _LONGEST:
                    raise DataError(
                        f"{shown(self.path)}: a text in double quotes is longer than "
                        f"{_LONGEST:,} bytes; it starts with {first[:60]!r}, where a quote is "
                        'not closed; write a quote inside a quoted text twice ("").'
                    )
                pulled.append(line)
                yield line.decode("latin-1").rstrip("\r\n").replace("\r", " ") + "\n"

        blank_first = self._delimiter != "\t"
        with fields_of_any_length():
            for line in following:
                if b'"' not in line:
                    yield len(line), 1, int(bool(line.strip()))
                    continue
                pulled.clear()
                reader = csv.reader(
                    pull(line), delimiter=self._delimiter, skipinitialspace=blank_first, strict=True
                )
                # the reader of the task says what is wrong with a record
                with suppress(csv.Error, StopIteration):
                    next(reader)
                yield sum([len(each) for each in pulled]), len(pulled), 1


# ---- tables


def _index_parquet(path: Path, suffix: str) -> Source:
    with opened(path) as file:
        groups = _parquet(path, file).metadata
        counts = [groups.row_group(k).num_rows for k in range(groups.num_row_groups)]
    firsts = np.cumsum([0, *counts[:-1]])
    rows = [(int(f) + 1, n, k, 0) for k, (f, n) in enumerate(zip(firsts, counts, strict=True)) if n]
    shards = np.array(rows, np.int64).reshape(-1, 4)
    return Source(
        (path,), "parquet", size_of(path), shards, suffix=suffix, check=_check(path, shards)
    )


def _parquet(path: Path, file: BinaryIO) -> Any:
    with extra("parquet", "reading Parquet"):
        import pyarrow
        import pyarrow.parquet
    try:
        return pyarrow.parquet.ParquetFile(file)
    except (pyarrow.ArrowException, OSError) as error:
        why = " ".join(str(error).split())[:200].rstrip(".")
        raise DataError(f"{shown(path)}: the file is not Parquet ({why}).") from error


def _index_arrow(folder: Path, suffix: str, per_shard: int) -> Source:
    data = _arrow(folder)
    starts = np.arange(0, len(data), per_shard, dtype=np.int64)
    ends = np.minimum(starts + per_shard, len(data))
    shards = np.stack([starts + 1, ends - starts, starts, ends], 1)
    return Source((folder,), "arrow", len(data), shards, suffix=suffix, check=data._fingerprint)


@lru_cache(maxsize=4)
def _arrow(folder: Path) -> Any:
    with extra("datasets", "reading a Hugging Face data set"):
        import datasets
    try:
        return datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        why = " ".join(str(error).split())[:200].rstrip(".")
        raise DataError(f"{folder}: the data set cannot be read ({why}); save it again.") from error


def _table_rows(path: Path, kind: str, row: Sequence[int]) -> list[dict[str, Any]]:
    if kind == "parquet":
        with opened(path) as file:
            table = _parquet(path, file)
            rows: list[dict[str, Any]] = table.read_row_group(row[START]).to_pylist()
        return rows
    part = _arrow(path)[row[START] : row[END]]
    named = {name: _named(column, part[name]) for name, column in _arrow(path).features.items()}
    return [dict(zip(named, values, strict=True)) for values in zip(*named.values(), strict=True)]


def _named(feature: Any, values: Any) -> Any:
    """Values of a column, labels as their names instead of their numbers."""
    if hasattr(feature, "int2str"):
        return [None if each is None else feature.int2str(each) for each in values]
    inner: Any = getattr(feature, "feature", None)
    if hasattr(inner, "int2str"):
        return [[inner.int2str(each) for each in row] for row in values]
    return values
