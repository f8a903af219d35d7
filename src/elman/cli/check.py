"""``elman check TASK``: find problems in the data before training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from elman.cli.flags import assignments, flags_of, given, with_flags
from elman.cli.shared import Json, console, print_json
from elman.options import refuse_unknown, with_settings
from elman.tasks.task import Task
from elman.training import LoopOptions

#: how keys of statistics are shown
_NAMES = {"percentile_95": "95th percentile"}


def check_command(task: Task) -> tuple[Callable[..., None], str]:
    """``elman check`` of a task, with flags for the options that affect how data are read."""
    flags = flags_of(
        task.Options,
        vars(task.Options()),
        f"Options of {task.name}",
        only=lambda declared: bool(declared.metadata["reads_data"]),
    )

    def command(
        data: Annotated[Path, typer.Argument(metavar="DATA", help="The data to check.")],
        against: Annotated[
            Path | None, typer.Option(help="Data of another split; examples in both are a problem.")
        ] = None,
        set_: Annotated[
            list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set any option.")
        ] = None,
        run_file: Annotated[
            Path | None, typer.Option(help="Use the options of this run file.")
        ] = None,
        as_json: Json = False,
        **options: Any,
    ) -> None:
        from elman.tasks.run_file import read_run_file

        settings = {**assignments(set_ or []), **given(options)}
        if run_file is not None:
            settings = {**read_run_file(run_file, task).settings, **settings}
        _check(task, data, against, settings, as_json)

    command.__doc__ = f"Check data for {task.title}."
    example = f"elman check {task.name} d/{task.train_file}"
    return with_flags(command, flags), example


def _check(
    task: Task, data: Path, against: Path | None, settings: dict[str, Any], as_json: bool
) -> None:
    refuse_unknown(settings, [task.Options, LoopOptions], "--set")
    options = with_settings(task.Options(), settings)
    report = task.check(data, options)
    if getattr(options, "skip_bad", False) and report.problems:
        task.read(data, options)  # refuses data without any valid example
        left_out = f"{report.facts['problems']} problems left out (skip_bad):"
        report = replace(
            report, problems=(), warnings=(*report.warnings, left_out, *report.problems)
        )
    if against is not None and not report.problems:
        from elman.tasks.leaks import leaks

        report = replace(report, problems=tuple(leaks(task, data, against, options)))
    if not report.problems:
        from elman.tasks.rehearsal import refusals

        if refused := refusals(task, data, options, against):
            facts = {**report.facts, "problems": len(refused)}
            report = replace(report, problems=refused, facts=facts)
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
    for name, value in report.facts.items() if report.facts.get("examples", 1) else ():
        if isinstance(value, dict):
            value = ", ".join([f"{_NAMES.get(key, key)} {each}" for key, each in value.items()])
        screen.print(f"[dim]{str(name).replace('_', ' ')}:[/] {escape(str(value))}")
    for warning in report.warnings:
        screen.print(f"[yellow]note:[/] {escape(warning)}", soft_wrap=True)
    for problem in report.problems:
        screen.print(f"[red]problem:[/] {escape(problem)}", soft_wrap=True)
    if not report.problems:
        screen.print("[green]ready to train[/]")
