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
from elman.nn.voices import NO_REPEAT, RESTS, VoiceLayout
from elman.saved import of_kind, parse_json, sentences
from elman.tasks.music.events import (
    BEGIN,
    events_of,
    pitches_of,
    transposed,
)
from elman.tasks.music.form import (
    MOMENTS,
    Form,
    count_form_features,
    form_features,
    form_moments,
    form_of,
    load_form,
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
from elman.tasks.music.voices import REST, registers_of, voices_of
from elman.tasks.task import Vocab

#: decay lengths, in quarter notes, of the features for the distance to the end
HORIZONS = (1.0, 4.0, 16.0)


@dataclass(frozen=True)
class Tune:
    """The steps of a piece or of a window of it: frames of pitches, events, or voices.

    ``before`` is the step before the window, if any.  ``first`` is the index of the first step in
    the piece, which has ``whole`` steps.  With voices, ``form`` is that of the piece, and
    ``repeated`` has the step that each step of the window repeats, or ``None``.
    """

    steps: tuple[Any, ...]
    before: Any = None
    first: int = 0
    whole: int = 0
    tempo: float = 120.0
    part: str | None = None
    form: Form | None = None
    repeated: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class MusicSymbols:
    """The saved vocabulary of a music model: the median tempo of the training data.

    A model of voices also has the mean pitch of each voice and the forms of the training pieces.
    """

    tempo: float
    registers: tuple[float, ...] = ()
    forms: tuple[Form, ...] = ()

    def to_json(self) -> str:
        """Serialises to JSON."""
        saved: dict[str, Any] = {"format": 1, "tempo": self.tempo}
        if self.registers:
            saved["registers"] = list(self.registers)
            saved["forms"] = [form.to_json() for form in self.forms]
        return json.dumps(saved)


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
        if "registers" not in saved:
            return MusicSymbols(float(tempo))
        registers = of_kind(saved, "registers", list)
        if not registers or not all([type(each) in (int, float) for each in registers]):
            raise ValueError(f"the registers {registers}")
        forms = [load_form(numbers) for numbers in of_kind(saved, "forms", list)]
        if not forms:
            raise ValueError("no forms")
        return MusicSymbols(float(tempo), tuple(map(float, registers)), tuple(forms))


def read(path: Path, options: MusicOptions) -> list[Row[Tune]]:
    """Reads the tunes of a MIDI file, a folder of MIDI files, or a JSON file of pitch sets."""
    rows = list(music_rows(path, options.grid, options.tempo))
    values_or_error(rows)
    found: list[Row[Tune] | Fault] = []
    for row in rows:
        assert not isinstance(row, Fault)
        try:
            found.append(Row(row.place, tune_of(row.value, options)))
        except DataError as error:
            found.append(Fault(row.place, str(error)))
    values_or_error(found)
    return [row for row in found if not isinstance(row, Fault)]


def tune_of(piece: Piece, options: MusicOptions, symbols: MusicSymbols | None = None) -> Tune:
    """Converts a piece to the steps of the model, in its key.

    With ``symbols``, the piece is a primer, whose pitches may be fewer than the model's voices.
    Raises ``DataError`` for a piece that a model of voices cannot read.
    """
    if options.by_voices:
        registers = symbols.registers if symbols else ()
        voices = voices_of(piece, options.grid, len(registers), registers)
        form = form_of(voices, options.grid, options.bar)
        tempo, repeated = piece.tempos[0][1], repeated_steps(voices, form)
        return Tune(voices, None, 0, len(voices), tempo, piece.part, form, repeated)
    piece = in_semitones(piece, to_common_key(piece.notes, options.common_key))
    frames = options.model == "frames"
    steps = frames_of(piece, options.grid) if frames else events_of(piece)
    return Tune(steps, None, 0, len(steps), piece.tempos[0][1], piece.part)


def build_vocab(examples: Sequence[Tune], options: MusicOptions, seed: int) -> Vocab[MusicSymbols]:
    """Computes the median tempo; ``DataError`` if there are no notes.

    For voices, also their registers and the forms of the pieces, and the frequencies of pitches.
    """
    if not any([any(example.steps) for example in examples]):
        raise DataError("the training data has no notes; provide pieces with notes.")
    tempo = statistics.median([e.tempo for e in examples])
    if not options.by_voices:
        return Vocab(MusicSymbols(tempo), None)
    counts = sorted({len(step) for example in examples for step in example.steps[:1]})
    if len(counts) > 1:
        raise DataError(
            f"the training data has pieces with {counts[0]} and with {counts[-1]} voices; "
            "prediction = voices needs the same number in all: provide such pieces, or use "
            "prediction = ordered."
        )
    registers = registers_of([example.steps for example in examples])
    forms = tuple([example.form for example in examples if example.form])
    return Vocab(MusicSymbols(tempo, registers, forms), _frequencies(examples, len(registers)))


def _frequencies(examples: Sequence[Tune], voices: int) -> Tensor:
    """How often each voice has each pitch, and rests: half a time more, divided by the sum."""
    steps = torch.tensor([step for example in examples for step in example.steps])
    index = torch.where(steps == REST, NUM_PITCHES, steps - LOWEST)
    counts = [torch.bincount(index[:, k], minlength=NUM_PITCHES + 1) for k in range(voices)]
    smoothed = torch.stack(counts).float() + 0.5
    return smoothed / smoothed.sum(-1, keepdim=True)


def check_voices(rows: Sequence[Row[Tune]], symbols: MusicSymbols) -> None:
    """Raises ``DataError`` for the first piece with another number of voices than the model."""
    expected = len(symbols.registers)
    for row in rows if expected else ():
        count = len(row.value.steps[0]) if row.value.steps else expected
        if count != expected:
            raise DataError(
                f"{row.place}: the piece has {count} voices, but the model has {expected}; "
                f"provide pieces of {expected} voices."
            )


def repeated_steps(steps: Sequence[Any], form: Form) -> tuple[Any, ...]:
    """For each step, the one that it repeats by the piece's form, or ``None``."""
    length = form.repeat
    return (*[None] * length, *steps[:length], *[None] * (len(steps) - 2 * length))


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
            repeated = tune.repeated[start : start + longest]
            first = tune.first + start
            pieces.append(replace(tune, steps=steps, before=before, first=first, repeated=repeated))
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
    if options.by_voices:
        x, y = _collate_voices(examples, symbols, options, longest)
        return {"x": x, "y": y, "lengths": lengths}
    frames = torch.zeros(longest + 1, len(examples), NUM_PITCHES)
    for row, tune in enumerate(examples):
        steps = [tune.before or (), *tune.steps]
        times = [time for time, step in enumerate(steps) for _ in step]
        frames[times, row, [pitch - LOWEST for step in steps for pitch in step]] = 1
    known = torch.stack([known_features(options, t.first, t.whole, longest) for t in examples], 1)
    return {"x": torch.cat([frames[:-1], known], -1), "y": frames[1:], "lengths": lengths}


def voice_layout(symbols: MusicSymbols, options: MusicOptions) -> VoiceLayout:
    """How a model of voices lays out its input."""
    known = count_form_features(options.grid, options.bar)
    return VoiceLayout(len(symbols.registers), known, MOMENTS)


def _collate_voices(
    examples: Sequence[Tune], symbols: MusicSymbols, options: MusicOptions, longest: int
) -> tuple[Tensor, Tensor]:
    voices = len(symbols.registers)
    steps = torch.full((longest + 1, len(examples), voices), RESTS)
    rows = []
    for row, tune in enumerate(examples):
        steps[: len(tune.steps) + 1, row] = voice_indices([tune.before, *tune.steps], voices)
        assert tune.form is not None
        rows.append(
            torch.cat(
                [
                    steps[:-1, row],
                    nn.functional.pad(
                        repeat_indices(tune.repeated, voices),
                        (0, 0, 0, longest - len(tune.steps)),
                        value=NO_REPEAT,
                    ),
                    known_form(tune.form, tune.first, longest, options),
                ],
                -1,
            )
        )
    return torch.stack(rows, 1), steps[1:]


def voice_indices(steps: Sequence[Any], voices: int) -> Tensor:
    """Steps as rows of indices; ``None`` is a step of rests."""
    rests = (REST,) * voices
    pitches = torch.tensor([rests if step is None else step for step in steps])
    return torch.where(pitches == REST, RESTS, pitches - LOWEST)


def repeat_indices(steps: Sequence[Any], voices: int) -> Tensor:
    """Repeated steps as rows of indices; ``None`` is none."""
    none = torch.tensor([step is None for step in steps])[:, None]
    return torch.where(none, NO_REPEAT, voice_indices(steps, voices))


def known_form(form: Form, first: int, count: int, options: MusicOptions) -> Tensor:
    """The tonic, moments and features of the form at ``count`` steps, with which rows of x end."""
    tonic = torch.full((count, 1), float((form.tonic - LOWEST) % 12))
    moments = form_moments(form, first, count, options.grid)[:, None].float()
    features = form_features(form, first, count, options.grid, options.bar)
    return torch.cat([tonic, moments, features], -1)


def _transposed_at_random(tune: Tune, options: MusicOptions, generator: Random) -> Tune:
    """Transposes a tune at random, within the range of the piano."""
    steps = tune.steps if tune.before is None else (tune.before, *tune.steps)
    events = options.model == "events"
    pitches = pitches_of(steps) if events else {p for step in steps for p in step if p != REST}
    if not pitches:
        return tune
    lowest = max(-options.transpose, LOWEST - min(pitches))
    highest = min(options.transpose, HIGHEST - max(pitches))
    by = int(torch.randint(lowest, highest + 1, (), generator=generator))
    if events:
        moved: tuple[Any, ...] = transposed(steps, by)
    else:
        moved = tuple([_moved(step, by) for step in steps])
    if tune.form is not None:
        repeated = tuple([step if step is None else _moved(step, by) for step in tune.repeated])
        form = replace(tune.form, tonic=(tune.form.tonic + by) % 12)
        tune = replace(tune, form=form, repeated=repeated)
    if tune.before is None:
        return replace(tune, steps=moved)
    return replace(tune, steps=moved[1:], before=moved[0])


def _moved(step: Sequence[int], by: int) -> tuple[int, ...]:
    return tuple([pitch if pitch == REST else pitch + by for pitch in step])


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
