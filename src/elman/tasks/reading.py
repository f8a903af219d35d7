"""Reading the examples of a task: files, patterns, URLs and tables, whole or a shard at a time.

``data/shards.py`` finds the shards; the task's own reader reads each of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from elman.data.excerpts import reading
from elman.data.faults import Fault, Row, Rows
from elman.data.remote import shown, url_of
from elman.data.shards import Source, index_source, is_collection, named_sources, whole
from elman.errors import DataError, DataWarning
from elman.stages import silently, stage
from elman.tasks.task import Task
from elman.training.processes import Processes

_LISTED = 20


def read_rows(task: Task, path: Path, options: Any) -> Rows[Any]:
    """The rows of a data file; a ``DataWarning`` lists those that ``options.skip_bad`` leaves out.

    Otherwise raises ``DataError`` for the first fault, and always if no row is left.
    """
    with stage(f"reading {path.name}"):
        if in_shards(task, path):
            rows = read_sources(task, index(task, path, options), options)
        else:
            found = task.read(path, options)
            rows = found if isinstance(found, Rows) else Rows(found)
    warn_of_skipped(path, rows.skipped, len(rows))
    return rows


def in_shards(task: Task, path: Path) -> bool:
    """Whether the data of a path are read in shards at any size.

    A Parquet file is not where its rows are no examples of the task, which reads it itself.
    """
    own = path.suffix.lower() in task.reads_whole and url_of(path) is None
    return is_collection(path) and not own


def warn_of_skipped(path: Path, skipped: Sequence[Fault], read: int) -> None:
    """List the faults that ``skip_bad`` leaves out in a ``DataWarning``."""
    if skipped:
        listed = [f"  {fault}" for fault in skipped[:_LISTED]]
        more = [f"  and {len(skipped) - _LISTED} more."] if skipped[_LISTED:] else []
        count = f"{len(skipped)} problem{'s' if len(skipped) > 1 else ''}"
        said = f"{shown(path)}: {count} left out (skip_bad), {read} examples read:"
        warnings.warn("\n".join([said, *listed, *more]), DataWarning, stacklevel=3)


def index(
    task: Task,
    path: Path,
    options: Any,
    *,
    per_shard: int = 1024,
    processes: Processes | None = None,
) -> list[Source]:
    """The sources that ``path`` names, with their shards; several processes share the work.

    Raises ``DataError`` for a file that cannot be read, in all processes.
    """
    number, count = (0, 1) if processes is None else (processes.number, processes.count)
    examples = partial(_count, task, options)
    found: list[Source] | DataError = []
    try:
        names = named_sources(path)
        found = [
            index_source(each, task.cuts, task.table_suffix, per_shard, examples)
            for each in names[number::count]
        ]
    except DataError as error:
        found = error
    parts = [found] if processes is None else processes.gather(found)
    for part in parts:
        if isinstance(part, DataError):
            raise part
    sources: list[Source] = [each for part in parts if isinstance(part, list) for each in part]
    sources.sort(key=lambda source: names.index(source.paths))
    if not any(len(source.shards) for source in sources):
        raise DataError(f"{shown(path)}: there are no examples; give at least one.")
    return sources


def _count(task: Task, options: Any, path: Path) -> int:
    """The number of examples in a file that is read whole."""
    with silently():
        rows = task.read(path, options)
    return len(task.cut([row.value for row in rows], options.longest))


def read_sources(task: Task, sources: Sequence[Source], options: Any) -> Rows[Any]:
    """All rows of the sources."""
    rows: list[Row[Any]] = []
    skipped: list[Fault] = []
    for source in sources:
        path, excerpts = whole(source, partial(_texts, task, options, source))
        with reading(excerpts):
            part = _rows(task, path, options)
        rows += part
        skipped += part.skipped
    return Rows(rows, skipped)


def read_shard(task: Task, source: Source, number: int, options: Any) -> Rows[Any]:
    """The rows of a shard, with their places in the file.  Silent, for use in a thread."""
    path, excerpts = source.read(number, partial(_texts, task, options, source))
    if excerpts and all([each.is_blank() for each in excerpts.values()]):
        return Rows()
    with silently(), reading(excerpts):
        return _rows(task, path, options)


def _texts(task: Task, options: Any, source: Source, records: Sequence[Any]) -> Sequence[str]:
    try:
        return task.table_texts(records, options)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{shown(source.paths[0])}: its rows cannot be read as examples of {task.name} "
            f"({error}); see the page on data formats."
        ) from error


def _rows(task: Task, path: Path, options: Any) -> Rows[Any]:
    """The rows that the task reads, with places that stay true after the excerpt is gone."""
    found = task.read(path, options)
    skipped = found.skipped if isinstance(found, Rows) else ()
    rows = [replace(row, place=row.place.in_file()) for row in found]
    return Rows(rows, [replace(fault, place=fault.place.in_file()) for fault in skipped])
