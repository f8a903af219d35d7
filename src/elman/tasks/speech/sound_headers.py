"""What the header of a sound file promises, against the bytes that are there.

libsndfile reads a wav, aiff or au file that is cut off as a shorter one and says nothing, so
the size of the samples is looked up here.  Sizes that a writer did not know when it began are
no promise.  How sound is read: ``audio.py``.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

#: sizes from here on stand for "not known": what programs write that send sound through a pipe
_UNKNOWN = 2**31 - 2**16
_XING_WITHIN = 4096  # bytes of the first frame of mp3


def missing_bytes(path: Path) -> int:
    """How many bytes of samples the header of a wav, aiff or au file promises beyond its end."""
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
    long_size = 0  # RF64 keeps it in a chunk of its own
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


def counts_its_frames(path: Path) -> bool:
    """Whether an mp3 file says how many frames it has; what libsndfile says else is a guess."""
    with path.open("rb") as file:
        start = file.read(10)
        tag = 0
        if start[:3] == b"ID3" and len(start) == 10:
            high, middle, low, lowest = [byte & 127 for byte in start[6:]]
            tag = 10 + (high << 21 | middle << 14 | low << 7 | lowest)
        file.seek(tag)
        first = file.read(_XING_WITHIN)
    return b"Xing" in first or b"Info" in first


def ogg_ends(path: Path) -> bool:
    """Whether the last page of an Ogg file says that it is the last."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2**17))  # a page has at most half of that
        end = file.read()
    page = end.rfind(b"OggS")
    return page >= 0 and len(end) > page + 5 and bool(end[page + 5] & 4)
