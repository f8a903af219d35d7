"""Writing TOML, which Python's own ``tomllib`` can only read.

Supports what a run file needs: strings, integers, floats, booleans, lists and nested tables.  TOML
has no ``None``; it is written as a comment, which tells a reader that the option was not set and
leaves a program its default.
"""

import json
import re
from collections.abc import Mapping

from elman.errors import OptionError


def to_toml(table: Mapping[str, object]) -> str:
    """The text of ``table``: plain values first, then each table under its [name].

    Raises ``OptionError`` for a value that TOML cannot hold.

    >>> print(to_toml({"format": 1, "job": "ner", "options": {"seed": 0, "max_minutes": None}}))
    format = 1
    job = "ner"
    <BLANKLINE>
    [options]
    seed = 0
    # max_minutes is not set
    <BLANKLINE>
    """
    return "\n".join(_lines(table, ())) + "\n"


def _lines(table: Mapping[str, object], name: tuple[str, ...]) -> list[str]:
    lines = []
    for key, value in table.items():
        if value is None:
            lines.append(f"# {_key(key)} is not set")
        elif not isinstance(value, Mapping):
            lines.append(f"{_key(key)} = {_value(value, (*name, key))}")
    for key, value in table.items():
        if isinstance(value, Mapping):
            inner = (*name, key)
            if lines:
                lines.append("")
            lines.append(f"[{'.'.join(map(_key, inner))}]")
            lines.extend(_lines(value, inner))
    return lines


def _value(value: object, name: tuple[str, ...]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)  # inf and nan are valid TOML
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(each, name) for each in value)}]"
    if isinstance(value, Mapping):
        pairs = (f"{_key(key)} = {_value(each, (*name, key))}" for key, each in value.items())
        return "{" + ", ".join(pairs) + "}"
    raise OptionError(
        f"{'.'.join(name)} is {value!r}, which a run file cannot hold; use strings, numbers, "
        "true, false, lists and tables."
    )


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _string(key)


def _string(text: str) -> str:
    # A file name that is not UTF-8 reaches Python with lone surrogates, which no text file holds.
    text = re.sub("[\ud800-\udfff]", "\ufffd", text)
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
