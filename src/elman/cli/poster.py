"""``elman demo``: the poster, live."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from elman.cli.shared import console, task_of


def demo(
    jobs: Annotated[list[str] | None, typer.Argument(metavar="[JOB]...")] = None,
    out: Annotated[Path, typer.Option(help="The folder for its pictures, tune and sound.")] = Path(
        "elman-demo"
    ),
) -> None:
    """The poster, live: shipped models on the poster's inputs."""
    from elman.tasks import TASKS, load

    screen = console()
    written = False
    for name in jobs or TASKS:
        task = task_of(name)
        started = time.perf_counter()
        model = load(name)
        settings = task.poster_settings(out)
        answers = model(list(task.POSTER.values()), **settings)
        seconds = time.perf_counter() - started
        screen.print(f"[bold]{task.TITLE}[/]")
        for said, answer in zip(task.POSTER, answers, strict=True):
            screen.print(f"  [dim]in [/] {said}", soft_wrap=True)
            shown = task.show(answer).replace("\n", "\n      ")
            screen.print(f"  [dim]out[/] {shown}", soft_wrap=True)
        written = written or bool(settings)
        screen.print(f"  [dim]{seconds:.1f} s, model loaded and asked[/]\n")
    if written:
        screen.print(f"Pictures, tune and sound are in {out}.", soft_wrap=True)
