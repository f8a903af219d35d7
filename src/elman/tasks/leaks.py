"""Examples of one split that are in another: what makes a score look better than it is.

Two examples are the same if they share one of their ``Task.leak_keys``: the same words, the same
recording, or either sentence of a pair.
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
    there = {
        part: row.place for row in task.read(against, options) for part in task.leak_keys(row.value)
    }
    found = []
    for row in task.read(path, options):
        places = [there[part] for part in task.leak_keys(row.value) if part in there]
        if places:
            found.append(
                f"{row.place}: this example is in the other data too ({places[0]}); leave it out "
                "of one."
            )
    more = [f"and {len(found) - _SHOWN} more examples that are in both."] if found[_SHOWN:] else []
    return found[:_SHOWN] + more
