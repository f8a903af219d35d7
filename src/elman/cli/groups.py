"""Commands that are created on demand: one per task, or one for the task of a run.

A help text shows only the flags of that task, and imports only what it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from elman.tasks.registry import TASKS, task_of
from elman.tasks.runs import find_run, is_onnx, task_of_run
from elman.tasks.task import Task

Function = Callable[..., None]


def as_command(name: str, function: Function, example: str) -> Any:
    """A stand-alone command, outside of an app."""
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.command(name, epilog=f"Example: {example}")(function)
    return get_command(app)


class TaskGroup(TyperGroup):
    """A command for each task, such as ``elman train ner``."""

    #: makes the function of a task's command, and an example
    made_by: Callable[[Task], tuple[Function, str]]

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the tasks."""
        return list(TASKS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a task."""
        if cmd_name not in TASKS:
            return None
        return as_command(cmd_name, *type(self).made_by(TASKS[cmd_name]))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of the task named first; ``OptionError`` if there is no such task."""
        if not ctx.resilient_parsing and not args[0].startswith("-"):
            task_of(args[0])
        return super().resolve_command(ctx, args)


class Commands(TyperGroup):
    """All commands; those whose first argument is a run get the flags of its task."""

    #: make the function of a command for the task of a run, or for None, and an example
    of_run: dict[str, Callable[[Task | None], tuple[Function, str]]]
    #: commands to list first, in this order; the others follow
    first: tuple[str, ...] = ()

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands."""
        return list(dict.fromkeys([*self.first, *super().list_commands(ctx)]))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command named first, made for the run named after it."""
        name, command, rest = super().resolve_command(ctx, args)
        made_by = self.of_run.get(str(name))
        if made_by is not None:
            task = _first_task(rest)
            if task is None and not ctx.resilient_parsing and "--help" not in rest:
                _refuse_no_run(rest)
            command = as_command(str(name), *made_by(task))
        return name, command, rest


def _first_task(arguments: Sequence[str]) -> Task | None:
    """The task of the first argument that names a run."""
    found = [task_of_run(each) for each in arguments if not each.startswith("-")]
    return next((task for task in found if task is not None), None)


def _refuse_no_run(arguments: Sequence[str]) -> None:
    """Report a problem with the run before a flag of its task is called unknown."""
    for each in arguments:
        if is_onnx(each):
            return  # loading it reports the problem
        if not each.startswith("-"):
            folder = find_run(each)
            from elman.training import RunFolder

            RunFolder.open(folder)
            return
