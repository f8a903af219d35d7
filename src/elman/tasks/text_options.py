"""The options that all tasks on text have: words, word vectors, and recurrent layers."""

from __future__ import annotations

from dataclasses import dataclass

from elman.options import option
from elman.tasks.label_map import label_map
from elman.tasks.recurrent_options import BidirectionalOptions


@dataclass(frozen=True)
class TextOptions(BidirectionalOptions):
    """The options of every task on text."""

    cell: str = option("lstm", "a cell of the catalogue, or FILE.py:NAME for your own cell")
    hidden_size: int = option(128, "hidden units of each recurrent layer and direction", minimum=1)
    num_layers: int = option(1, "number of stacked recurrent layers", minimum=1)
    bidirectional: bool = option(True, "read the text in both directions")
    embedding_size: int = option(
        100, "size of word vectors, unless they are read from a file", minimum=1
    )
    vectors: str = option(
        "", "initial word vectors: a word2vec or GloVe file, or train (on the training text)"
    )
    vector_words: int = option(
        30_000,
        "number of words to keep from the start of the vectors file, besides those of the text",
        minimum=0,
    )
    frozen_vectors: bool = option(False, "do not train the word vectors")
    lowercase: bool = option(True, "lowercase words before looking them up")
    min_count: int = option(
        2, "rarer words are treated as unknown, unless the vectors file has them", minimum=1
    )
    dropout: float = option(0.5, "dropout rate on features", minimum=0, below=1)
    word_dropout: float = option(
        0.05,
        "fraction of word occurrences that training replaces by the unknown word",
        minimum=0,
        below=1,
    )
    embedding_dropout: float = option(
        0.0,
        "fraction of the vocabulary whose vectors are zero throughout a batch (Gal and Ghahramani "
        "2016)",
        minimum=0,
        below=1,
    )
    unfreeze_steps: int = option(
        0,
        "with language models as encoders: train one more of their layers after every so many "
        "steps, from the top (Howard and Ruder 2018); 0: none",
        minimum=0,
    )
    longest: int = option(
        500, "maximum number of words in training; longer texts are cut", minimum=1
    )
    map: str = option("", "labels to rename, such as MISC=O,PERSON=PER", reads_data=True)
    skip_bad: bool = option(
        False, "skip invalid examples, and list them", reads_data=True, switch=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        label_map(self.map)
