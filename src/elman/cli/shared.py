"""What the commands share: finding a job, and where answers go."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.console import Console

from elman.errors import OptionError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def jobs() -> Iterable[str]:
    """The names of the jobs."""
    from elman.tasks import TASKS

    return TASKS


def task_of(name: str) -> Any:
    """The job of that name; ``OptionError`` when there is none."""
    from elman.tasks import TASKS

    if name not in TASKS:
        raise OptionError(f'there is no job "{name}"; there are {", ".join(TASKS)}.')
    return TASKS[name]


def print_json(record: object) -> None:
    """One JSON object on standard output, in escapes where its encoding is not Unicode."""
    unicode = (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    print(json.dumps(record, ensure_ascii=not unicode))


def console() -> Console:
    """Standard output; colours only on a terminal."""
    return Console(highlight=False, emoji=False)
