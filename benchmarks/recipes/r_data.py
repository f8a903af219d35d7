"""Read R's data frames of factors: a reader of the XDR serialisation, version 2.

    >>> tables = read_rda(Path("DNA.rda"))  # doctest: +SKIP

It supports what the data sets of Debian's r-cran-mlbench need: lists, strings, integers, logicals,
numbers, attributes and references (R Internals, section 1.8).
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from pathlib import Path
from typing import Any

_OPENERS = {b"\xfd7zXZ\x00": lzma.decompress, b"BZh": bz2.decompress, b"\x1f\x8b": gzip.decompress}
_NIL, _GLOBAL, _NONE = 254, 253, 242


class Vector(list[Any]):
    """The values of a vector, with its attributes."""

    attributes: dict[str, Any]


def read_rda(path: Path) -> dict[str, Any]:
    """The objects of a file by name."""
    content = path.read_bytes()
    for magic, opened in _OPENERS.items():
        if content.startswith(magic):
            content = opened(content)
    assert content.startswith(b"RDX2\nX\n"), f"{path} is not in XDR format, version 2"
    return _Reader(content, 7 + 12).pairs()


def factor(column: Vector) -> list[str]:
    """The labels of a factor."""
    levels = column.attributes["levels"]
    return [levels[k - 1] for k in column]


class _Reader:
    def __init__(self, content: bytes, place: int) -> None:
        self.content, self.place = content, place
        self.references: list[Any] = []

    def integer(self) -> int:
        self.place += 4
        return struct.unpack_from(">i", self.content, self.place - 4)[0]

    def pairs(self) -> dict[str, Any]:
        found = self.item()
        return {} if found is None else found

    def item(self) -> Any:
        flags = self.integer()
        kind, attributed, tagged = flags & 255, flags & 512, flags & 1024
        if kind in (_NIL, _GLOBAL, _NONE):
            return None
        if kind == 255:
            return self.references[(flags >> 8) - 1]
        if kind == 1:  # a symbol
            name = self.item()
            self.references.append(name)
            return name
        if kind == 2:  # a list of pairs
            if attributed:
                self.item()
            name = self.item() if tagged else None
            value = self.item()
            return {name: value, **(self.item() or {})}
        if kind == 9:  # characters
            length = self.integer()
            self.place += max(length, 0)
            return None if length < 0 else self.content[self.place - length : self.place].decode()
        found = Vector(self.values(kind))
        found.attributes = self.pairs() if attributed else {}
        return found

    def values(self, kind: int) -> list[Any]:
        length = self.integer()
        if kind in (16, 19):  # strings, a list
            return [self.item() for _ in range(length)]
        letter, size = {10: ("i", 4), 13: ("i", 4), 14: ("d", 8)}[kind]
        self.place += size * length
        return list(
            struct.unpack_from(f">{length}{letter}", self.content, self.place - size * length)
        )
