"""Reads tunes and collates them into batches."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator as Random
from torch import Tensor, nn

from elman.data import pad_sequences
from elman.data.faults import Fault, Row, values_or_error
from elman.errors import DataError, RunError
from elman.saved import of_kind, parse_json, sentences
from elman.tasks.music.events import (
    BEGIN,
    events_of,
    pitches_of,
    transposed,
)
from elman.tasks.music.notes import (
    HIGHEST,
    LOWEST,
    NUM_PITCHES,
    Piece,
    frames_of,
    to_common_key,
)
from elman.tasks.music.notes import transposed as in_semitones
from elman.tasks.music.options import MusicOptions
from elman.tasks.music.report import music_rows
from elman.tasks.task import Vocab

#: decay lengths, in quarter notes, of the features for the distance to the end
HORIZONS = (1.0, 4.0, 16.0)


@dataclass(frozen=True)
class Tune:
    """The steps of a piece or of a window of it: frames of pitches, or events.

    ``before`` is the step before the window, if any.  ``first`` is the index of the first step in
    the piece, which has ``whole`` steps.
    """

    steps: tuple[Any, ...]
    before: Any = None
    first: int = 0
    whole: int = 0
    tempo: float = 120.0
    part: str | None = None

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class MusicSymbols:
    """The saved vocabulary of a music model: only the median tempo of the training data."""

    tempo: float

    def to_json(self) -> str:
        """Serialises to JSON."""
        return json.dumps({"format": 1, "tempo": self.tempo})


def load_symbols(text: str) -> MusicSymbols:
    """Loads the symbols.json of a run folder."""
    saved = parse_json(text, "symbols.json")
    with sentences("symbols.json"):
        if saved["format"] != 1:
            raise RunError(
                f"symbols.json has format {saved['format']}, but this version of Elman reads "
                "format 1; use the version that saved it."
            )
        tempo = of_kind(saved, "tempo", int | float)
        if not 1 <= tempo <= 10_000:
            raise ValueError(f"a tempo of {tempo} quarter notes in a minute")
        return MusicSymbols(float(tempo))


def read(path: Path, options: MusicOptions) -> list[Row[Tune]]:
    """Reads the tunes of a MIDI file, a folder of MIDI files, or a JSON file of pitch sets."""
    rows = list(music_rows(path, options.grid, options.tempo))
    values_or_error(rows)
    return [
        Row(row.place, tune_of(row.value, options)) for row in rows if not isinstance(row, Fault)
    ]


def tune_of(piece: Piece, options: MusicOptions) -> Tune:
    """Converts a piece to the steps of the model, in its key."""
    piece = in_semitones(piece, to_common_key(piece.notes, options.common_key))
    frames = options.model == "frames"
    steps = frames_of(piece, options.grid) if frames else events_of(piece)
    return Tune(steps, None, 0, len(steps), piece.tempos[0][1], piece.part)


def build_vocab(examples: Sequence[Tune], options: MusicOptions, seed: int) -> Vocab[MusicSymbols]:
    """Computes the median tempo; ``DataError`` if there are no notes."""
    if not any([any(example.steps) for example in examples]):
        raise DataError("the training data has no notes; provide pieces with notes.")
    return Vocab(MusicSymbols(statistics.median([e.tempo for e in examples])), None)


def cut(examples: Sequence[Tune], longest: int) -> list[Tune]:
    """Splits tunes with more than ``longest`` steps into windows.

    Each window is a separate example: its first step sees the step before it, but the state starts
    from zero.
    """
    pieces = []
    for tune in examples:
        for start in range(0, len(tune.steps), longest):
            steps = tune.steps[start : start + longest]
            before = tune.steps[start - 1] if start else tune.before
            pieces.append(replace(tune, steps=steps, before=before, first=tune.first + start))
    return pieces


def collate(
    examples: Sequence[Tune],
    symbols: MusicSymbols,
    options: MusicOptions,
    generator: Random | None = None,
) -> dict[str, Tensor]:
    """Collates inputs ``x`` (the previous steps), targets ``y`` (the steps) and ``lengths``.

    Transposes the tunes at random if a ``generator`` is given.
    """
    if generator is not None and options.transpose:
        examples = [_transposed_at_random(tune, options, generator) for tune in examples]
    if options.model == "events":
        y, lengths = pad_sequences([tune.steps for tune in examples])
        first = [BEGIN if tune.before is None else tune.before for tune in examples]
        return {"x": torch.cat([torch.tensor([first]), y])[:-1], "y": y, "lengths": lengths}
    lengths = torch.tensor([len(tune.steps) for tune in examples])
    longest = int(lengths.max())
    frames = torch.zeros(longest + 1, len(examples), NUM_PITCHES)
    for row, tune in enumerate(examples):
        steps = [tune.before or (), *tune.steps]
        times = [time for time, step in enumerate(steps) for _ in step]
        frames[times, row, [pitch - LOWEST for step in steps for pitch in step]] = 1
    known = torch.stack([known_features(options, t.first, t.whole, longest) for t in examples], 1)
    return {"x": torch.cat([frames[:-1], known], -1), "y": frames[1:], "lengths": lengths}


def _transposed_at_random(tune: Tune, options: MusicOptions, generator: Random) -> Tune:
    """Transposes a tune at random, within the range of the piano."""
    steps = tune.steps if tune.before is None else (tune.before, *tune.steps)
    events = options.model == "events"
    pitches = pitches_of(steps) if events else {pitch for step in steps for pitch in step}
    if not pitches:
        return tune
    lowest = max(-options.transpose, LOWEST - min(pitches))
    highest = min(options.transpose, HIGHEST - max(pitches))
    by = int(torch.randint(lowest, highest + 1, (), generator=generator))
    if events:
        moved: tuple[Any, ...] = transposed(steps, by)
    else:
        moved = tuple([tuple([pitch + by for pitch in step]) for step in steps])
    if tune.before is None:
        return replace(tune, steps=moved)
    return replace(tune, steps=moved[1:], before=moved[0])


def count_known_features(options: MusicOptions) -> int:
    """The number of features per step that ``known_features`` returns."""
    return options.bar * options.grid + (len(HORIZONS) if options.ending else 0)


def known_features(options: MusicOptions, first: int, whole: int, count: int) -> Tensor:
    """Features of the position of ``count`` steps: place in the bar and distance to the end.

    ``first`` is the index of the first step in a piece of ``whole`` steps.
    """
    place = torch.arange(first, first + count)
    found = [torch.zeros(count, 0)]
    if options.bar:
        in_bar = options.bar * options.grid
        found.append(nn.functional.one_hot(place % in_bar, in_bar).float())
    if options.ending:
        left = (whole - place).clamp_min(0).float() / options.grid  # quarter notes
        found.append(torch.stack([torch.exp(-left / horizon) for horizon in HORIZONS], -1))
    return torch.cat(found, -1)


def read_inputs(path: Path, options: MusicOptions) -> list[Piece]:
    """Reads the pieces of a file or folder as primers."""
    return values_or_error(music_rows(path, options.grid, options.tempo))


def as_input(value: Piece | str | Path | None) -> Piece | None:
    """Converts an input to a primer: a piece, the path of a file, or ``None`` for no primer."""
    if value is None or isinstance(value, Piece):
        return value
    [piece] = values_or_error(music_rows(Path(value), 1, 120.0))[:1]
    return piece
