"""What the commands share: arguments, and where answers go."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console

from elman.tasks.registry import TASKS

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
TaskName = Annotated[
    str,
    typer.Argument(metavar="TASK", help="A task.", autocompletion=lambda: list(TASKS)),
]


def shipped_models() -> list[str]:
    """The names of shipped models, for the completion of a command line."""
    import elman.shipped

    return list(elman.shipped.models())


Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A run folder or a shipped model.", autocompletion=shipped_models
    ),
]


def print_json(record: object) -> None:
    """One JSON object on standard output, in escapes where its encoding is not Unicode."""
    unicode = (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    print(json.dumps(record, ensure_ascii=not unicode))


def console() -> Console:
    """Standard output; colours only on a terminal."""
    return Console(highlight=False, emoji=False)
