"""Reads music from JSON: each piece is a list of steps, each step a list of MIDI pitches.

    {"train": [[[60, 64, 67], [60, 65, 69], ...], ...], "valid": [...], "test": [...]}

This is the format of the data sets of Boulanger-Lewandowski et al. (2012).  Any of the three parts
may be missing; the file may also be a plain list of pieces.  A piece may be an object with its
voices instead, each a list with a pitch, or null for a rest, for each step:

    {"voices": [[67, 69, null, ...], [64, 65, 65, ...], ...]}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elman.data.faults import Fault, Place, Row
from elman.data.plain_text import read_plain_text
from elman.tasks.music.notes import Piece, notes_of
from elman.tasks.music.voices import REST, voice_notes

PARTS = ("train", "valid", "test")


def pitch_set_rows(path: Path, grid: int, tempo: float) -> Iterator[Row[Piece] | Fault]:
    """Yields pieces and faults in file order.

    ``grid`` is the number of steps per quarter note, ``tempo`` of quarter notes per minute.
    """
    text, faults = read_plain_text(path)
    yield from faults
    if not text:
        return
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        yield Fault(Place(path, line), f"this is not valid JSON ({error}); correct it.")
        return
    parts = content if isinstance(content, dict) else {None: content}
    unknown = [name for name in parts if name not in (*PARTS, None)]
    if unknown or not parts:
        found = f'has "{unknown[0]}"' if unknown else "is empty"
        yield Fault(
            Place(path),
            f'the object {found}; the valid keys are "train", "valid" and "test", each with a list '
            "of pieces.",
        )
        return
    empty = True
    for part, pieces in parts.items():
        if not isinstance(pieces, list):
            yield Fault(Place(path), f"{part or 'the file'} is not a list of pieces; make it one.")
            return
        for number, steps in enumerate(pieces):
            empty = False
            voices = isinstance(steps, dict)
            wrong = _wrong_voices(steps) if voices else _wrong(steps)
            if wrong:
                where = f"{part}[{number}]" if part else f"piece {number}"
                yield Fault(Place(path), f"{where}{wrong}")
                continue
            if voices:
                lines = [[REST if p is None else int(p) for p in line] for line in steps["voices"]]
                notes = voice_notes(list(zip(*lines, strict=True)), grid)
                length = len(lines[0]) / grid
                yield Row(Place(path), Piece(notes, length, ((0.0, tempo),), part))
                continue
            frames = [sorted({int(pitch) for pitch in step}) for step in steps]
            notes = notes_of(frames, grid)
            yield Row(Place(path), Piece(notes, len(steps) / grid, ((0.0, tempo),), part))
    if empty:
        yield Fault(Place(path), "the file has no pieces; provide at least one.")


def _wrong(steps: Any) -> str:
    """The fault of a piece, or ""."""
    if not isinstance(steps, list) or not steps:
        return " is not a list of steps; it must have at least one step, a list of pitches."
    for number, step in enumerate(steps):
        if not isinstance(step, list):
            return f", step {number}, is {_short(step)}; it must be a list of MIDI pitches."
        for pitch in step:
            whole = isinstance(pitch, int | float) and not isinstance(pitch, bool)
            if not (whole and 0 <= pitch <= 127 and pitch == int(pitch)):
                return (
                    f", step {number}, has the pitch {_short(pitch)}; MIDI pitches are integers "
                    "from 0 to 127."
                )
    return ""


def _wrong_voices(piece: Any) -> str:
    """The fault of a piece with voices, or ""."""
    lines = piece.get("voices")
    if [*piece] != ["voices"] or not isinstance(lines, list) or not lines:
        return ' is an object; it must have "voices" only, a list with a list for each voice.'
    for voice, line in enumerate(lines):
        if not isinstance(line, list) or not line:
            return f", voice {voice}, is {_short(line)}; it must be a list of MIDI pitches."
        if len(line) != len(lines[0]):
            return (
                f", voice {voice}, has {len(line)} steps, but voice 0 has {len(lines[0])}; all "
                "voices must have the same number of steps: write null for a rest."
            )
        wrong = _wrong([[pitch for pitch in line if pitch is not None]])
        if wrong:
            return f", voice {voice}{wrong.removeprefix(', step 0')}"
    return ""


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:40]}..."
