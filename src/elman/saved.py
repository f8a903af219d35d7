"""Reading what Elman has saved, when anything may have happened to it since.

A file may be cut off, damaged, or made to do harm.  Text, JSON and TOML are read here so that each
of these ends in one sentence: nesting that exhausts the stack, numbers of a million digits, keys of
a million parts, links that go in a circle, pipes.  No code is run.  What the values mean is checked
by those who know it; ``sentences`` turns what they stumble over into a sentence too.
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

#: tables of settings are small; larger ones take longer to read than anybody waits
MOST_TOML = 1_000_000
#: parts of a dotted key
MOST_PARTS = 16

_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'")
_DOTTED = re.compile(rf"(?<![\w-])(?:[\w-]+[ \t]*\.[ \t]*){{{MOST_PARTS}}}")


def read_text(path: Path) -> str:
    """The text of a file; ``RunError`` when it is no file, cannot be read or is not UTF-8."""
    try:
        if path.exists() and not path.is_file():
            raise RunError(f"{path}: this is not a file; copy it again.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: this is not UTF-8 text ({error}).") from error
    except OSError as error:
        raise RunError(f"{path}: this cannot be read ({error.strerror}).") from error


def parse_json(text: str, where: object, *, infinite: bool = False) -> Any:
    """What a JSON text holds; ``where`` names it in the ``RunError`` for a text that is damaged.

    A name that is there twice, and a number that is none, are damage; with ``infinite`` only the
    former.

    >>> parse_json('{"labels": {"good": 1, "good": 2}}', "symbols.json")
    Traceback (most recent call last):
        ...
    elman.errors.RunError: symbols.json cannot be read ("good" is there twice); copy it again.
    """
    with sentences(where):
        return json.loads(
            text, object_pairs_hook=_once, parse_constant=None if infinite else _no_number
        )


def parse_toml(text: str, where: object) -> dict[str, Any]:
    """What a TOML text holds; ``OptionError`` says what is wrong ``where``.

    >>> parse_toml("a = [[", "a.toml")
    Traceback (most recent call last):
        ...
    elman.errors.OptionError: a.toml: this is not TOML (Invalid value (at end of document)); correct it.
    """  # noqa: E501
    reason = ""
    if len(text) > MOST_TOML:
        reason = f"it has {len(text):,} letters, and a table of options has few"
    elif dotted := _DOTTED.search(_STRING.sub("q", text)):
        reason = f"a key of more than {MOST_PARTS} parts, {dotted.group()[:20]}..."
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
    """What goes wrong while a saved thing is made sense of is a ``RunError``, in one sentence."""
    try:
        yield
    except RunError as error:
        if "\n" not in str(error) and len(str(error)) < 1000:
            raise
        raise RunError(in_short(str(error), 500)) from error
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
    """``record[name]``, which must be of this kind; ``TypeError`` for anything else."""
    value = record[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{name} is {in_short(repr(value), 40)}")
    return value


def different(record: dict[str, Any], name: str) -> tuple[str, ...]:
    """``record[name]``, which must be a list of texts, each there once; ``ValueError`` if not."""
    values = tuple(of_kind(record, name, list))
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name} holds what is no text")
    if len(set(values)) < len(values):
        value, _ = Counter(values).most_common(1)[0]
        raise ValueError(f'"{in_short(value, 40)}" is twice among the {name}')
    return values


def in_short(text: str, most: int = 200) -> str:
    """A text on one line, and not longer than a sentence.

    >>> in_short("one\\ntwo"), in_short("three four", 5)
    ('one two', 'three...')
    """
    line = " ".join(text[: 10 * most].split())
    return line if len(line) <= most else line[:most] + "..."


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = Counter(names).most_common(1)[0][0]
        raise ValueError(f'"{twice}" is there twice')
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number")
