"""Reading files that Elman has saved, even if they have been damaged since.

A file may be truncated, damaged or malicious.  Text, JSON and TOML are read here, so that each such
case gives a one-sentence error: nesting that exhausts the stack, numbers with a million digits,
keys with a million parts, circular links, pipes.  No code is run.  The caller interprets the
values; ``sentences`` turns the exceptions of the caller into one-sentence errors, too.
"""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from elman.errors import ElmanError, OptionError, RunError

#: tables of settings are small, and larger ones take too long to parse
MOST_TOML = 1_000_000
#: most parts that a dotted key may have
MOST_PARTS = 16

_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'")
_DOTTED = re.compile(rf"(?<![\w-])(?:[\w-]+[ \t]*\.[ \t]*){{{MOST_PARTS}}}")


def read_text(path: Path) -> str:
    """The text of a file; ``RunError`` if it is not a file, cannot be read or is not UTF-8."""
    try:
        if path.exists() and not path.is_file():
            raise RunError(f"{path}: this is not a file; copy it again.")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise RunError(f"{path}: there is no such file; check its name and folder.") from error
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: this is not UTF-8 text ({error}).") from error
    except OSError as error:
        raise RunError(f"{path}: this cannot be read ({error.strerror}).") from error


def parse_json(text: str, where: object, *, infinite: bool = False) -> Any:
    """Parse a JSON text; the ``RunError`` for a damaged one names ``where``.

    Duplicate names are damage, and so are NaN and infinity unless ``infinite`` is set.

    >>> parse_json('{"labels": {"good": 1, "good": 2}}', "symbols.json")
    Traceback (most recent call last):
        ...
    elman.errors.RunError: symbols.json cannot be read ("good" occurs twice); copy it again.
    """
    with sentences(where):
        return json.loads(
            text, object_pairs_hook=_once, parse_constant=None if infinite else _no_number
        )


def parse_toml(text: str, where: object) -> dict[str, Any]:
    """Parse a TOML text; the ``OptionError`` for an invalid one names ``where``.

    >>> parse_toml("a = [[", "a.toml")
    Traceback (most recent call last):
        ...
    elman.errors.OptionError: a.toml: this is not TOML (Invalid value (at end of document)); correct it.
    """  # noqa: E501
    reason = ""
    if len(text) > MOST_TOML:
        reason = f"it has {len(text):,} characters, too many for a table of options"
    elif dotted := _DOTTED.search(_STRING.sub("q", text)):
        reason = f"a key has more than {MOST_PARTS} parts, {dotted.group()[:20]}..."
    try:
        if not reason:
            return tomllib.loads(text)
    except RecursionError:
        reason = "its values are nested too deeply"
    except ValueError as error:
        reason = in_short(str(error))
    raise OptionError(f"{where}: this is not TOML ({reason}); correct it.")


@contextmanager
def sentences(where: object) -> Iterator[None]:
    """Turn exceptions raised while saved data are interpreted into one-sentence ``RunError``s."""
    try:
        yield
    except RunError as error:
        said = str(error)
        if isinstance(where, Path) and said.startswith(where.name):  # name its folder too
            said = f"{where.parent / said}"
        elif "\n" not in said and len(said) < 1000:
            raise
        raise RunError(in_short(said, 500)) from error
    except RecursionError as error:
        raise RunError(
            f"{where} cannot be read (it is nested too deeply); copy it again."
        ) from error
    except (ArithmeticError, AttributeError, LookupError, MemoryError) as error:
        reason = in_short(f"{type(error).__name__}: {error}")
        raise RunError(f"{where} cannot be read ({reason}); copy it again.") from error
    except (ElmanError, AssertionError, RuntimeError, TypeError, ValueError) as error:
        reason = in_short(str(error) or type(error).__name__)
        raise RunError(f"{where} cannot be read ({reason}); copy it again.") from error


def of_kind(record: dict[str, Any], name: str, kind: Any) -> Any:
    """``record[name]``, which must be of this type; ``TypeError`` otherwise."""
    value = record[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{name} is {in_short(repr(value), 40)}")
    return value


def different(record: dict[str, Any], name: str) -> tuple[str, ...]:
    """``record[name]``, which must be a list of distinct strings; ``ValueError`` otherwise."""
    values = tuple(of_kind(record, name, list))
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name} holds something other than strings")
    if len(set(values)) < len(values):
        value, _ = Counter(values).most_common(1)[0]
        raise ValueError(f'"{in_short(value, 40)}" occurs twice in {name}')
    return values


def in_short(text: str, most: int = 200) -> str:
    """The text on one line, cut after ``most`` characters.

    >>> in_short("one\\ntwo"), in_short("three four", 5)
    ('one two', 'three...')
    """
    line = " ".join(text[: 10 * most].split())
    return line if len(line) <= most else line[:most] + "..."


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        duplicate = Counter(names).most_common(1)[0][0]
        raise ValueError(f'"{duplicate}" occurs twice')
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number")
