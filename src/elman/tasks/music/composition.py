"""Composes tunes, from nothing or from a primer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from elman.decode import Sampler, generate
from elman.errors import OptionError
from elman.models import Generator
from elman.nn.stack import State
from elman.nn.voices import RESTS
from elman.tasks.music.answers import Music, files_of
from elman.tasks.music.data import (
    MusicSymbols,
    Tune,
    as_input,
    collate,
    known_features,
    known_form,
    repeat_indices,
    tune_of,
    voice_indices,
)
from elman.tasks.music.events import (
    BEGIN,
    piece_of,
    wait_of,
)
from elman.tasks.music.form import Form, draw_form, form_of, regular_form
from elman.tasks.music.notes import (
    LOWEST,
    NUM_PITCHES,
    Piece,
    key_of,
    notes_of,
    to_common_key,
    transposed,
)
from elman.tasks.music.options import ComposeOptions, MusicOptions, named_key
from elman.tasks.music.voices import REST, Step, voice_notes
from elman.tasks.task import Fitted

#: maximum number of events per second
_EVENTS_A_SECOND = 60
#: tunes of voices that are composed at once: always as many rows, the last ones repeated, because
#: libraries of linear algebra add in an order that depends on the shape
_TOGETHER = 16


def predict(
    fitted: Fitted[MusicSymbols, MusicOptions],
    inputs: Sequence[Piece | None],
    wanted: ComposeOptions,
) -> list[Music]:
    """Composes ``wanted.samples`` tunes for each input; those of voices several at once."""
    primer = as_input(wanted.primer or None)
    primers = [given or primer for given in inputs for _ in range(wanted.samples)]
    made = []
    for first in range(0, len(primers), _TOGETHER):
        with torch.no_grad():
            composing = [
                Composing(fitted, given, replace(wanted, seed=wanted.seed + number))
                for number, given in enumerate(primers[first : first + _TOGETHER], first)
            ]
            for number, piece in enumerate(_pieces(composing), first):
                paths = files_of(wanted, number, len(primers)).values()
                files = tuple([str(path) for path in paths])
                made.append(Music(piece, key_of(piece.notes), files))
    return made


def _pieces(composing: Sequence[Composing]) -> Iterator[Piece]:
    rows = [each.voices for each in composing if each.voices]
    if not rows:
        for each in composing:
            yield each.piece([*each.primer, *each.steps])
        return
    steps: list[list[Step]] = [[*each.primer] for each in composing]
    for found in _voices(composing[0].model, rows, composing[0].options):
        for own, step in zip(steps, found, strict=True):
            own += [step] if step else []
    for each, own in zip(composing, steps, strict=True):
        yield each.piece(own)


class Composing:
    """A tune that is being composed.

    ``primer`` are the steps that it continues, ``steps`` an iterator of those that follow: frames,
    events or voices.  ``tempo`` is in quarter notes per minute.
    """

    def __init__(
        self,
        fitted: Fitted[MusicSymbols, MusicOptions],
        primer: Piece | None,
        wanted: ComposeOptions,
    ) -> None:
        model, self.options = fitted.model, fitted.options
        assert isinstance(model, Generator)
        self.model = model.eval()
        self.tempo = wanted.tempo or (primer.tempos[0][1] if primer else fitted.symbols.tempo)
        if wanted.key and (primer or not self.options.by_voices):
            raise OptionError(
                f"key is {wanted.key!r}, but "
                + (
                    "a tune continues in the key of its primer; leave one of them out."
                    if primer
                    else "only models trained with prediction = voices choose a key; leave it out."
                )
            )
        tune = tune_of(primer, self.options, fitted.symbols) if primer else Tune(())
        #: semitones from the model's key back to that of the primer
        self.back = -to_common_key(primer.notes, self.options.common_key) if primer else 0
        self.primer: Sequence[Any] = tune.steps
        self.voices: VoiceTune | None = None
        self.steps: Iterator[Any]
        if self.options.model == "events":
            self.steps = _events(model, tune, wanted, fitted)
            return
        count = max(1, round(wanted.seconds * self.tempo / 60 * self.options.grid))
        if self.options.by_voices:
            form = _form(tune, count, wanted, fitted)
            primed = replace(tune, form=form, repeated=(None,) * len(tune.steps))
            x = collate([primed], fitted.symbols, self.options)["x"] if tune.steps else None
            known = known_form(form, 0, form.steps, self.options)
            voices = len(fitted.symbols.registers)
            self.voices = VoiceTune(tune.steps, form, x, known, _sampler(wanted), voices)
            self.steps = (step for [step] in _voices(model, [self.voices], self.options) if step)
        else:
            self.steps = _frames(model, tune, count, wanted, fitted)

    def piece(self, steps: Sequence[Any]) -> Piece:
        """The notes of all steps."""
        if self.options.model == "events":
            made = piece_of(steps)
        else:
            grid = self.options.grid
            notes = (voice_notes if self.options.by_voices else notes_of)(steps, grid)
            made = Piece(notes, len(steps) / grid, ((0.0, self.tempo),))
        return transposed(made, self.back) if self.back else made


def _frames(
    model: Generator,
    tune: Tune,
    count: int,
    wanted: ComposeOptions,
    fitted: Fitted[MusicSymbols, MusicOptions],
) -> Iterator[tuple[int, ...]]:
    """Generates ``count`` frames that continue a tune to its end."""
    options = fitted.options
    whole = len(tune.steps) + count
    known = known_features(options, 0, whole, whole)
    state, last = None, torch.zeros(1, NUM_PITCHES)
    if tune.steps:
        primer = collate([replace(tune, whole=whole)], fitted.symbols, options)
        _, state = model(primer["x"])
        last = primer["y"][-1]

    def step(frame: Tensor, at: tuple[int, Any]) -> tuple[Tensor, tuple[int, Any]]:
        place, state = at
        x = torch.cat([frame, known[[place]]], -1)
        features, state = model.step(x, state)
        return features, (place + 1, state)

    sampler = _sampler(wanted)
    made = generate(step, lambda known: model.draw(known, sampler), last, (len(tune.steps), state))
    for frame in islice(made, count):
        yield tuple([int(pitch) + LOWEST for pitch in frame[0].nonzero()[:, 0]])


def _form(
    tune: Tune, count: int, wanted: ComposeOptions, fitted: Fitted[MusicSymbols, MusicOptions]
) -> Form:
    """The form of a tune of about ``count`` steps, or of one that continues ``tune``."""
    options = fitted.options
    if tune.steps:
        begun = form_of(tune.steps, options.grid, options.bar, ends=False)
        form = regular_form(begun, len(tune.steps) + count, options.grid, options.bar)
        # a primer shorter than a bar may leave nothing of the nearest whole bar
        return replace(form, steps=max(form.steps, len(tune.steps) + 1))
    form = draw_form(fitted.symbols.forms, count, options.grid, options.bar, wanted.seed)
    if wanted.key:
        tonic, minor = named_key(wanted.key)
        form = replace(form, tonic=tonic, minor=minor)
    return form


@dataclass(frozen=True)
class VoiceTune:
    """A tune of voices that is to be composed: how it begins, its form, and its dice.

    ``x`` is the model's input for the steps of ``begun``, ``None`` if there are none; ``known`` are
    the features of the form at all steps; ``voices`` is their number.
    """

    begun: Sequence[Step]
    form: Form
    x: Tensor | None
    known: Tensor
    sampler: Sampler
    voices: int


def _voices(
    model: Generator, tunes: Sequence[VoiceTune], options: MusicOptions
) -> Iterator[list[Step | None]]:
    """Generates the next step of each of up to 16 tunes, ``None`` of those whose form has ended.

    A tune is the same in any company, bit for bit.
    """
    made: list[list[Step]] = [[*tune.begun] for tune in tunes]
    count, spare = len(tunes), _TOGETHER - len(tunes)
    state = _states_after(model, [*tunes, *[tunes[-1]] * spare])

    def choose(logits: Tensor) -> Tensor:
        rows = zip(tunes, logits[:count].split(1), strict=True)
        drawn = [tune.sampler(row) for tune, row in rows]
        return torch.cat([*drawn, *[drawn[-1]] * spare])

    while any([len(own) < tune.form.steps for own, tune in zip(made, tunes, strict=True)]):
        rows = [_row(tune, own) for tune, own in zip(tunes, made, strict=True)]
        features, state = model.step(torch.cat([*rows, *[rows[-1]] * spare]), state)
        drawn = model.draw(features, choose)[:count]
        found: list[Step | None] = []
        for tune, own, indices in zip(tunes, made, drawn.tolist(), strict=True):
            if len(own) < tune.form.steps:
                own.append(tuple([REST if k == RESTS else k + LOWEST for k in indices]))
                found.append(own[-1])
            else:
                found.append(None)
        yield found


def _row(tune: VoiceTune, made: Sequence[Step]) -> Tensor:
    """The model's input for the step after those that are ``made``."""
    place = min(len(made), tune.form.steps - 1)
    repeats = tune.form.repeat <= place < 2 * tune.form.repeat
    last, again = made[-1] if made else None, made[place - tune.form.repeat] if repeats else None
    voices = tune.voices
    steps = [voice_indices([last], voices), repeat_indices([again], voices)]
    return torch.cat([*steps, tune.known[[place]]], -1)


