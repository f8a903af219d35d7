"""Tunes note by note, while they are composed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from elman.errors import DataError
from elman.tasks.music.answers import Music, record
from elman.tasks.music.composition import Composing
from elman.tasks.music.data import MusicSymbols, read_inputs
from elman.tasks.music.events import changes_of
from elman.tasks.music.notes import Piece, key_of
from elman.tasks.music.options import ComposeOptions, MusicOptions
from elman.tasks.music.voices import voice_changes
from elman.tasks.task import Fitted


def stream_records(
    fitted: Fitted[MusicSymbols, MusicOptions], pieces: Iterable[bytes], wanted: ComposeOptions
) -> Iterator[dict[str, Any]]:
    """Yields ``on`` and ``off`` for each note, with its time in seconds, then the whole ``tune``.

    ``pieces`` are a MIDI file to continue, or empty; its notes come first.
    """
    composing = Composing(fitted, _primer(b"".join(pieces), fitted.options), wanted)
    steps: list[Any] = []
    changes: Any = changes_of if fitted.options.model == "events" else _frame_changes
    if fitted.options.by_voices:
        changes = voice_changes
    # a number of seconds per unit of time: of events 10 ms, of frames a step of the grid
    unit = 0.01 if fitted.options.model == "events" else 60 / composing.tempo / fitted.options.grid

    def made() -> Iterator[Any]:
        for step in composing.primer:
            steps.append(step)
            yield step
        while True:
            with torch.no_grad():  # not across yields, where other code would run without
                step = next(composing.steps, None)
            if step is None:
                return
            steps.append(step)
            yield step

    for time, in_its_key, velocity, *voice in changes(made()):
        pitch = in_its_key + composing.back
        if not 0 <= pitch <= 127:  # no MIDI number, as in the whole tune
            continue
        kind = "on" if velocity else "off"
        yield {
            "type": kind,
            "seconds": round(time * unit, 3),
            "pitch": pitch,
            **({"velocity": velocity} if velocity else {}),
            **({"voice": voice[0]} if voice else {}),
        }
    piece = composing.piece(steps)
    yield {"type": "tune", **record(Music(piece, key_of(piece.notes)))}


def _primer(content: bytes, options: MusicOptions) -> Piece | None:
    if not content:
        return None
    with tempfile.TemporaryDirectory(prefix="elman-") as folder:
        path = Path(folder) / "primer.mid"
        path.write_bytes(content)
        try:
            [piece] = read_inputs(path, options)
        except DataError as error:
            raise DataError(str(error).replace(str(path), "primer")) from error
    return piece


def _frame_changes(frames: Iterable[Any]) -> Iterator[tuple[int, int, int]]:
    """(step, pitch, velocity) of each start and end of a note; the velocity of an end is 0."""
    sounding: set[int] = set()
    step = 0
    for frame in frames:
        for pitch in sorted(sounding - set(frame)):
            yield step, pitch, 0
        for pitch in sorted(set(frame) - sounding):
            yield step, pitch, 80
        sounding = set(frame)
        step += 1
    for pitch in sorted(sounding):
        yield step, pitch, 0
