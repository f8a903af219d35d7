"""Which options of a task a request may set, and their JSON schema.

A request can neither name a file on the server nor ask for more than ``request_maximum``.  An
option that accepts any text could name a file, so a request may set it only to one of its
``request_choices``: an option that is added later is safe unless its declaration says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from elman.errors import OptionError
from elman.options import Bounds, known_options, parse, refuse_unknown, types_of
from elman.serve.refusal import Refusal


def settings_of(kind: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a request, checked; ``Refusal`` for one that it may not set.

    >>> from elman.tasks import TASKS
    >>> settings_of(TASKS["music"].PredictOptions, {"seconds": 5})
    {'seconds': 5.0}
    >>> settings_of(TASKS["music"].PredictOptions, {"out": "tune.mid"})
    Traceback (most recent call last):
        ...
    elman.serve.refusal.Refusal: the option "out" names a file, and a request cannot read or write \
files on the server; omit it.
    """
    try:
        refuse_unknown(options, [kind], "options")
        settings = {name: _value(kind, name, value) for name, value in options.items()}
        kind(**{**vars(kind()), **settings})  # also checks rules between options
    except OptionError as error:
        raise Refusal(422, str(error)) from error
    return settings


def _value(kind: type[Any], name: str, value: Any) -> Any:
    declared, types = known_options([kind])[name], types_of(kind, name)
    if str in types:
        choices = declared.metadata["request_choices"]
        if value in choices and isinstance(value, str):
            return value
        if choices:
            raise Refusal(422, f"the option {name} must be {_listed(choices)} in a request.")
        raise Refusal(
            422,
            f'the option "{name}" names a file, and a request cannot read or write files on the '
            "server; omit it.",
        )
    if isinstance(value, float) and value.is_integer() and float not in types:
        value = int(value)  # JSON does not distinguish 2.0 from 2
    fits = (
        isinstance(value, bool)
        if bool in types
        else not isinstance(value, bool | list | dict)
        and (not isinstance(value, str) or value in _choices(types))
    )
    if not fits:
        expected = [_described(each) for each in types]
        raise Refusal(422, f"the option {name} must be {' or '.join(expected)}.")
    found = parse(kind, name, value)
    most = declared.metadata["request_maximum"]
    if most is not None and not isinstance(found, str | NoneType) and found > most:
        raise Refusal(422, f"the option {name} is {found}; a request may give at most {most}.")
    return found


def _listed(choices: tuple[str, ...]) -> str:
    return " or ".join([f'"{choice}"' for choice in choices])


def _choices(types: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple([c for kind in types if get_origin(kind) is Literal for c in get_args(kind)])


def _described(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return _listed(get_args(kind))
    words = {int: "an integer", float: "a number", bool: "true or false", NoneType: "null"}
    return words[kind]


def options_schema(kind: type[Any]) -> dict[str, Any]:
    """The JSON schema of the options that a request may set."""
    properties = {}
    for each in fields(kind):
        types = types_of(kind, each.name)
        schema = _schema(types, each.metadata["bounds"], each.metadata["request_maximum"])
        if str in types:
            choices = each.metadata["request_choices"]
            schema = {"enum": list(choices)} if choices else {}
        if schema:
            default = getattr(kind(), each.name)
            properties[each.name] = {**schema, "description": each.metadata["help"]}
            properties[each.name]["default"] = default
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _schema(types: tuple[Any, ...], bounds: Bounds, most: float | None) -> dict[str, Any]:
    forms: list[dict[str, Any]] = []
    for kind in types:
        if get_origin(kind) is Literal:
            forms.append({"enum": list(get_args(kind))})
        elif kind in (int, float):
            ends = {
                "minimum": bounds.minimum,
                "exclusiveMinimum": bounds.above,
                "maximum": bounds.maximum,
                "exclusiveMaximum": bounds.below,
            }
            if most is not None:
                ends["maximum"] = min(most, most if bounds.maximum is None else bounds.maximum)
            elif kind is int and bounds.maximum is None:
                ends["maximum"] = 2**63 - 1
            form = {"type": "integer" if kind is int else "number"}
            forms.append({**form, **{key: end for key, end in ends.items() if end is not None}})
        elif kind in (bool, NoneType):
            forms.append({"type": "boolean" if kind is bool else "null"})
    return forms[0] if len(forms) == 1 else {"anyOf": forms} if forms else {}
