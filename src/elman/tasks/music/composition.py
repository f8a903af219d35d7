"""Composes tunes, from nothing or from a primer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from elman.decode import Sampler, generate
from elman.models import Generator
from elman.tasks.music.answers import Music, files_of
from elman.tasks.music.data import MusicSymbols, Tune, as_input, collate, known_features, tune_of
from elman.tasks.music.events import (
    BEGIN,
    piece_of,
    wait_of,
)
from elman.tasks.music.notes import (
    LOWEST,
    NUM_PITCHES,
    Piece,
    key_of,
    notes_of,
    to_common_key,
    transposed,
)
from elman.tasks.music.options import ComposeOptions, MusicOptions
from elman.tasks.task import Fitted

#: maximum number of events per second
_EVENTS_A_SECOND = 60


def predict(
    fitted: Fitted[MusicSymbols, MusicOptions],
    inputs: Sequence[Piece | None],
    wanted: ComposeOptions,
) -> list[Music]:
    """Composes a tune for each input."""
    primer = as_input(wanted.primer or None)
    made = []
    for number, given in enumerate(inputs):
        piece = _make(fitted, given or primer, replace(wanted, seed=wanted.seed + number))
        files = tuple([str(path) for path in files_of(wanted, number, len(inputs)).values()])
        made.append(Music(piece, key_of(piece.notes), files))
    return made


def _make(
    fitted: Fitted[MusicSymbols, MusicOptions], primer: Piece | None, wanted: ComposeOptions
) -> Piece:
    with torch.no_grad():
        composing = Composing(fitted, primer, wanted)
        return composing.piece([*composing.primer, *composing.steps])


class Composing:
    """A tune that is being composed.

    ``primer`` are the steps that it continues, ``steps`` an iterator of those that follow: frames,
    or events.  ``tempo`` is in quarter notes per minute.
    """

    def __init__(
        self,
        fitted: Fitted[MusicSymbols, MusicOptions],
        primer: Piece | None,
        wanted: ComposeOptions,
    ) -> None:
        model, self.options = fitted.model, fitted.options
        assert isinstance(model, Generator)
        model.eval()
        self.tempo = wanted.tempo or (primer.tempos[0][1] if primer else fitted.symbols.tempo)
        tune = tune_of(primer, self.options) if primer else Tune(())
        #: semitones from the model's key back to that of the primer
        self.back = -to_common_key(primer.notes, self.options.common_key) if primer else 0
        self.primer: Sequence[Any] = tune.steps
        self.steps: Iterator[Any]
        if self.options.model == "events":
            self.steps = _events(model, tune, wanted, fitted)
        else:
            count = max(1, round(wanted.seconds * self.tempo / 60 * self.options.grid))
            self.steps = _frames(model, tune, count, wanted, fitted)

    def piece(self, steps: Sequence[Any]) -> Piece:
        """The notes of all steps."""
        if self.options.model == "events":
            made = piece_of(steps)
        else:
            grid = self.options.grid
            made = Piece(notes_of(steps, grid), len(steps) / grid, ((0.0, self.tempo),))
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
