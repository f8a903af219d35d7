"""The options of named entities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from elman.options import option, option_of
from elman.tasks.text_options import TextOptions


@dataclass(frozen=True)
class NerOptions(TextOptions):
    """The options of named entities."""

    dropout: float = option_of(TextOptions, "dropout", 0.6)
    word_dropout: float = option_of(TextOptions, "word_dropout", 0.1)
    model: Literal["recurrent", "window", "standard"] = option(
        "recurrent",
        "recurrent, or a network without recurrence: window, which sees a few words at a "
        "time, or standard, in which each position has weights of its own",
    )
    window: int = option(2, "words on either side that the window sees", minimum=0)
    positions: int = option(30, "words that the standard network sees", minimum=1)
    crf: bool = option(True, "weigh tags against their neighbours (a conditional random field)")
    label_smoothing: float = option(
        0.0,
        "part of the target that goes to the other tags, where there is no such field",
        minimum=0,
        below=1,
    )
    characters: Literal["recurrence", "convolution", "none"] = option(
        "recurrence", "how the characters of a word are read"
    )
    character_size: int = option(25, "numbers in a character's vector", minimum=1)
    character_units: int = option(25, "units that read characters, in each direction", minimum=1)
    name_dropout: float = option(
        0.0,
        "part of the words of names that training makes unknown, beside word_dropout",
        minimum=0,
        below=1,
    )
    outside_penalty: float = option(
        0.0, "taken from the score of no name: above 0 more names are found, more of them wrongly"
    )
    shape_size: int = option(
        8, "numbers for a word's shape (Capitalised, DIGITS ...); 0 for none", minimum=0
    )
    token_column: int = option(
        0,
        "column of the words, from 1; 0: the first, or the second where the first numbers them",
        minimum=0,
        reads_data=True,
    )
    tag_column: int = option(
        0,
        "column of the tags, from 1; 0: the last one that holds tags",
        minimum=0,
        reads_data=True,
    )
