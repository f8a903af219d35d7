"""Sentiment classification: rates texts.  Many to one.

"There is nothing to like in this movie." gets the lowest rating.  The labels, two or more, are
those of the training data.  ``model = "bag_of_words"`` is the baseline without recurrence.  With
``phrases``, the prediction is the mean of the network and of naive Bayes on words and phrases.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from elman.errors import OptionError
from elman.tasks.sentiment.options import RatingOptions, SentimentOptions
from elman.tasks.small_data import SmallData
from elman.tasks.task import TEXT_CUTS, Fitted, Task, Vocab
from elman.training import LoopOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from elman.data import DataReport
    from elman.data.faults import Row
    from elman.graph import Cell
    from elman.tasks.sentiment.answers import Rating
    from elman.tasks.sentiment.data import Review
    from elman.tasks.word_model import TextSymbols
    from elman.training.baselines import Baseline


class SentimentClassification(
    Task["Review", "TextSymbols", "Rating", "Review", SentimentOptions, RatingOptions]
):
    """Rates texts."""

    name = "sentiment"
    title = "sentiment classification: texts to ratings"
    metric = "accuracy"
    pipeline_tag = "text-classification"
    training = LoopOptions(
        batch_size=64, epochs=20, learning_rate=2e-3, patience=4, average_weights=0.99
    )
    # phrases that are counted tell more than a network learns from few texts, except of negations
    small_data = MappingProxyType(
        {
            "phrases": SmallData(2, most=5_000, without="negation"),
            "phrase_weight": SmallData(1.0, most=5_000, without="negation"),
        }
    )
    Options = SentimentOptions
    PredictOptions = RatingOptions
    independent = True
    train_file = "train.csv"
    valid_file = "valid.csv"
    demo = MappingProxyType({text: text for text in ("There is nothing to like in this movie.",)})
    symbol_options = (
        "vectors",
        "vector_words",
        "embedding_size",
        "lowercase",
        "min_count",
        "phrases",
        "phrase_min_count",
    )
    reads_once = ("vectors",)
    takes_encoders = True
    label_layers = ("output.", "reader.output.", "bayes.")
    cuts = TEXT_CUTS

    def samples(self) -> Mapping[str, str | bytes]:
        from elman.tasks.sentiment.samples import REVIEWS_TRAIN, REVIEWS_VALID

        return {self.train_file: REVIEWS_TRAIN, self.valid_file: REVIEWS_VALID}

    def read(self, path: Path, options: SentimentOptions) -> list[Row[Review]]:
        from elman.tasks.sentiment import data

        return data.read(path, options)

    def check_labels(self, rows: Sequence[Row[Review]], symbols: TextSymbols) -> None:
        from elman.tasks.sentiment import data

        return data.check_labels(rows, symbols)

    def build_vocab(
        self, examples: Sequence[Review], options: SentimentOptions, seed: int
    ) -> Vocab[TextSymbols]:
        from elman.tasks.sentiment import data

        return data.build_vocab(examples, options, seed)

    def build(self, options: SentimentOptions, cell: Cell, vocab: Vocab[TextSymbols]) -> nn.Module:
        import elman.tasks.sentiment.exported  # noqa: F401 - says how its model is exported
        from elman.tasks.sentiment import model

        return model.build(options, cell, vocab)

    def cut(self, examples: Sequence[Review], longest: int) -> list[Review]:
        from elman.tasks.sentiment import data

        return data.cut(examples, longest)

    def augment(
        self,
        examples: Sequence[Review],
        symbols: TextSymbols,
        options: SentimentOptions,
        first: int = 0,
    ) -> Sequence[Review]:
        if not options.negation:
            return examples
        from elman.tasks.sentiment.negation import with_negations

        try:
            return with_negations(examples, symbols.labels, options.negation, first)
        except OptionError:
            if first == 0:
                raise
            return examples  # a window of a stream may be too small to tell the labels' words

    def collate(
        self,
        examples: Sequence[Review],
        symbols: TextSymbols,
        options: SentimentOptions,
        generator: Generator | None = None,
    ) -> dict[str, Tensor]:
        from elman.tasks.sentiment import data

        return data.collate(examples, symbols, options, generator)

    def validate(
        self, fitted: Fitted[TextSymbols, SentimentOptions], examples: Sequence[Review]
    ) -> dict[str, Any]:
        from elman.tasks.sentiment import answers

        return answers.validate(fitted, examples)

    def trained_part(
        self, fitted: Fitted[TextSymbols, SentimentOptions]
    ) -> Fitted[TextSymbols, SentimentOptions]:
        from elman.tasks.sentiment import answers

        return answers.trained_part(fitted)

    def baselines(
        self,
        train: Sequence[Review],
        valid: Sequence[Review],
        fitted: Fitted[TextSymbols, SentimentOptions],
    ) -> Sequence[Baseline]:
        from elman.tasks.sentiment import baselines

        return baselines.baselines(train, valid, fitted.options)

    def score(
        self,
        fitted: Fitted[TextSymbols, SentimentOptions],
        examples: Sequence[Review],
        wanted: RatingOptions,
    ) -> dict[str, Any]:
        from elman.tasks.sentiment import answers

        return answers.score(fitted, examples, wanted)

    def predict(
        self,
        fitted: Fitted[TextSymbols, SentimentOptions],
        inputs: Sequence[Review],
        wanted: RatingOptions,
    ) -> list[Rating]:
        from elman.tasks.sentiment import answers

        return answers.predict(fitted, inputs, wanted)

    def check(self, path: Path, options: SentimentOptions) -> DataReport:
        from elman.tasks.sentiment.report import check_labelled_texts

        return check_labelled_texts(
            path, text_column=options.text_column, label_column=options.label_column
        )

    def group(self, example: Review) -> Hashable:
        return example.text

    def load_symbols(self, text: str) -> TextSymbols:
        from elman.tasks.word_model import TextSymbols

        return TextSymbols.from_json(text)

    def merge_symbols(self, known: TextSymbols, found: TextSymbols) -> TextSymbols:
        return known.with_labels(found.labels)

    def read_inputs(self, path: Path, options: SentimentOptions) -> list[Review]:
        from elman.tasks.sentiment import data

        return data.read_inputs(path, options)

    def as_input(self, value: str | Review) -> Review:
        from elman.tasks.sentiment import data

        return data.as_input(value)

    def show(self, answer: Rating) -> str:
        from elman.tasks.sentiment import answers

        return answers.show(answer)

    def note(self, answer: Rating) -> str:
        return answer.note

    def record(self, answer: Rating) -> dict[str, Any]:
        from elman.tasks.sentiment import answers

        return answers.record(answer)
