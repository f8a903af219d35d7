"""Builds the transcription network from the options."""

from __future__ import annotations

from torch import nn

from elman.graph import Cell
from elman.models import Transcriber
from elman.tasks.recurrent_options import recurrent_layer
from elman.tasks.speech.options import SpeechOptions
from elman.tasks.speech.symbols import SpeechSymbols
from elman.tasks.task import Vocab


def build(options: SpeechOptions, cell: Cell, vocab: Vocab[SpeechSymbols]) -> nn.Module:
    """Returns a ``Transcriber`` of the cell."""
    encoder = recurrent_layer(
        options,
        cell,
        options.frames_per_step * options.num_mels,
        options.hidden_size,
        options.num_layers,
        bidirectional=options.bidirectional,
        dropout=options.dropout,
    )
    return Transcriber(
        encoder,
        len(vocab.symbols.pieces),
        frames_per_step=options.frames_per_step,
        dropout=options.dropout,
    )
