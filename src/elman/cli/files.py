"""``elman new`` and ``elman check``: the files of a job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.shared import Json, console, print_json, task_of
from elman.errors import OptionError


def new(
    job: Annotated[str, typer.Argument(metavar="JOB")],
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
) -> None:
    """A folder with a few example files in the job's format, and a run file, ready to train."""
    from elman.files import write_whole
    from elman.tasks.run_file import run_file

    task = task_of(job)
    files = {**task.samples(), "run.toml": run_file(task)}
    for name in files:
        if (folder / name).exists():
            raise OptionError(
                f"{folder / name}: this file is there already, and it stays untouched; choose "
                "another folder."
            )
    for name, content in files.items():
        write_whole(folder / name, content)
    screen = console()
    # a folder of many files is one word
    screen.print(f"{folder}: {', '.join(dict.fromkeys([name.split('/')[0] for name in files]))}")
    screen.print(
        f"Next:  elman check {job} {folder / task.TRAIN_FILE}\n"
        f"       elman train {job} --run-file {folder / 'run.toml'} --max-minutes 1",
        soft_wrap=True,
    )


def check(
    job: Annotated[str, typer.Argument(metavar="JOB")],
    data: Annotated[Path, typer.Argument(metavar="DATA")],
    text_column: Annotated[str, typer.Option(help="The column with the text.")] = "text",
    label_column: Annotated[str, typer.Option(help="The column with the label.")] = "label",
    file_column: Annotated[str, typer.Option(help="The column with the film's file.")] = "file",
    audio_column: Annotated[
        str, typer.Option(help="The column with the recording's file.")
    ] = "audio",
    against: Annotated[
        Path | None, typer.Option(help="Data of another split: what is in both is a problem.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find what is wrong in the data before training does."""
    from elman.tasks.options import with_settings

    task = task_of(job)
    columns = {
        "text_column": text_column,
        "label_column": label_column,
        "file_column": file_column,
        "audio_column": audio_column,
    }
    options = with_settings(task.Options(), columns)
    report = task.check(data, options)
    if against is not None and not report.problems:
        from elman.tasks.leaks import leaks

        report = replace(report, problems=tuple(leaks(task, data, against, options)))
    if as_json:
        record = {
            "path": str(data),
            "problems": report.problems,
            "warnings": report.warnings,
            "facts": report.facts,
        }
        print_json(record)
    else:
        _show_report(report)
    if report.problems:
        raise typer.Exit(1)


def _show_report(report: Any) -> None:
    from rich.markup import escape

    screen = console()
    for name, value in report.facts.items():
        if isinstance(value, dict):
            value = ", ".join([f"{key} {number}" for key, number in value.items()])
        screen.print(f"[dim]{str(name).replace('_', ' ')}:[/] {escape(str(value))}")
    for warning in report.warnings:
        screen.print(f"[yellow]note:[/] {escape(warning)}", soft_wrap=True)
    for problem in report.problems:
        screen.print(f"[red]problem:[/] {escape(problem)}", soft_wrap=True)
    if not report.problems:
        screen.print("[green]ready to train[/]")
