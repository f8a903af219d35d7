"""Flags that are made from the jobs' options, and what was given of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from elman.errors import OptionError


def asking_flags() -> list[inspect.Parameter]:
    """The flags of asking a trained model, which are those of all jobs.

    What several jobs call the same is one flag, and its help says what it means for each.
    """
    from elman.tasks import TASKS
    from elman.tasks.options import known_options

    by_name: dict[str, dict[str, Any]] = {}
    for job, task in TASKS.items():
        for name, each in known_options([task.PredictOptions]).items():
            by_name.setdefault(name, {})[job] = each
    shared, own = [], []
    for name, jobs in by_name.items():
        if len(jobs) == 1:
            [(job, each)] = jobs.items()
            about = (name, each.metadata["help"], f"For {job}")
            own.append(_switch(*about) if each.default is False else _flag(*about, each.default))
            continue
        texts: dict[str, list[str]] = {}
        for job, each in jobs.items():
            default = "" if each.default in ("", None) else f" (default: {each.default})"
            texts.setdefault(each.metadata["help"] + default, []).append(job)
        explanation = "; ".join([f"{', '.join(names)}: {text}" for text, names in texts.items()])
        shared.append(_flag(name, explanation, "For several jobs", None))
    return [*shared, *own]


def flags_of(
    groups: Mapping[str, type[Any]], defaults: Mapping[str, object]
) -> list[inspect.Parameter]:
    """A flag for each field of the dataclasses, in a panel each; None where it is not given."""
    from elman.tasks.options import known_options

    return [
        _flag(name, each.metadata.get("help", ""), panel, defaults[name])
        for panel, kind in groups.items()
        for name, each in known_options([kind]).items()
    ]


def _flag(name: str, explanation: str, panel: str, default: object) -> inspect.Parameter:
    shown = "" if default in ("", None) else f" [dim](default: {default})[/]"
    flag = typer.Option(help=explanation + shown, rich_help_panel=panel, metavar="VALUE")
    return _keyword(name, Annotated[str | None, flag])


def _switch(name: str, explanation: str, panel: str) -> inspect.Parameter:
    """A flag without a value, off where it is not given."""
    flag = typer.Option(f"--{name.replace('_', '-')}", help=explanation, rich_help_panel=panel)
    return _keyword(name, Annotated[bool | None, flag])


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def with_flags(
    command: Callable[..., None], flags: Sequence[inspect.Parameter]
) -> Callable[..., None]:
    """The command with these flags in place of its last parameter, which takes any."""
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    command.__signature__ = signature.replace(parameters=own + list(flags))  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in [*own, *flags]}
    return command


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that were given."""
    return {name: value for name, value in options.items() if value is not None}


def assignments(items: Sequence[str]) -> dict[str, str]:
    """What --set KEY=VALUE says, each time that it was given."""
    found = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise OptionError(f'--set: "{item}" is not of the form key=value.')
        found[key.strip().replace("-", "_")] = value.strip()
    return found
