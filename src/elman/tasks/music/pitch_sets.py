"""Music as JSON: for each piece a list of steps, for each step the list of its MIDI pitches.

    {"train": [[[60, 64, 67], [60, 65, 69], ...], ...], "valid": [...], "test": [...]}

This is the form of the chorales and other collections of Boulanger-Lewandowski et al. (2012).
Parts may be missing; a plain list of pieces has none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elman.data.faults import Fault, Place, Row
from elman.data.plain_text import read_plain_text
from elman.tasks.music.notes import Piece, notes_of

PARTS = ("train", "valid", "test")


def pitch_set_rows(path: Path, grid: int, tempo: float) -> Iterator[Row[Piece] | Fault]:
    """Pieces and faults in the order of the file.

    ``grid`` is how many steps a quarter note has, ``tempo`` how many of those a minute has.
    """
    text, faults = read_plain_text(path)
    yield from faults
    if not text:
        return
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        yield Fault(Place(path, line), f"this is not JSON ({error}); correct it.")
        return
    parts = content if isinstance(content, dict) else {None: content}
    unknown = [name for name in parts if name not in (*PARTS, None)]
    if unknown or not parts:
        found = f'has "{unknown[0]}"' if unknown else "is empty"
        yield Fault(
            Place(path),
            f'the object {found}; its parts are "train", "valid" and "test", each a list of '
            "pieces.",
        )
        return
    empty = True
    for part, pieces in parts.items():
        if not isinstance(pieces, list):
            yield Fault(Place(path), f"{part or 'the file'} is not a list of pieces; make it one.")
            return
        for number, steps in enumerate(pieces):
            empty = False
            wrong = _wrong(steps)
            if wrong:
                where = f"{part}[{number}]" if part else f"piece {number}"
                yield Fault(Place(path), f"{where}{wrong}")
                continue
            frames = [sorted({int(pitch) for pitch in step}) for step in steps]
            notes = notes_of(frames, grid)
            yield Row(Place(path), Piece(notes, len(steps) / grid, ((0.0, tempo),), part))
    if empty:
        yield Fault(Place(path), "there are no pieces in the file; give at least one.")


def _wrong(steps: Any) -> str:
    """What is wrong with a piece, or nothing."""
    if not isinstance(steps, list) or not steps:
        return " is not a list of steps; a piece has at least one step, a list of pitches."
    for number, step in enumerate(steps):
        if not isinstance(step, list):
            return f", step {number}, is {_short(step)}; it must be a list of MIDI pitches."
        for pitch in step:
            whole = isinstance(pitch, int | float) and not isinstance(pitch, bool)
            if not (whole and 0 <= pitch <= 127 and pitch == int(pitch)):
                return (
                    f", step {number}, has the pitch {_short(pitch)}; MIDI pitches are whole "
                    "numbers from 0 to 127."
                )
    return ""


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:40]}..."
