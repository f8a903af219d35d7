"""The options of sentiment classification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from elman.options import DeclaredOptions, option, option_of
from elman.tasks.text_options import TextOptions


@dataclass(frozen=True)
class SentimentOptions(TextOptions):
    """The options of sentiment classification."""

    # short texts are easy to overfit: small layers and a high word dropout did best
    cell: str = option_of(TextOptions, "cell", "gru")
    hidden_size: int = option_of(TextOptions, "hidden_size", 64)
    embedding_size: int = option_of(TextOptions, "embedding_size", 50)
    word_dropout: float = option_of(TextOptions, "word_dropout", 0.3)
    model: Literal["recurrent", "bag_of_words", "standard"] = option(
        "recurrent",
        "recurrent, or a baseline: bag_of_words ignores word order, standard has separate "
        "weights for each position",
    )
    positions: int = option(30, "number of words that the standard network reads", minimum=1)
    pooling: Literal["last", "mean", "max", "attention"] = option(
        "attention", "how the outputs of all steps are pooled"
    )
    label_smoothing: float = option(
        0.0, "label smoothing (Szegedy et al. 2016)", minimum=0, below=1
    )
    phrases: int = option(
        0,
        "add naive Bayes on phrases of up to this many words to the model; 0: off",
        minimum=0,
    )
    phrase_weight: float = option(
        0.5, "factor on the logits of naive Bayes; below 1 reduces overconfidence", minimum=0
    )
    phrase_min_count: int = option(
        1, "ignore phrases that occur in fewer training texts", minimum=1
    )
    negation: float = option(
        0.0,
        "made sentences per training text in which a negation such as not turns words around; for "
        "English and two labels",
        minimum=0,
        maximum=10,
    )
    text_column: str = option("text", "name of the text column", reads_data=True)
    label_column: str = option("label", "name of the label column", reads_data=True)


@dataclass(frozen=True)
class RatingOptions(DeclaredOptions):
    """The options of rating texts."""

    abstain: float = option(
        0.0,
        "give no label if its probability is lower than this",
        minimum=0,
        maximum=1,
        scored=False,
    )
