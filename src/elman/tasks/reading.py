"""Reading the examples of a task, with a warning that lists those left out."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from elman.data.faults import Row, Rows
from elman.errors import DataWarning
from elman.stages import stage
from elman.tasks.task import Task

_LISTED = 20


def read_rows(task: Task, path: Path, options: Any) -> Rows[Any]:
    """The rows of a data file; a ``DataWarning`` lists those that ``options.skip_bad`` leaves out.

    Otherwise raises ``DataError`` for the first fault, and always if no row is left.
    """
    with stage(f"reading {path.name}"):
        rows: list[Row[Any]] = task.read(path, options)
    skipped = rows.skipped if isinstance(rows, Rows) else ()
    if skipped:
        shown = [f"  {fault}" for fault in skipped[:_LISTED]]
        more = [f"  and {len(skipped) - _LISTED} more."] if skipped[_LISTED:] else []
        count = f"{len(skipped)} problem{'s' if len(skipped) > 1 else ''}"
        said = f"{path}: {count} left out (skip_bad), {len(rows)} examples read:"
        warnings.warn("\n".join([said, *shown, *more]), DataWarning, stacklevel=2)
    return Rows(rows, skipped)
