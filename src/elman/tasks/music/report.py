"""Reads and checks music files: ``elman check music``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from elman.data.faults import Fault, Place, Row
from elman.data.report import DataReport, listed, many
from elman.data.sources import is_folder
from elman.errors import DataError
from elman.tasks.music.midi import MidiFile, midi_rows
from elman.tasks.music.notes import HIGHEST, LOWEST, Piece, frames_of, pitch_name
from elman.tasks.music.pitch_sets import pitch_set_rows
from elman.tasks.music.voices import voices_of

#: time signatures whose beat is a quarter note, as the grid expects
_USUAL = ("4/4", "2/4", "3/4", "2/2", "6/4", "3/2", "4/2")
#: distance from the grid, as a fraction of a step, from which on a note is off the grid
_OFF_GRID = 0.2


def music_rows(path: Path, grid: int, tempo: float) -> Iterator[Row[Piece] | Fault]:
    """Yields the pieces and faults of a MIDI file, a folder of MIDI files, or a JSON file.

    ``grid`` and ``tempo`` apply to JSON, which states neither.
    """
    if path.suffix.lower() == ".json" and not is_folder(path):
        yield from pitch_set_rows(path, grid, tempo)
        return
    for item in midi_rows(path):
        yield item if isinstance(item, Fault) else Row(item.place, item.value.piece)


def check_music(path: Path, *, grid: int, tempo: float, voices: bool = False) -> DataReport:
    """Checks the files that ``music_rows`` reads; with ``voices``, also that pieces have them.

    Facts: ``pieces``, ``problems``, ``parts``, ``notes``, ``steps`` (of the grid), ``range``,
    ``pitches_at_once`` (maximum), ``silent_steps``, ``minutes``, ``duplicates``.
    """
    files: list[Row[MidiFile]] = []
    items: list[Row[Piece] | Fault] = []
    if path.suffix.lower() == ".json" and not is_folder(path):
        items += pitch_set_rows(path, grid, tempo)
    else:
        for item in midi_rows(path):
            if isinstance(item, Fault):
                items.append(item)
            else:
                files.append(item)
                items.append(Row(item.place, item.value.piece))
    if voices:
        items = [_without_voices(item, grid) or item for item in items]
    rows = [item for item in items if isinstance(item, Row)]
    frames = [frames_of(row.value, grid) for row in rows]
    every = [frame for piece in frames for frame in piece]
    pitches = [note.pitch for row in rows for note in row.value.notes]
    repeats, repeated = repeated_rows(rows)
    facts: dict[str, object] = {
        "pieces": len(rows),
        "problems": sum(isinstance(item, Fault) for item in items),
        "parts": dict(Counter([row.value.part or "none" for row in rows])),
        "notes": len(pitches),
        "steps": len(every),
        "range": f"{pitch_name(min(pitches))} to {pitch_name(max(pitches))}" if pitches else "",
        "pitches_at_once": max([len(frame) for frame in every], default=0),
        "silent_steps": sum(not frame for frame in every),
        "minutes": round(sum([row.value.seconds(row.value.length) for row in rows]) / 60, 1),
        "duplicates": repeats,
    }
    warnings = [*_file_warnings(files), *_piece_warnings(rows), *_off_grid(rows, grid), *repeated]
    return DataReport(path, listed(items), tuple(warnings), facts)


def _without_voices(item: Row[Piece] | Fault, grid: int) -> Fault | None:
    if isinstance(item, Fault):
        return None
    try:
        voices_of(item.value, grid)
    except DataError as error:
        return Fault(item.place, str(error))
    return None


def _file_warnings(files: Sequence[Row[MidiFile]]) -> Iterator[str]:
    """Warnings about contents of MIDI files that models ignore."""
    drums = [row.place for row in files if row.value.drums]
    if drums:
        yield f"{many(drums, 'file')} with drums, which are ignored."
    beyond = [row.place for row in files if row.value.beyond]
    if beyond:
        yield f"{many(beyond, 'file')} with notes beyond the piano (A0 to C8), which are ignored."
    endless = [row.place for row in files if row.value.endless]
    if endless:
        yield (
            f"{many(endless, 'file')} with notes that never end or have no duration, which are "
            "ignored."
        )
    tempos = [row.place for row in files if row.value.tempos]
    if tempos:
        yield f"{many(tempos, 'file')} with an invalid tempo (zero or infinite), which is ignored."
    odd = {s: row.place for row in files for s in reversed(row.value.signatures) if s not in _USUAL}
    for signature, place in odd.items():
        yield f"{place}: the time signature is {signature}; frames still count quarter notes."
    changing = [row.place for row in files if len(row.value.piece.tempos) > 1]
    if changing:
        yield (
            f"{many(changing, 'file')} with tempo changes: events keep the timing, frames count "
            "quarter notes."
        )


def _piece_warnings(rows: Sequence[Row[Piece]]) -> Iterator[str]:
    beyond = [
        row.place
        for row in rows
        if any([not LOWEST <= note.pitch <= HIGHEST for note in row.value.notes])
    ]
    if beyond:
        yield f"{many(beyond, 'piece')} with notes beyond the piano (A0 to C8), which are ignored."
    silent = [row.place for row in rows if not row.value.notes]
    if silent:
        yield f"{many(silent, 'piece')} without notes."
    short = [row.place for row in rows if row.value.notes and row.value.length < 4]
    if short:
        yield f"{many(short, 'piece')} shorter than four quarter notes."


def _off_grid(rows: Sequence[Row[Piece]], grid: int) -> Iterator[str]:
    starts = [note.start * grid for row in rows for note in row.value.notes]
    off = sum([abs(start - round(start)) > _OFF_GRID for start in starts])
    if off > len(starts) / 50:
        yield (
            f"{off / len(starts):.0%} of the notes start between the steps of grid = {grid}; "
            "frames move them to the nearest step. A finer grid or model = events keeps them."
        )


def repeated_rows(rows: Sequence[Row[Piece]]) -> tuple[int, list[str]]:
    """Counts and reports duplicate pieces, within a part and across parts (test data leakage)."""
    first: dict[object, tuple[Place, str | None]] = {}
    same: list[Place] = []
    across: list[Place] = []
    for row in rows:
        notes = tuple([(n.start, n.end, n.pitch) for n in row.value.notes])
        _, part = first.setdefault(notes, (row.place, row.value.part))
        if first[notes][0] is row.place:
            continue
        (same if part == row.value.part else across).append(row.place)
    warnings = []
    if same:
        warnings.append(f"{many(same, 'duplicate piece')}.")
    if across:
        warnings.append(f"{many(across, 'piece')} that also occur in another part of the data.")
    return len(same) + len(across), warnings
