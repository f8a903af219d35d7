"""``elman demo``: the shipped models on the demo inputs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from elman.cli.shared import console
from elman.tasks.registry import TASKS, task_of


def demo(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TASK]...",
            help="Tasks to run. Default: all.",
            autocompletion=lambda: list(TASKS),
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for pictures and sound.")] = Path("elman-demo"),
) -> None:
    """Run the shipped models on the demo inputs."""
    from elman.tasks import load

    screen = console()
    written: list[Path] = []
    for name in tasks or TASKS:
        task = task_of(name)
        started = time.perf_counter()
        model = load(name)
        answers, files = model.answers_and_files(
            list(task.demo.values()), **task.demo_settings(out)
        )
        seconds = time.perf_counter() - started
        screen.print(f"[bold]{task.title}[/]")
        for said, answer in zip(task.demo, answers, strict=True):
            screen.print(f"  [dim]in [/] {said}", soft_wrap=True)
            shown = task.show(answer).replace("\n", "\n      ")
            screen.print(f"  [dim]out[/] {shown}", soft_wrap=True)
        written += files
        screen.print(f"  [dim]{seconds:.1f} s, including loading the model[/]\n")
    if written:
        screen.print("Files written:")
        for path in written:
            screen.print(f"  {path}", soft_wrap=True, markup=False)
