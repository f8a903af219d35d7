"""The options of named entity recognition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from elman.options import DeclaredOptions, option, option_of
from elman.tasks.text_options import TextOptions


@dataclass(frozen=True)
class NerOptions(TextOptions):
    """The options of named entity recognition."""

    dropout: float = option_of(TextOptions, "dropout", 0.6)
    word_dropout: float = option_of(TextOptions, "word_dropout", 0.1)
    model: Literal["recurrent", "window", "standard"] = option(
        "recurrent",
        "recurrent, or a baseline: window reads a few words at a time, standard has separate "
        "weights for each position",
    )
    window: int = option(2, "number of words on each side that the window model reads", minimum=0)
    positions: int = option(30, "number of words that the standard network reads", minimum=1)
    crf: bool = option(True, "add a conditional random field over neighbouring tags")
    label_smoothing: float = option(
        0.0,
        "label smoothing (Szegedy et al. 2016), with --crf no only",
        minimum=0,
        below=1,
    )
    characters: Literal["recurrence", "convolution", "none"] = option(
        "recurrence", "network that reads the characters of each word"
    )
    character_size: int = option(25, "dimension of the character embeddings", minimum=1)
    character_units: int = option(
        25, "hidden units of the character network per direction", minimum=1
    )
    name_dropout: float = option(
        0.0,
        "fraction of the words in names replaced by the unknown word, besides word_dropout",
        minimum=0,
        below=1,
    )
    case_dropout: float = option(
        0.0,
        "fraction of training sentences read in lower case or, half as often, in capitals, so "
        "that names are found in such text too",
        minimum=0,
        maximum=1,
    )
    outside_penalty: float = option(
        0.0, "subtracted from the score of O; above 0 raises recall and lowers precision"
    )
    shape_size: int = option(
        8, "dimension of the word shape embeddings (Capitalised, digits ...); 0: none", minimum=0
    )
    affixes: int = option(
        0,
        "score tags also directly by the words, affixes and shapes of five words (Huang, Xu and Yu "
        "2015): number of characters of the longest prefix and suffix; 0: no",
        minimum=0,
        maximum=10,
    )
    affix_dropout: float = option(
        0.3, "with affixes: fraction of these features that training leaves out", minimum=0, below=1
    )
    token_column: int = option(
        0,
        "column of the words, from 1; 0: the first, or the second if the first has word numbers",
        minimum=0,
        reads_data=True,
    )
    tag_column: int = option(
        0,
        "column of the tags, from 1; 0: the last column with tags",
        minimum=0,
        reads_data=True,
    )


@dataclass(frozen=True)
class NameOptions(DeclaredOptions):
    """The options of finding names: which, and how they are shown."""

    abstain: float = option(
        0.0, "leave out names with a lower probability", minimum=0, maximum=1, scored=False
    )
    format: Literal["text", "brat", "conll", "jsonl", "html"] = option(
        "text", "how texts and their names are shown", scored=False
    )
