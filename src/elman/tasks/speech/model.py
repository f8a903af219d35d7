"""Builds the transcription network from the options."""

from __future__ import annotations

from torch import nn

from elman.graph import Cell
from elman.models import Transcriber, Transducer
from elman.tasks.recurrent_options import recurrent_layer
from elman.tasks.speech.options import SpeechOptions
from elman.tasks.speech.symbols import SpeechSymbols
from elman.tasks.task import Vocab


def build(options: SpeechOptions, cell: Cell, vocab: Vocab[SpeechSymbols]) -> nn.Module:
    """Returns a ``Transcriber`` or a ``Transducer`` of the cell."""
    encoder = recurrent_layer(
        options,
        cell,
        options.frames_per_step * options.num_mels,
        options.hidden_size,
        options.num_layers,
        bidirectional=options.bidirectional,
        dropout=options.dropout,
    )
    num_symbols = len(vocab.symbols.pieces)
    if options.decoder == "transducer":
        # vectors longer than the number of symbols could not tell them apart better
        size = min(num_symbols, options.prediction_size)
        return Transducer(
            encoder,
            recurrent_layer(options, cell, size, options.prediction_size),
            num_symbols,
            joint_size=options.joint_size,
            frames_per_step=options.frames_per_step,
            dropout=options.dropout,
            ctc_weight=options.ctc_weight,
        )
    return Transcriber(
        encoder,
        num_symbols,
        frames_per_step=options.frames_per_step,
        dropout=options.dropout,
    )