def _states_after(model: Generator, tunes: Sequence[VoiceTune]) -> State | None:
    """The states after the steps with which the tunes begin; ``None`` if none has any."""
    if all([tune.x is None for tune in tunes]):
        return None
    each = [
        model.recurrent.first_state(1) if tune.x is None else model(tune.x)[1] for tune in tunes
    ]
    return tuple([torch.cat(parts, 1) for parts in zip(*each, strict=True)])


def _events(
    model: Generator, tune: Tune, wanted: ComposeOptions, fitted: Fitted[MusicSymbols, MusicOptions]
) -> Iterator[int]:
    """Generates events that continue a tune for ``wanted.seconds``."""
    state, last = None, torch.tensor([BEGIN])
    if tune.steps:
        primer = collate([tune], fitted.symbols, fitted.options)
        _, state = model(primer["x"])
        last = primer["y"][-1]
    sampler = _sampler(wanted)
    made = generate(model.step, lambda known: model.draw(known, sampler), last, state)
    left = wanted.seconds
    for event in islice(made, int(wanted.seconds * _EVENTS_A_SECOND) + 1):
        left -= wait_of(int(event))
        if left < 0:
            return
        yield int(event)


def _sampler(wanted: ComposeOptions) -> Sampler:
    return Sampler(wanted.temperature, wanted.top_k, wanted.top_p, wanted.seed)
