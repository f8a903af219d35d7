"""A task's options, from the command line, a run file or a saved run, checked in one place.

Each task has one frozen dataclass of options, and training has ``LoopOptions``; a field's type,
default and ``metadata["help"]`` are all that the command line, the run file and the saved run
are made from.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import Field, field, fields, replace
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from elman.errors import OptionError

Options = TypeVar("Options")
Value = TypeVar("Value")


def option(default: Value, help: str) -> Value:
    """A field of a task's options with its explanation; the type checker sees the default."""
    made: Value = field(default=default, metadata={"help": help})
    return made


def help_of(kind: type, name: str) -> str:
    """The explanation of an option, for a job that gives it another default."""
    explanation: str = known_options([kind])[name].metadata["help"]
    return explanation


def known_options(kinds: Iterable[type]) -> dict[str, Field[Any]]:
    """Every field of these dataclasses by name."""
    return {each.name: each for kind in kinds for each in fields(kind)}


def with_settings(options: Options, settings: Mapping[str, object]) -> Options:
    """The options with those of ``settings`` that are theirs; strings are read as their type.

    Raises ``OptionError`` for a value that an option cannot have.

    >>> from elman.training.options import LoopOptions
    >>> with_settings(LoopOptions(), {"epochs": "3", "max_minutes": "none"}).epochs
    3
    """
    kind: Any = type(options)
    hints = get_type_hints(kind)
    names = [each.name for each in fields(kind) if each.name in settings]
    values = {name: parse(name, hints[name], settings[name]) for name in names}
    changed: Options = replace(options, **values)  # type: ignore[type-var]
    return changed


def refuse_unknown(settings: Iterable[str], kinds: Iterable[type], where: str) -> None:
    """Raise ``OptionError`` for a setting that no option is called, with the nearest that is.

    >>> from elman.training.options import LoopOptions
    >>> refuse_unknown(["epoch"], [LoopOptions], "--set")
    Traceback (most recent call last):
        ...
    elman.errors.OptionError: --set: there is no option "epoch"; did you mean "epochs"?
    """
    known = known_options(kinds)
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(known)}."
            raise OptionError(f'{where}: there is no option "{name}"; {hint}')


def parse(name: str, hint: Any, value: object) -> Any:
    """A value of the type ``hint`` from a string or from a TOML value.

    >>> parse("bidirectional", bool, "no"), parse("threads", int | Literal["auto"], "2")
    (False, 2)
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    for kind in kinds:
        found = _as(kind, value)
        if found is not _NOT:
            return found[0]
    raise OptionError(f"{name} is {value!r}; it must be {' or '.join(map(_described, kinds))}.")


_NOT: Any = object()


def _as(kind: Any, value: object) -> Any:
    """(the value as this kind,), or ``_NOT``."""
    text = value.strip() if isinstance(value, str) else None
    if get_origin(kind) is Literal:
        return (value,) if value in get_args(kind) else _NOT
    if kind is NoneType:
        return (None,) if value is None or text in ("none", "None", "") else _NOT
    if kind is bool:
        if isinstance(value, bool):
            return (value,)
        words = {"true": True, "yes": True, "on": True, "1": True}
        words |= {"false": False, "no": False, "off": False, "0": False}
        return (words[text.lower()],) if text and text.lower() in words else _NOT
    if kind is str:
        return (value,) if isinstance(value, str) else _NOT
    if isinstance(value, bool):
        return _NOT
    try:
        if kind is int:
            exact = isinstance(value, int) or (text is not None and float(text) == int(text))
            return (int(value),) if exact else _NOT  # type: ignore[call-overload]
        return (float(value),)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return _NOT


def _described(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join([f'"{choice}"' for choice in get_args(kind)])
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return "none" if kind is NoneType else names[kind]
