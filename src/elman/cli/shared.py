"""Arguments that commands share, and where results are printed."""

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
    typer.Argument(metavar="TASK", help="The name of a task.", autocompletion=lambda: list(TASKS)),
]


def shipped_models() -> list[str]:
    """The names of shipped models, for shell completion."""
    import elman.shipped

    return list(elman.shipped.models())


Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A run folder or a shipped model.", autocompletion=shipped_models
    ),
]


def print_json(record: object) -> None:
    """Print one JSON object; use escapes if the output encoding is not Unicode."""
    unicode = (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    print(json.dumps(record, ensure_ascii=not unicode))


def console() -> Console:
    """Standard output; colours only on a terminal."""
    return Console(highlight=False, emoji=False)
