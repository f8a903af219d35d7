"""Builds the tagging network from the options."""

from __future__ import annotations

from torch import nn

from elman.graph import Cell
from elman.models import StandardTagger, Tagger, WindowTagger, WordFeatures
from elman.models.direct_scores import DirectScores
from elman.nn.characters import CharacterConvolution, CharacterRecurrence
from elman.tasks.ner.affixes import num_features
from elman.tasks.ner.options import NerOptions
from elman.tasks.ner.shapes import NUM_SHAPES
from elman.tasks.recurrent_options import recurrent_keywords
from elman.tasks.task import Vocab
from elman.tasks.word_model import (
    TextSymbols,
    encoder,
    word_embedding,
    word_strings,
)


def build(options: NerOptions, cell: Cell, vocab: Vocab[TextSymbols]) -> nn.Module:
    """Returns a ``Tagger`` of the cell, or a network without recurrence."""
    known = vocab.symbols.characters
    assert known is not None
    characters = _character_reader(options, cell, len(known))
    features = WordFeatures(
        word_embedding(options, vocab),
        characters,
        NUM_SHAPES if options.shape_size else 0,
        options.shape_size,
        word_strings(vocab.symbols, options),
    )
    num_tags = len(vocab.symbols.labels)
    affixes, direct = vocab.symbols.affixes, None
    if affixes is not None:
        count = num_features(options.affixes)
        direct = DirectScores(len(affixes), count, num_tags, dropout=options.affix_dropout)
    if options.model == "window":
        return WindowTagger(
            features,
            num_tags,
            window=options.window,
            hidden_size=options.hidden_size,
            crf=options.crf,
            dropout=options.dropout,
            direct=direct,
        )
    if options.model == "standard":
        return StandardTagger(
            features,
            options.positions,
            num_tags,
            hidden_size=options.hidden_size,
            crf=options.crf,
            dropout=options.dropout,
            direct=direct,
        )
    return Tagger(
        features,
        encoder(options, cell, features.output_size),
        num_tags,
        crf=options.crf,
        dropout=options.dropout,
        label_smoothing=options.label_smoothing,
        direct=direct,
    )


def _character_reader(
    options: NerOptions, cell: Cell, num_characters: int
) -> CharacterConvolution | CharacterRecurrence | None:
    if options.characters == "none":
        return None
    if options.characters == "convolution":
        return CharacterConvolution(
            num_characters, options.character_size, 2 * options.character_units
        )
    return CharacterRecurrence(
        cell,
        num_characters,
        options.character_size,
        options.character_units,
        sizes=recurrent_keywords(options)["sizes"],
    )
