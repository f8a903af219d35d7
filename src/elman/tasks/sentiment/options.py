"""The options of sentiment classification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from elman.options import option, option_of
from elman.tasks.text_options import TextOptions


@dataclass(frozen=True)
class SentimentOptions(TextOptions):
    """The options of sentiment classification."""

    # short texts are soon learned by heart: small layers and many words left out did best
    cell: str = option_of(TextOptions, "cell", "gru")
    hidden_size: int = option_of(TextOptions, "hidden_size", 64)
    embedding_size: int = option_of(TextOptions, "embedding_size", 50)
    word_dropout: float = option_of(TextOptions, "word_dropout", 0.3)
    model: Literal["recurrent", "bag_of_words", "standard"] = option(
        "recurrent",
        "recurrent, or a network without recurrence: bag_of_words, which sees no order, "
        "or standard, in which each position has weights of its own",
    )
    positions: int = option(30, "words that the standard network sees", minimum=1)
    pooling: Literal["last", "mean", "max", "attention"] = option(
        "attention", "how the outputs of all steps become one"
    )
    label_smoothing: float = option(
        0.0, "part of the target that goes to the other labels", minimum=0, below=1
    )
    phrases: int = option(
        0,
        "longest phrase, in words, that naive Bayes counts beside the model; 0 for none",
        minimum=0,
    )
    phrase_weight: float = option(0.5, "how much naive Bayes is believed: 1 as it comes", minimum=0)
    phrase_min_count: int = option(
        1, "phrases that fewer training texts have are left out", minimum=1
    )
    text_column: str = option("text", "the column with the text", reads_data=True)
    label_column: str = option("label", "the column with the label", reads_data=True)
