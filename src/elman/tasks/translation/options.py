"""The options of translation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from elman.errors import OptionError
from elman.options import DeclaredOptions, option
from elman.tasks.recurrent_options import RecurrentOptions


@dataclass(frozen=True)
class TranslationOptions(RecurrentOptions):
    """The options of translation."""

    cell: str = option("gru", "a cell of the catalogue, or FILE.py:NAME for one of your own")
    hidden_size: int = option(256, "units of each recurrent layer, in each direction", minimum=1)
    embedding_size: int = option(160, "numbers in a sub-word's vector", minimum=1)
    encoder_layers: int = option(
        1, "recurrent layers that read the source, in both directions", minimum=1
    )
    decoder_layers: int = option(2, "recurrent layers that write the target", minimum=1)
    attention: Literal["multiplicative", "additive"] = option(
        "multiplicative", "how the decoder asks: multiplicative (Luong) or additive (Bahdanau)"
    )
    input_feeding: bool = option(
        False, "each step reads what the last one came to: trains step by step, and slower"
    )
    tied: bool = option(True, "the target's vectors score its sub-words, too")
    vocabulary: int = option(4000, "sub-words of each language, at most", minimum=300)
    joint: bool = option(False, "the same sub-words and vectors for both languages")
    dropout: float = option(
        0.1, "part of the features that training leaves out", minimum=0, below=1
    )
    label_smoothing: float = option(
        0.1, "part of the target that goes to all sub-words", minimum=0, below=1
    )
    longest: int = option(
        80, "sentences are cut after so many words, or twice as many sub-words", minimum=1
    )
    skip_bad: bool = option(
        False, "leave out examples that are wrong, and list them", reads_data=True, switch=True
    )


@dataclass(frozen=True)
class SearchOptions(DeclaredOptions):
    """How a translation is searched for, and what is shown of it."""

    beam: int = option(5, "how many translations are followed at once; 1 is greedy", minimum=1)
    n_best: int = option(
        1, "how many translations of each sentence are given", minimum=1, scored=False
    )
    length_penalty: float = option(
        1.0, "translations rank by log p / length ** this: more favours longer ones", minimum=0
    )
    show: Literal["", "attention"] = option(
        "", "attention: from which words each word came", scored=False
    )
    png: str = option("", "draw the attention into this file", scored=False)

    def __post_init__(self) -> None:
        """Also refuse more translations than the beam has."""
        super().__post_init__()
        if self.n_best > self.beam:
            raise OptionError(
                f"n_best is {self.n_best}; it must be from 1 to the beam, which is {self.beam}."
            )
