"""Examples of one split that are in another: what makes a score look better than it is.

Two examples are the same if the job would never part them between training and validation
(``Task.group``): the same words, the same recording, the same source sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elman.tasks.task import Task

_SHOWN = 5


def leaks(task: Task, path: Path, against: Path, options: Any) -> list[str]:
    """A sentence for each example of ``path`` that is in ``against`` too, at most a few.

    Raises ``DataError`` for data that cannot be read.
    """
    there = {task.group(row.value): row.place for row in task.read(against, options)}
    found = [
        f"{row.place}: this example is in the other data too ({there[group]}); leave it out of one."
        for row in task.read(path, options)
        if (group := task.group(row.value)) in there
    ]
    more = [f"and {len(found) - _SHOWN} more examples that are in both."] if found[_SHOWN:] else []
    return found[:_SHOWN] + more
