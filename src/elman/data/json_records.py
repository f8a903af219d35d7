"""The objects of a JSON file: one per line (JSON Lines), or one array of them.

Each comes with the line on which it starts.  Numbers are kept as the file writes them, and
duplicate keys are kept, so that no value changes silently.  The readers interpret the objects: see
``text.py``.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elman.data.faults import Fault, Place, Row
from elman.data.plain_text import lines_of

_BLANKS = re.compile(r"[ \t\r\n]+")

#: an object: keys with their values, in the order of the file
Pairs = tuple[tuple[str, Any], ...]


class Number(str):
    """A number as written in the file."""

    __slots__ = ()


def json_records(path: Path, text: str) -> Iterator[Row[Any] | Fault]:
    """Every value of a file with its line; objects are returned as ``Pairs``.

    >>> [row.value for row in json_records(Path(), '[{"a": 1.0},\\n {"a": 2}]')]
    [(('a', '1.0'),), (('a', '2'),)]
    >>> [row.place.line for row in json_records(Path(), '{"a": 1}\\n\\n{"a": 2}')]
    [1, 3]
    """
    if text.lstrip().startswith("["):
        yield from _array(path, text)
        return
    for number, line in enumerate(lines_of(text), start=1):
        if line.strip():
            place = Place(path, number)
            try:
                yield Row(place, _DECODER.decode(line))
            except (ValueError, RecursionError) as error:
                yield Fault(place, f"this is not JSON ({_why(error)}); write one object per line.")


def _array(path: Path, text: str) -> Iterator[Row[Any] | Fault]:
    """The values of an array; stops after the first error."""
    at = text.index("[") + 1
    line, counted = 1, 0
    closed = False
    after_value = False
    while not closed:
        blank = _BLANKS.match(text, at)
        at = at if blank is None else blank.end()
        line += text.count("\n", counted, at)
        counted = at
        place = Place(path, line)
        sign = text[at : at + 1]
        if sign == "]":
            closed = True
            at += 1
        elif after_value and sign == ",":
            at += 1
            after_value = False
        elif after_value or not sign:
            yield Fault(place, 'the JSON array must continue here with "," or "]"; correct it.')
            return
        else:
            try:
                value, at = _DECODER.raw_decode(text, at)
            except (ValueError, RecursionError) as error:
                yield Fault(place, f"this is not JSON ({_why(error)}); write an array of objects.")
                return
            after_value = True
            yield Row(place, value)
    if text[at:].strip():
        yield Fault(Place(path, line), "there is more text after the JSON array; remove it.")


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.removesuffix(' at')} at character {error.colno}"
    return str(error)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not valid JSON")


def kind_of_json(value: object) -> str:
    """The JSON type of a value."""
    if isinstance(value, Number):
        return "number"
    kinds = {tuple: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return kinds[type(value)]


_DECODER = json.JSONDecoder(
    object_pairs_hook=tuple, parse_int=Number, parse_float=Number, parse_constant=_refuse
)
