"""``elman new``: example files for a task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from elman.cli.shared import TaskName, console
from elman.errors import OptionError
from elman.tasks.registry import task_of


def new(
    task: TaskName,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to create.")],
) -> None:
    """Create a folder with example files and a run file for a task, ready to train."""
    from elman.files import refuse_name, write_whole
    from elman.tasks.run_file import run_file

    refuse_name(folder)
    found = task_of(task)
    files = {**found.samples(), "run.toml": run_file(found)}
    for name in files:
        if (folder / name).exists():
            raise OptionError(
                f"{folder / name}: this file already exists and is left untouched; choose another "
                "folder."
            )
    for name, content in files.items():
        write_whole(folder / name, content)
    screen = console()
    # show a folder of many files only once
    screen.print(f"{folder}: {', '.join(dict.fromkeys([name.split('/')[0] for name in files]))}")
    screen.print(
        f"Next:  elman check {task} {folder / found.train_file}\n"
        f"       elman train {task} --run-file {folder / 'run.toml'} --max-minutes 1",
        soft_wrap=True,
    )
