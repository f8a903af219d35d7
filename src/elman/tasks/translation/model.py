"""Builds the translation network from the options."""

from __future__ import annotations

from functools import partial

from torch import nn

from elman.graph import Cell
from elman.models import Translator
from elman.nn import Recurrent
from elman.tasks.recurrent_options import recurrent_keywords
from elman.tasks.task import Vocab
from elman.tasks.translation.data import TranslationSymbols
from elman.tasks.translation.options import TranslationOptions


def build(options: TranslationOptions, cell: Cell, vocab: Vocab[TranslationSymbols]) -> nn.Module:
    """Returns a ``Translator`` of the cell."""
    symbols: TranslationSymbols = vocab.symbols
    return Translator(
        cell,
        len(symbols.source),
        len(symbols.target),
        embedding_size=options.embedding_size,
        hidden_size=options.hidden_size,
        encoder_layers=options.encoder_layers,
        decoder_layers=options.decoder_layers,
        attention=options.attention,
        input_feeding=options.input_feeding,
        tied=options.tied,
        shared=options.joint,
        dropout=options.dropout,
        label_smoothing=options.label_smoothing,
        merge=options.merge,
        layer=partial(Recurrent, **recurrent_keywords(options)),
    )
