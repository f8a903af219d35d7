"""Numbers in files of text."""

from __future__ import annotations


def number_of(text: str | bytes) -> float:
    """The number that a text is; ``ValueError`` for any other text.

    Python reads underscores between digits, which in files are mistakes.

    >>> number_of("-1.5e3")
    -1500.0
    >>> number_of("1_000")
    Traceback (most recent call last):
        ...
    ValueError: 1_000 is not a number
    """
    if ("_" in text) if isinstance(text, str) else (b"_" in text):
        raise ValueError(f"{text!s} is not a number")
    return float(text)
