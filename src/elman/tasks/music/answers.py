"""Generated tunes: how they are shown and saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elman.files import write_whole
from elman.tasks.music.midi import write_midi
from elman.tasks.music.notes import (
    Piece,
    pitch_name,
)
from elman.tasks.music.options import ComposeOptions
from elman.tasks.music.piano_roll import draw_roll, roll_text
from elman.tasks.music.synthesis import render, write_sound

#: MIDI programs: church organ for frames, piano for events
_ORGAN, _PIANO = 19, 0


@dataclass(frozen=True)
class Music:
    """A generated tune: its notes, its key and its output files."""

    piece: Piece
    key: str
    files: tuple[str, ...] = ()


def save(predictions: Sequence[Music], wanted: ComposeOptions) -> list[Path]:
    """Writes the tunes as MIDI, audio and piano roll; file names of several tunes are numbered."""
    written = []
    for number, made in enumerate(predictions):
        for kind, path in files_of(wanted, number, len(predictions)).items():
            if kind == "out":
                write_midi(path, made.piece, program=_instrument(made.piece))
            elif kind == "wav":
                write_sound(path, render(made.piece))
            else:
                write_whole(path, draw_roll(made.piece, _facts(made)))
            written.append(path)
    return written


def _instrument(piece: Piece) -> int:
    """Piano if the velocity varies, otherwise organ."""
    return _ORGAN if len({note.velocity for note in piece.notes}) <= 1 else _PIANO


def files_of(wanted: ComposeOptions, number: int, count: int) -> dict[str, Path]:
    """The output files of tune ``number`` of ``count``, by kind."""
    named = {kind: Path(getattr(wanted, kind)) for kind in ("out", "wav", "png")}
    return {
        kind: path if count == 1 else path.with_stem(f"{path.stem}-{number + 1}")
        for kind, path in named.items()
        if getattr(wanted, kind)
    }


def show(prediction: Music) -> str:
    """The key and extent of a tune, its piano roll as text, and its files."""
    roll = roll_text(prediction.piece)
    parts = [f"[bold]{_facts(prediction)}[/]", f"[cyan]{roll}[/]" if roll else ""]
    if prediction.files:
        parts.append(f"[dim]{', '.join(prediction.files)}[/]")
    return "\n".join([text for text in parts if text])


def _facts(made: Music) -> str:
    notes = made.piece.notes
    seconds = made.piece.seconds(made.piece.length)
    if not notes:
        return f"silence, {seconds:.0f} seconds"
    pitches = [note.pitch for note in notes]
    return (
        f"{made.key}, {len(notes)} notes from {pitch_name(min(pitches))} to "
        f"{pitch_name(max(pitches))}, {seconds:.0f} seconds"
    )


def record(prediction: Music) -> dict[str, Any]:
    """The notes (times in seconds) and the files as a JSON object."""
    piece = prediction.piece
    return {
        "key": prediction.key,
        "seconds": round(piece.seconds(piece.length), 3),
        "notes": [
            {
                "pitch": note.pitch,
                "start": round(piece.seconds(note.start), 3),
                "end": round(piece.seconds(note.end), 3),
                "velocity": note.velocity,
                **({} if note.voice is None else {"voice": note.voice}),
            }
            for note in piece.notes
        ],
        "files": list(prediction.files),
    }
