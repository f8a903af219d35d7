"""Builds the music network from the options."""

from __future__ import annotations

from torch import nn

from elman.graph import Cell
from elman.models import Generator
from elman.nn.predictions import IndependentPitches, NextToken, OrderedPitches
from elman.nn.voices import VoicedPitches, VoiceInputs
from elman.tasks.music.data import MusicSymbols, count_known_features, voice_layout
from elman.tasks.music.events import (
    NUM_EVENTS,
)
from elman.tasks.music.notes import (
    NUM_PITCHES,
)
from elman.tasks.music.options import MusicOptions
from elman.tasks.recurrent_options import recurrent_layer
from elman.tasks.task import Vocab


def build(options: MusicOptions, cell: Cell, vocab: Vocab[MusicSymbols]) -> nn.Module:
    """Returns a ``Generator`` of frames, of events or of voices."""
    if options.by_voices:
        return _of_voices(options, cell, vocab)
    events = options.model == "events"
    recurrent = recurrent_layer(
        options,
        cell,
        options.embedding_size if events else NUM_PITCHES + count_known_features(options),
        options.hidden_size,
        options.num_layers,
        dropout=options.dropout,
    )
    prediction: NextToken | IndependentPitches | OrderedPitches
    if events:
        prediction = NextToken(recurrent.output_size, NUM_EVENTS)
    elif options.prediction == "independent":
        prediction = IndependentPitches(recurrent.output_size, NUM_PITCHES)
    else:
        prediction = OrderedPitches(
            recurrent.output_size,
            NUM_PITCHES,
            options.choice_size,
            descending=options.descending,
            dropout=options.choice_dropout,
        )
    return Generator(
        nn.Embedding(NUM_EVENTS, options.embedding_size) if events else nn.Identity(),
        recurrent,
        prediction,
        dropout=options.dropout,
    )


def _of_voices(options: MusicOptions, cell: Cell, vocab: Vocab[MusicSymbols]) -> nn.Module:
    layout = voice_layout(vocab.symbols, options)
    inputs = VoiceInputs(layout, NUM_PITCHES)
    recurrent = recurrent_layer(
        options,
        cell,
        inputs.size,
        options.hidden_size,
        options.num_layers,
        dropout=options.dropout,
    )
    prediction = VoicedPitches(
        recurrent.output_size,
        NUM_PITCHES,
        layout,
        options.choice_size,
        descending=options.descending,
        dropout=options.choice_dropout,
        frequencies=vocab.vectors,
    )
    return Generator(inputs, recurrent, prediction, dropout=options.dropout, passes_input=True)
