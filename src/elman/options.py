"""Options: declared once; read from the command line, a run file or a saved run.

A group of options is a frozen dataclass that derives from ``DeclaredOptions``; each field is made
with ``option``.  The flags, the run file, the saved run, the search spaces and the docs are all
generated from the type, default, help text and bounds of the fields.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, fields, replace
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from elman.errors import OptionError
from elman.saved import in_short

Options = TypeVar("Options")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Bounds:
    """The valid range of a number: ``minimum`` and ``maximum`` are inclusive, the others exclusive.

    >>> print(Bounds(minimum=0, below=1))
    at least 0 and less than 1
    >>> 1.0 in Bounds(minimum=0, below=1), 0 in Bounds(minimum=0, below=1)
    (False, True)
    """

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        # written so that nan is outside every bound
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __bool__(self) -> bool:
        return self != Bounds()

    def __str__(self) -> str:
        if self.minimum is not None and self.maximum is not None:
            return f"from {self.minimum} to {self.maximum}"
        words = {
            "at least": self.minimum,
            "greater than": self.above,
            "at most": self.maximum,
            "less than": self.below,
        }
        return " and ".join([f"{word} {end}" for word, end in words.items() if end is not None])

    def around(self, name: str) -> str:
        """The bounds as an inequality, such as ``0 <= x < 1``."""
        low = {f"{self.minimum} <= ": self.minimum, f"{self.above} < ": self.above}
        high = {f" <= {self.maximum}": self.maximum, f" < {self.below}": self.below}
        left, right = [
            "".join([text for text, end in side.items() if end is not None]) for side in (low, high)
        ]
        if left and not right:  # "x >= 1" reads better than "1 <= x"
            return f"{name} {'>=' if self.above is None else '>'} {left.split()[0]}"
        return f"{left}{name}{right}"


def option(
    default: Value,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    aliases: Mapping[str, str] | None = None,
    reads_data: bool = False,
    scored: bool = True,
    switch: bool = False,
    request_maximum: float | None = None,
    request_choices: Sequence[str] = (),
) -> Value:
    """Declare a field of an options dataclass; the type checker sees only its default.

    The field's type declares the choices: ``Literal["adamw", "sgd"]``; ``aliases`` are old
    spellings, which help texts do not show.  ``reads_data`` marks an option that affects how data
    files are read, so that ``elman check`` accepts it too.  An option of predictions that is not
    ``scored`` does not affect scores (the name of a plot, for example), so ``elman evaluate`` does
    not accept it.  A ``switch`` is off by default, and its flag takes no value in any command.

    A request to ``elman serve`` may give at most ``request_maximum``, which bounds its cost.  It
    may not set a text option, which could name a file, except to ``request_choices``.

    >>> @dataclass(frozen=True)
    ... class Sizes(DeclaredOptions):
    ...     units: int = option(128, "units per layer", minimum=1)
    >>> Sizes(0)
    Traceback (most recent call last):
        ...
    elman.errors.OptionError: units is 0; it must be at least 1.
    """
    metadata = {
        "help": help,
        "bounds": Bounds(minimum, maximum, above, below),
        "aliases": dict(aliases or {}),
        "reads_data": reads_data,
        "scored": scored,
        "switch": switch,
        "request_maximum": request_maximum,
        "request_choices": tuple(request_choices),
    }
    made: Value = dataclasses.field(default=default, metadata=metadata)
    return made


def option_of(kind: type, name: str, default: Value) -> Value:
    """The option ``name`` of another dataclass, with a different default."""
    made: Value = dataclasses.field(default=default, metadata=known_options([kind])[name].metadata)
    return made


@dataclass(frozen=True)
class DeclaredOptions:
    """Options that are checked against their declarations when they are created.

    A class with further rules defines its own ``__post_init__``, which calls this one first.
    """

    def __post_init__(self) -> None:
        """Raise ``OptionError`` for an invalid value."""
        kind: Any = type(self)
        hints = _hints(kind)
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, str) and value in each.metadata.get("aliases", ()):
                object.__setattr__(self, each.name, each.metadata["aliases"][value])
            else:
                check_value(each, hints[each.name], value)


def check_value(declared: Field[Any], hint: Any, value: object) -> None:
    """Raise ``OptionError`` for a number outside the bounds, or for an unknown choice."""
    kinds = _kinds(hint)
    choices = [choice for kind in kinds for choice in _choices(kind)]
    bounds: Bounds = declared.metadata.get("bounds", Bounds())
    if value in choices:
        return
    if isinstance(value, str):
        fits = str in kinds or not choices
    else:
        fits = isinstance(value, bool) or not isinstance(value, int | float) or value in bounds
    if not fits:
        expected = f"one of {', '.join([str(choice) for choice in choices])}"
        if bounds:
            expected = " or ".join([*[f'"{choice}"' for choice in choices], str(bounds)])
        raise OptionError(f"{declared.name} is {value!r}; it must be {expected}.")


def known_options(kinds: Iterable[type]) -> dict[str, Field[Any]]:
    """Every field of these dataclasses by name."""
    return {each.name: each for kind in kinds for each in fields(kind)}


def with_settings(options: Options, settings: Mapping[str, object]) -> Options:
    """The options with new values from those ``settings`` that they have; strings are parsed.

    Raises ``OptionError`` for an invalid value.

    >>> from elman.training.options import LoopOptions
    >>> with_settings(LoopOptions(), {"epochs": "3", "max_minutes": "none"}).epochs
    3
    """
    kind: Any = type(options)
    names = [each.name for each in fields(kind) if each.name in settings]
    values = {name: parse(kind, name, settings[name]) for name in names}
    changed: Options = replace(options, **values)  # type: ignore[type-var]
    return changed


def refuse_unknown(settings: Iterable[str], kinds: Iterable[type], where: str) -> None:
    """Raise ``OptionError`` for an unknown setting, and suggest the option with the nearest name.

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
            hint = f"choose from {', '.join(known)}." if known else "there are no options."
            if near:
                hint = f'did you mean "{near[0]}"?'
            raise OptionError(f'{where}: there is no option "{name}"; {hint}')


