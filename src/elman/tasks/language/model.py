"""Builds the language model from the options."""

from __future__ import annotations

from elman.data.units import Units
from elman.errors import OptionError
from elman.graph import Cell
from elman.models import LanguageModel
from elman.nn.embedding import WordEmbedding
from elman.tasks.language.options import LanguageOptions
from elman.tasks.recurrent_options import output_units, recurrent_layer
from elman.tasks.task import Vocab


def build(options: LanguageOptions, cell: Cell, vocab: Vocab[Units]) -> LanguageModel:
    """Returns the language model."""
    if options.tie_weights and options.softmax == "adaptive":
        raise OptionError(
            "tie_weights shares the weights of a full softmax, but softmax is adaptive; omit one "
            "of them."
        )
    size = options.embedding_size
    if options.tie_weights:
        size = output_units(options, cell, options.hidden_size)
    embedding = WordEmbedding(len(vocab.symbols), size, dropout=options.embedding_dropout)
    recurrent = recurrent_layer(
        options, cell, size, options.hidden_size, options.num_layers, dropout=options.dropout
    )
    return LanguageModel(
        embedding,
        recurrent,
        len(vocab.symbols),
        tied=options.tie_weights,
        adaptive=options.softmax == "adaptive",
        by_frequency=vocab.symbols.order(),
        carries_state=options.carry_state,
        dropout=options.dropout,
    )
