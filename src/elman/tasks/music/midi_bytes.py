"""Reads what symusic does not report of a MIDI file: its type, time division and note-on count.

Follows the Standard MIDI File 1.0: a header chunk ``MThd``, then a chunk ``MTrk`` per track.
``midi.py`` reads notes and tempos.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_HEAD = 14  # bytes: "MThd", length, type, number of tracks, division


def unwrap_riff(content: bytes) -> bytes:
    """Extracts the MIDI file from a RIFF container (RMID, common on Windows), if it is one."""
    if content[:4] != b"RIFF" or content[8:12] != b"RMID":
        return content
    chunks = dict(_chunks(content[12:], "<"))
    return chunks.get(b"data", content)


def time_fault(content: bytes) -> str:
    """Why the times of a file cannot be used, without the subject "this file"; "" if they can."""
    if content[:4] != b"MThd" or len(content) < _HEAD:
        return ""
    kind, tracks, division = struct.unpack(">HHH", content[8:_HEAD])
    if kind == 2 and tracks > 1:
        return "contains several pieces (MIDI type 2); save each as a file of type 0 or 1."
    if division == 0:
        return "has the time division 0, so its times are undefined; save it again."
    if division >= 2**15:
        return "counts time in SMPTE frames; save it with times in quarter notes."
    return ""


def count_note_ons(content: bytes) -> int:
    """The number of note-on events in all tracks, including notes that never end."""
    head = struct.unpack(">I", content[4:8])[0]
    tracks = _chunks(content[8 + head :], ">")
    return sum([_count_in_track(track) for name, track in tracks if name == b"MTrk"])


def _chunks(content: bytes, order: str) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(content):
        name, size = struct.unpack_from(f"{order}4sI", content, at)
        yield name, content[at + 8 : at + 8 + size]
        at += 8 + size + (size % 2 if order == "<" else 0)


def _count_in_track(track: bytes) -> int:
    found, at, status = 0, 0, 0
    while at < len(track):
        _, at = _number(track, at)  # delta time
        if at < len(track) and track[at] >= 0x80:
            status, at = track[at], at + 1
        if status in (0xFF, 0xF0, 0xF7):
            length, at = _number(track, at + (status == 0xFF))
            at += length
        elif status >> 4 in (0xC, 0xD):
            at += 1
        else:
            found += status >> 4 == 0x9 and at + 1 < len(track) and track[at + 1] > 0
            at += 2
    return found


def _number(track: bytes, at: int) -> tuple[int, int]:
    """Reads a variable-length quantity (7 bits per byte); returns it and the next position."""
    value = 0
    while at < len(track):
        value, at = value << 7 | track[at] & 127, at + 1
        if track[at - 1] < 128:
            break
    return value, at