def parse(kind: type, name: str, value: object) -> Any:
    """Parse a value of the option ``name`` from a string or a TOML value, and check its bounds.

    >>> from elman.training.options import LoopOptions
    >>> parse(LoopOptions, "threads", "2"), parse(LoopOptions, "threads", "auto")
    (2, 'auto')
    >>> parse(LoopOptions, "momentum", "1.5")
    Traceback (most recent call last):
        ...
    elman.errors.OptionError: momentum is 1.5; it must be at least 0 and less than 1.
    """
    declared, hint = known_options([kind])[name], _hints(kind)[name]
    if isinstance(value, str):
        value = declared.metadata.get("aliases", {}).get(value, value)
    for each in _kinds(hint):
        found = _as(each, value)
        if found is not _NOT:
            check_value(declared, hint, found[0])
            if isinstance(found[0], float) and not _is_number(name, found[0]):
                break
            return found[0]
    expected = " or ".join([_described(each) for each in _kinds(hint)])
    raise OptionError(f"{name} is {in_short(repr(value), 60)}; it must be {expected}.")


def described(kind: type, name: str) -> str:
    """The values that an option accepts, in words: for comments in a run file, and the docs.

    >>> from elman.training.options import LoopOptions
    >>> described(LoopOptions, "threads"), described(LoopOptions, "momentum")
    ('"auto" or an integer from 1 to 1024', 'a number of at least 0 and less than 1')
    """
    declared, hint = known_options([kind])[name], _hints(kind)[name]
    bounds: Bounds = declared.metadata.get("bounds", Bounds())
    words = [_described(each) for each in _kinds(hint)]
    if bounds:
        joint = " " if bounds.minimum is not None and bounds.maximum is not None else " of "
        if bounds.minimum is None and bounds.above is not None:
            joint = " "
        words = [f"{w}{joint}{bounds}" if w in _NUMBERS.values() else w for w in words]
    return " or ".join(sorted(words, key=lambda word: not word.startswith('"')))


def value_syntax(kind: type, name: str) -> str:
    """The values that an option accepts, as help texts show them after the flag.

    >>> from elman.training.options import LoopOptions
    >>> for name in ("threads", "momentum", "schedule"):
    ...     print(value_syntax(LoopOptions, name))
    <auto|1 <= int <= 1024>
    <0 <= float < 1>
    <constant|plateau|cosine|linear>
    """
    declared, hint = known_options([kind])[name], _hints(kind)[name]
    bounds: Bounds = declared.metadata.get("bounds", Bounds())
    words: list[str] = []
    for each in sorted(_kinds(hint), key=lambda each: not _choices(each)):
        if _choices(each):
            words += [str(choice) for choice in _choices(each)]
        elif each in _NUMBERS:
            words.append(bounds.around(each.__name__))
        else:
            words.append({bool: "yes|no", str: "text", NoneType: "none"}[each])
    return f"<{'|'.join([word for word in words if word])}>"


def choices_of(kind: type, name: str) -> tuple[str, ...]:
    """The values of an option that has only a few, for shell completion."""
    found = [choice for each in _kinds(_hints(kind)[name]) for choice in _choices(each)]
    return tuple([str(choice) for choice in found if choice]) or (
        ("yes", "no") if _hints(kind)[name] is bool else ()
    )


def types_of(kind: type, name: str) -> tuple[Any, ...]:
    """The types that an option accepts: int, float, bool, str, NoneType or a Literal.

    >>> from elman.training.options import LoopOptions
    >>> types_of(LoopOptions, "momentum")
    (<class 'float'>,)
    """
    return _kinds(_hints(kind)[name])


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _kinds(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _choices(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) is Literal else ()


_NOT: Any = object()
#: upper limit of integers: the files that store them have 64 bits
_LARGEST = 2**63
#: options for which infinity means no limit
_INFINITE = frozenset({"clip_norm", "clip_value", "max_minutes", "checkpoint_seconds"})


def _is_number(name: str, value: float) -> bool:
    return math.isfinite(value) or (value == math.inf and name in _INFINITE)


def _as(kind: Any, value: object) -> Any:
    """A tuple of the converted value, or ``_NOT`` if it cannot be converted."""
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
            number = int(value) if exact else _LARGEST  # type: ignore[call-overload]
            return (number,) if abs(number) < _LARGEST else _NOT
        return (float(value),)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return _NOT


_NUMBERS = {int: "an integer", float: "a number"}


def _described(kind: Any) -> str:
    if get_origin(kind) is Literal:
        *others, last = [f'"{choice}"' for choice in get_args(kind) if choice]
        return f"{', '.join(others)} or {last}" if others else last
    words = {**_NUMBERS, bool: "true or false", str: "a string", NoneType: "none"}
    return words[kind]
