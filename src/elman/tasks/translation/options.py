"""The options of translation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from elman.errors import OptionError
from elman.options import DeclaredOptions, option
from elman.tasks.recurrent_options import BidirectionalOptions


@dataclass(frozen=True)
class TranslationOptions(BidirectionalOptions):
    """The options of translation."""

    cell: str = option("gru", "a cell from the catalogue, or FILE.py:NAME for your own cell")
    hidden_size: int = option(256, "hidden units per layer and direction", minimum=1)
    embedding_size: int = option(160, "dimension of the subword embeddings", minimum=1)
    encoder_layers: int = option(1, "number of bidirectional encoder layers", minimum=1)
    decoder_layers: int = option(2, "number of decoder layers", minimum=1)
    attention: Literal["multiplicative", "additive"] = option(
        "multiplicative", "attention score: multiplicative (Luong) or additive (Bahdanau)"
    )
    input_feeding: bool = option(
        False, "feed the attention output to the next step (Luong et al. 2015); trains slower"
    )
    tied: bool = option(True, "use the target embeddings as output weights")
    vocabulary: int = option(4000, "maximum number of subwords per language", minimum=300)
    joint: bool = option(False, "share subwords and embeddings between the languages")
    lowercase: bool = option(
        False,
        "read sources in lower case and restore missing accents; sources in capitals get answers in"
        " capitals",
    )
    copied: Literal["", "as_written", "french_english"] = option(
        "",
        "names and numbers that are copied by placeholders: as_written; french_english also"
        " converts numbers, dates and times; empty copies nothing",
    )
    careless: float = option(
        0.0,
        "fraction of the training sources read without accents, half of them without a full stop",
        minimum=0,
        maximum=1,
    )
    dropout: float = option(0.1, "dropout rate", minimum=0, below=1)
    label_smoothing: float = option(
        0.1, "label smoothing (Szegedy et al. 2016)", minimum=0, below=1
    )
    longest: int = option(
        80, "truncate sentences to this many words and twice as many subwords", minimum=1
    )
    skip_bad: bool = option(
        False, "skip and list faulty examples instead of stopping", reads_data=True, switch=True
    )


@dataclass(frozen=True)
class SearchOptions(DeclaredOptions):
    """The options of translating: search and output."""

    beam: int = option(5, "beam size; 1 decodes greedily", minimum=1, request_maximum=32)
    n_best: int = option(
        1, "number of translations per sentence", minimum=1, scored=False, request_maximum=32
    )
    length_penalty: float = option(
        1.0,
        "exponent of the length by which log p is divided; larger favours longer",
        minimum=0,
        request_maximum=10,
    )
    coverage: float = option(
        0.0,
        "penalty for parts of the source that attention leaves out (Wu et al. 2016)",
        minimum=0,
        request_maximum=10,
    )
    known_words: bool = option(
        True,
        "write only words of the training translations, copied names and numbers, and no phrase"
        " twice in a row",
    )
    show: Literal["", "attention"] = option(
        "", "attention: also print the attention weights", scored=False
    )
    png: str = option("", "write the attention weights to this PNG file", scored=False)

    def __post_init__(self) -> None:
        """Also rejects an n_best larger than the beam."""
        super().__post_init__()
        if self.n_best > self.beam:
            raise OptionError(
                f"n_best is {self.n_best}; it must be from 1 to the beam size, {self.beam}."
            )
