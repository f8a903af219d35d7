"""Detects truncated audio files: compares the size in the header with the size of the file.

libsndfile silently reads a truncated wav, aiff or au file as a shorter one.  Placeholder sizes,
which programs write when they do not know the size in advance, are ignored.  ``audio.py`` reads
the samples.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

#: sizes from here on mean "unknown"; programs that write to a pipe use them
_UNKNOWN = 2**31 - 2**16


def missing_bytes(path: Path) -> int:
    """The number of bytes that the header of a wav, aiff or au file announces beyond its end."""
    length = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(12)
        if len(start) < 12:
            return 0
        if start[:4] in (b"RIFF", b"RF64") and start[8:] == b"WAVE":
            return _missing_in_chunks(file, length, "<", b"data")
        if start[:4] == b"FORM" and start[8:] in (b"AIFF", b"AIFC"):
            return _missing_in_chunks(file, length, ">", b"SSND")
        if start[:4] == b".snd":
            begins, size = struct.unpack(">II", start[4:])
            return 0 if size >= _UNKNOWN else max(0, int(begins + size - length))
    return 0


def _missing_in_chunks(file: BinaryIO, length: int, order: str, wanted: bytes) -> int:
    long_size = 0  # RF64 stores the size in a separate chunk
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack(f"{order}4sI", head)
        begins = file.tell()
        if name == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:], "little")
        if name == wanted:
            if size == 2**32 - 1 and long_size:
                return max(0, begins + long_size - length)
            return 0 if size >= _UNKNOWN else max(0, begins + int(size) - length)
        file.seek(begins + size + size % 2)
    return 0


def ogg_ends(path: Path) -> bool:
    """Whether the last page of an Ogg file has the end-of-stream flag."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2**17))  # twice the maximum page size
        end = file.read()
    page = end.rfind(b"OggS")
    return page >= 0 and len(end) > page + 5 and bool(end[page + 5] & 4)
