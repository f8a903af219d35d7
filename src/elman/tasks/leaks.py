"""Leaks: examples of one split that also occur in another, which inflates scores.

Two examples are the same if they share one of their ``Task.leak_keys``: the same words, the same
recording, or either sentence of a translation pair.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elman.tasks.task import Task

_SHOWN = 5


def leaks(task: Task, path: Path, against: Path, options: Any) -> list[str]:
    """A sentence for each example of ``path`` that also occurs in ``against``, for the first few.

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
                f"{row.place}: this example is also in the other data ({places[0]}); remove it "
                "from one."
            )
    more = [f"and {len(found) - _SHOWN} more examples that are in both."] if found[_SHOWN:] else []
    return found[:_SHOWN] + more
