"""``elman evaluate``: the metrics of a trained model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.flags import file_flags, flags_of, given, with_flags
from elman.cli.shared import Json, Run, console, print_json
from elman.tasks.task import Task


def evaluate_command(task: Task | None) -> tuple[Callable[..., None], str]:
    """``elman evaluate`` with the flags of the run's task that affect its scores."""
    example = "elman evaluate runs/ner d/valid.conll --json"
    if task is None:
        return with_flags(evaluate, []), example
    kind = task.PredictOptions
    panel = f"Options of {task.name}"
    flags = [
        *flags_of(
            kind,
            vars(kind()),
            panel,
            only=lambda declared: bool(declared.metadata["scored"]),
            switches=True,
        ),
        *file_flags(task, panel),
    ]
    return with_flags(evaluate, flags), example


def evaluate(
    run: Run,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Labelled data.")],
    as_json: Json = False,
    **wanted: Any,
) -> None:
    """Compute the metrics of a trained model on labelled data.

    With a RUN, --help also lists the options of its task.
    """
    from elman.tasks import load

    scores = load(run).evaluate(data, **given(wanted))
    if as_json:
        print_json(scores)
    else:
        _show_scores(scores)


def _show_scores(scores: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False)
    for name, value in scores.items():
        if not isinstance(value, dict):
            table.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    console().print(table)
    for group in ("per_type", "per_strand"):
        for kind, each in scores.get(group, {}).items():
            console().print(
                f"  {kind}: " + ", ".join([f"{name} {value:.4f}" for name, value in each.items()])
            )
    for reason, count in scores.get("left_out", {}).items():
        console().print(f"  left out: {count} that {reason}", highlight=False)
