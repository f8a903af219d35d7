"""Sentiment (SPEC 1.3): a text becomes a rating.  Many to one.

"There is nothing to like in this movie." gets the lowest rating.  The labels are those of the
training data, in any number.  The one-to-one baseline of SPEC 4, a bag of words, is the option
``model = "bag_of_words"``.  With ``phrases`` the answer is the mean of two opinions: the
model's, and that of naive Bayes on words and short groups of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from rich.markup import escape
from torch import Generator, Tensor, nn

import elman.tasks.sentiment.exported  # noqa: F401 - says how its model is exported
from elman.data import DataReport, LabelledText, pad_sequences, read_labelled_texts, split_words
from elman.data.faults import Row, Rows, rows_or_error
from elman.data.sources import is_folder
from elman.data.text import SUFFIXES, text_rows
from elman.errors import DataError, OptionError
from elman.graph import Cell
from elman.models import BagOfWords, Classifier, StandardClassifier
from elman.tasks.inference import ask
from elman.tasks.options import help_of, option
from elman.tasks.sentiment.model import Reader, WithPhrases
from elman.tasks.sentiment.naive_bayes import NaiveBayes
from elman.tasks.sentiment.phrases import count_phrases, phrases_of
from elman.tasks.sentiment.report import check_labelled_texts
from elman.tasks.sentiment.samples import REVIEWS_TRAIN, REVIEWS_VALID
from elman.tasks.task import Fitted, Learned, NoPredictOptions
from elman.tasks.word_model import (
    TextOptions,
    TextSymbols,
    encoder,
    learn_text,
    read_lines,
    word_embedding,
)
from elman.training import LoopOptions
from elman.training.metrics import class_scores
from elman.training.watch import symptoms

NAME = "sentiment"
TITLE = "sentiment classification: a text becomes a rating"
METRIC = "accuracy"
HIGHER_IS_BETTER = True
TRAINING = LoopOptions(
    batch_size=64, epochs=20, learning_rate=2e-3, patience=4, average_weights=0.99
)
TRAIN_FILE, VALID_FILE = "train.csv", "valid.csv"
POSTER = {text: text for text in ("There is nothing to like in this movie.",)}
INPUT: Literal["text"] = "text"
PredictOptions = NoPredictOptions
stream = None
part = None


@dataclass(frozen=True)
class Options(TextOptions):
    """The options of sentiment classification."""

    # short texts are soon learned by heart: small layers and many words left out did best
    cell: str = option("gru", help_of(TextOptions, "cell"))
    hidden_size: int = option(64, help_of(TextOptions, "hidden_size"))
    embedding_size: int = option(50, help_of(TextOptions, "embedding_size"))
    word_dropout: float = option(0.3, help_of(TextOptions, "word_dropout"))
    model: Literal["recurrent", "bag_of_words", "standard"] = option(
        "recurrent",
        "recurrent, or a network without recurrence (SPEC 4): bag_of_words, which sees no order, "
        "or standard, in which each position has weights of its own",
    )
    positions: int = option(30, "words that the standard network sees")
    pooling: Literal["last", "mean", "max", "attention"] = option(
        "attention", "how the outputs of all steps become one"
    )
    label_smoothing: float = option(0.0, "part of the target that goes to the other labels")
    phrases: int = option(
        0, "longest phrase, in words, that naive Bayes counts beside the model; 0 for none"
    )
    phrase_weight: float = option(0.5, "how much naive Bayes is believed: 1 as it comes")
    phrase_min_count: int = option(1, "phrases that fewer training texts have are left out")
    text_column: str = option("text", "the column with the text")
    label_column: str = option("label", "the column with the label")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("phrases", 0), ("phrase_weight", 0), ("phrase_min_count", 1)):
            if getattr(self, name) < least:
                raise OptionError(f"{name} is {getattr(self, name)}; it must be at least {least}.")


@dataclass(frozen=True)
class LearnedTexts(Learned):
    """Also how many training texts of each label have a phrase."""

    phrase_counts: Tensor | None = None


@dataclass(frozen=True)
class Review:
    """A text as words, and its label where it is known."""

    text: str
    words: tuple[str, ...]
    label: str | None = None


@dataclass(frozen=True)
class Rating:
    """A label, its probability, and that of every label."""

    text: str
    label: str
    probability: float
    probabilities: dict[str, float]


def samples() -> Mapping[str, str | bytes]:
    """A few reviews for ``elman new``."""
    return {"train.csv": REVIEWS_TRAIN, "valid.csv": REVIEWS_VALID}


def read(path: Path, options: Options) -> list[Row[Review]]:
    """The labelled texts of a CSV, TSV or JSONL file, or of a folder with a folder per label."""
    rows = rows_or_error(
        text_rows(
            path,
            text_column=options.text_column,
            label_column=options.label_column,
            labelled=True,
        )
    )
    return Rows([Row(row.place, _review(row.value)) for row in rows], rows.skipped)


def _review(text: LabelledText) -> Review:
    return Review(text.text, tuple(split_words(text.text)), text.label)


def check(path: Path, options: Options) -> DataReport:
    """Everything that is wrong with the labelled texts."""
    return check_labelled_texts(
        path, text_column=options.text_column, label_column=options.label_column
    )


def refuse_strangers(rows: Sequence[Row[Review]], symbols: TextSymbols) -> None:
    """``DataError`` for the first text whose label the model does not know."""
    for row in rows:
        if row.value.label not in symbols.labels:
            raise DataError(
                f'{row.place}: the label "{row.value.label}" is not one that the model knows: '
                f"{', '.join(symbols.labels)}. Correct it, or train a model with it."
            )


def group(example: Review) -> Hashable:
    """The same text twice stays on one side."""
    return example.text


def learn(examples: Sequence[Review], options: Options, seed: int) -> Learned:
    """The vocabulary, the labels and, where they are asked for, the phrases of training texts."""
    labels = Counter([str(example.label) for example in examples])
    if len(labels) < 2:
        raise DataError(
            f'every training text has the label "{next(iter(labels))}"; give texts with at least '
            "two labels."
        )
    learned = learn_text([example.words for example in examples], sorted(labels), options, seed)
    if not options.phrases:
        return learned
    symbols: TextSymbols = learned.symbols
    phrases, counts = count_phrases(
        [[symbols.fold(word) for word in example.words] for example in examples],
        [symbols.labels.index(str(example.label)) for example in examples],
        len(labels),
        longest=options.phrases,
        min_count=options.phrase_min_count,
    )
    return LearnedTexts(replace(symbols, phrases=phrases), learned.vectors, torch.tensor(counts))


def adopt(known: TextSymbols, learned: TextSymbols) -> TextSymbols:
    """The words that the model knows, and its labels unless the data have others."""
    return known.with_labels(learned.labels)


def load_symbols(text: str) -> TextSymbols:
    """The vocabulary and the labels of a run folder."""
    return TextSymbols.from_json(text)


def build(options: Options, cell: Cell, learned: Learned) -> nn.Module:
    """A ``Classifier`` of the cell, or the bag of words; with naive Bayes beside it if asked."""
    reader = _reader(options, cell, learned)
    phrases = learned.symbols.phrases
    if phrases is None:
        return reader
    if isinstance(learned, LearnedTexts):
        counts = learned.phrase_counts
    else:  # of a trained model, which brings what they came to
        counts = torch.zeros(len(phrases), len(learned.symbols.labels))
    assert counts is not None
    return WithPhrases(reader, NaiveBayes(counts, weight=options.phrase_weight))


def _reader(options: Options, cell: Cell, learned: Learned) -> Reader:
    embedding = word_embedding(options, learned)
    num_classes = len(learned.symbols.labels)
    if options.model == "bag_of_words":
        return BagOfWords(
            embedding,
            embedding.size,
            num_classes,
            dropout=options.dropout,
            label_smoothing=options.label_smoothing,
        )
    if options.model == "standard":
        return StandardClassifier(
            embedding,
            options.positions,
            options.hidden_size,
            num_classes,
            dropout=options.dropout,
            label_smoothing=options.label_smoothing,
        )
    return Classifier(
        embedding,
        encoder(options, cell, embedding.size),
        num_classes,
        pooling=options.pooling,
        dropout=options.dropout,
        label_smoothing=options.label_smoothing,
    )


def cut(examples: Sequence[Review], longest: int) -> list[Review]:
    """Texts with more than ``longest`` words keep the first ones."""
    return [Review(e.text, e.words[:longest], e.label) for e in examples]


def length(example: Review) -> int:
    """How many words a text has."""
    return len(example.words)


def collate(
    examples: Sequence[Review],
    symbols: TextSymbols,
    options: Options,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """The words' indices (time, batch), their lengths, and the labels' indices."""
    words, lengths = pad_sequences([symbols.encode(example.words) for example in examples])
    batch = {"words": words, "lengths": lengths}
    if symbols.phrases is not None:
        folded = [[symbols.fold(word) for word in example.words] for example in examples]
        found = [symbols.phrases.encode(phrases_of(text, options.phrases)) for text in folded]
        batch["phrases"], _ = pad_sequences(found)
    if all(example.label is not None for example in examples):
        places = [symbols.labels.index(str(example.label)) for example in examples]
        batch["labels"] = torch.tensor(places)
    return batch


def validate(fitted: Fitted, examples: Sequence[Review]) -> dict[str, Any]:
    """The metrics of what is trained, and what says that nothing was learned.

    Naive Bayes has no say here: judged by both opinions, training would end long before the model
    has learned its part.
    """
    if isinstance(fitted.model, WithPhrases):
        symbols = replace(fitted.symbols, phrases=None)
        fitted = Fitted(fitted.model.reader, symbols, fitted.options)
    expected, probabilities = _answers(fitted, examples)
    predicted = [int(row.argmax()) for row in probabilities]
    return {**class_scores(expected, probabilities), **symptoms(expected, predicted)}


def score(fitted: Fitted, examples: Sequence[Review], wanted: NoPredictOptions) -> dict[str, Any]:
    """Accuracy, macro F1 and the mean loss."""
    return class_scores(*_answers(fitted, examples))


def _answers(fitted: Fitted, examples: Sequence[Review]) -> tuple[list[int], list[Tensor]]:
    """The places of the labels that are expected, and all probabilities."""
    symbols: TextSymbols = fitted.symbols
    expected = [symbols.labels.index(str(example.label)) for example in examples]
    return expected, _probabilities(fitted, examples)


def _probabilities(fitted: Fitted, examples: Sequence[Review]) -> list[Tensor]:
    def answer(batch: Sequence[Review]) -> list[Tensor]:
        tensors = collate(batch, fitted.symbols, fitted.options)
        tensors.pop("labels", None)
        return list(fitted.model(**tensors).softmax(-1))

    return ask(fitted.model, examples, length, answer)


def read_inputs(path: Path, options: Options) -> list[Review]:
    """The texts of a table or folder; of any other file, each line."""
    if is_folder(path) or path.suffix.lower() in SUFFIXES:
        rows = read_labelled_texts(path, text_column=options.text_column, labelled=False)
        return [_review(row) for row in rows]
    return [as_input(line) for line in read_lines(path)]


def as_input(value: str | Review) -> Review:
    """A text from a string."""
    return value if isinstance(value, Review) else Review(value, tuple(split_words(value)))


def predict(fitted: Fitted, inputs: Sequence[Review], wanted: NoPredictOptions) -> list[Rating]:
    """A rating for each text."""
    ratings = []
    for example, row in zip(inputs, _probabilities(fitted, inputs), strict=True):
        each = {label: float(p) for label, p in zip(fitted.symbols.labels, row, strict=True)}
        label = max(each, key=lambda name: each[name])
        ratings.append(Rating(example.text, label, each[label], each))
    return ratings


def save(predictions: Sequence[Rating], wanted: NoPredictOptions) -> list[Path]:
    """No files: the answers are text."""
    return []


def poster_settings(folder: Path) -> Mapping[str, object]:
    """Nothing beyond the answers."""
    return {}


def show(prediction: Rating) -> str:
    """The rating with its probability, then the text."""
    colours = {"positive": "green", "negative": "red"}
    colour = colours.get(prediction.label, "cyan")
    return (
        f"[bold {colour}]{escape(prediction.label)}[/] {prediction.probability:4.0%}   "
        f"{escape(prediction.text)}"
    )


def record(prediction: Rating) -> dict[str, Any]:
    """The rating as a JSON object."""
    return {
        "text": prediction.text,
        "label": prediction.label,
        "probability": round(prediction.probability, 6),
        "probabilities": {k: round(p, 6) for k, p in prediction.probabilities.items()},
    }
