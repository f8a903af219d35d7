"""Flags generated from declared options, and the values given to them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields
from types import MappingProxyType
from typing import Annotated, Any

import typer

from elman.errors import OptionError
from elman.options import choices_of, value_syntax
from elman.tasks.small_data import SmallData
from elman.tasks.task import OF_A_FILE, Task


def flags_of(
    kind: type[Any],
    defaults: Mapping[str, object],
    panel: str,
    *,
    only: Callable[[Field[Any]], bool] = lambda declared: True,
    switches: bool = False,
    small_data: Mapping[str, SmallData] = MappingProxyType({}),
) -> list[inspect.Parameter]:
    """A flag for each option of a dataclass; its value is None if it is not given.

    ``small_data`` are the rules for other defaults (``Task.small_data``).  ``only`` selects among
    the options.  With ``switches``, an option that is off by default becomes a flag without a
    value; an option declared as a ``switch`` always does.
    """
    return [
        switch(each.name, each.metadata["help"], panel)
        if each.metadata.get("switch") or (switches and each.default is False)
        else _flag(kind, each, panel, defaults[each.name], small_data.get(each.name))
        for each in fields(kind)
        if only(each)
    ]


def file_flags(task: Task, panel: str, *, labelled: bool = True) -> list[inspect.Parameter]:
    """Flags for the options that describe a data file; without labels, for unlabelled inputs."""
    labels = ("label_column", "tag_column", "map", "skip_bad")
    names = [name for name in OF_A_FILE if labelled or name not in labels]
    return flags_of(
        task.Options, vars(task.Options()), panel, only=lambda declared: declared.name in names
    )


def _flag(
    kind: type, declared: Field[Any], panel: str, default: object, rule: SmallData | None
) -> inspect.Parameter:
    if rule is not None:
        default = rule.text(default)
    if isinstance(default, bool):
        default = "yes" if default else "no"
    shown = "" if default in ("", None) else f" [dim](default: {default})[/]"
    choices = choices_of(kind, declared.name)
    flag = typer.Option(
        help=declared.metadata["help"] + shown,
        rich_help_panel=panel,
        metavar=value_syntax(kind, declared.name),
        autocompletion=(lambda: list(choices)) if choices else None,
    )
    return keyword(declared.name, flag)


def switch(name: str, help: str, panel: str, *, hidden: bool = False) -> inspect.Parameter:
    """A flag without a value; None if it is not given."""
    flag = typer.Option(
        f"--{name.replace('_', '-')}", help=help, rich_help_panel=panel, hidden=hidden
    )
    return _parameter(name, Annotated[bool | None, flag])


def keyword(name: str, flag: Any) -> inspect.Parameter:
    """A flag with a value, declared by ``typer.Option``; None if it is not given."""
    return _parameter(name, Annotated[str | None, flag])


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def with_flags(
    command: Callable[..., None], flags: Sequence[inspect.Parameter]
) -> Callable[..., None]:
    """The command with these flags in place of its last, catch-all parameter."""

    def flagged(*given: Any, **named: Any) -> None:
        command(*given, **named)

    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    flagged.__signature__ = signature.replace(parameters=own + list(flags))  # type: ignore[attr-defined]
    flagged.__annotations__ = {p.name: p.annotation for p in [*own, *flags]}
    flagged.__doc__ = command.__doc__
    return flagged


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that were given."""
    return {name: value for name, value in options.items() if value is not None}


def assignments(items: Sequence[str]) -> dict[str, str]:
    """The options given by --set KEY=VALUE."""
    found = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise OptionError(f'--set: "{item}" is not of the form key=value.')
        found[key.strip().replace("-", "_")] = value.strip()
    return found
