"""The options that all tasks on text have: words, their vectors, and the layers that read them."""

from __future__ import annotations

from dataclasses import dataclass

from elman.options import option
from elman.tasks.label_map import label_map
from elman.tasks.recurrent_options import RecurrentOptions


@dataclass(frozen=True)
class TextOptions(RecurrentOptions):
    """The options of every task on text."""

    cell: str = option("lstm", "a cell of the catalogue, or FILE.py:NAME for one of your own")
    hidden_size: int = option(128, "units of the recurrent layer, in each direction", minimum=1)
    num_layers: int = option(1, "recurrent layers on top of each other", minimum=1)
    bidirectional: bool = option(True, "read the text in both directions")
    embedding_size: int = option(
        100, "numbers in a word's vector, where no vectors are read", minimum=1
    )
    vectors: str = option(
        "", "start from word vectors: a file (word2vec or GloVe), or train: on the training text"
    )
    vector_words: int = option(
        30_000,
        "words of the vectors' file to keep, its first ones, beside the training text's",
        minimum=0,
    )
    frozen_vectors: bool = option(False, "leave the vectors as they were read")
    lowercase: bool = option(True, "look words up in small letters")
    min_count: int = option(
        2, "words that occur less often count as unknown, if without a vector", minimum=1
    )
    dropout: float = option(
        0.5, "part of the features that training leaves out", minimum=0, below=1
    )
    word_dropout: float = option(
        0.05, "part of the words that training makes unknown", minimum=0, below=1
    )
    embedding_dropout: float = option(
        0.0,
        "part of the vocabulary whose vectors a training batch has without their numbers",
        minimum=0,
        below=1,
    )
    longest: int = option(500, "training cuts texts that have more words", minimum=1)
    map: str = option("", "labels to read as others, such as MISC=O,PERSON=PER", reads_data=True)
    skip_bad: bool = option(
        False, "leave out examples that are wrong, and list them", reads_data=True, switch=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        label_map(self.map)
