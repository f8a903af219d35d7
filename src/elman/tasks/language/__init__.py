"""Language modelling: text that goes on.  One to many.

A model reads a text token by token and predicts the next one: a character, a byte or a subword.
Training carries the state from one window of the text to the next.  A trained model writes on from
a primer.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

from elman.tasks.language.options import LanguageOptions, WritingOptions
from elman.tasks.task import Fitted, Task, Vocab
from elman.training import LoopOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from elman.data import DataReport
    from elman.data.faults import Row
    from elman.data.units import Units
    from elman.graph import Cell
    from elman.tasks.language.answers import Continuation
    from elman.tasks.language.data import Window
    from elman.tasks.language.sections import Section
    from elman.tasks.string_encoders import EncoderSpec
    from elman.training.baselines import Baseline


class LanguageModelling(
    Task["Section", "Units", "Continuation", str, LanguageOptions, WritingOptions]
):
    """Predicts the next token of a text, and writes texts."""

    name = "language"
    title = "language modelling: text that goes on"
    metric = "bits_per_character"
    higher_is_better = False
    unit = "bits per character"
    pipeline_tag = "text-generation"
    training = LoopOptions(
        batch_size=32,
        epochs=30,
        learning_rate=2e-3,
        clip_norm=1.0,
        patience=4,
        plateau_patience=0,
    )
    Options = LanguageOptions
    PredictOptions = WritingOptions
    train_file = "train.txt"
    valid_file = "valid.txt"
    symbol_options = ("units", "vocabulary", "min_count", "softmax")
    demo = MappingProxyType({"ROMEO:": "ROMEO:\n"})
    streams = True
    stream_end = ""
    live = True
    live_input = "a primer in UTF-8, or a part of one; nothing to write from the beginning"
    live_records = MappingProxyType(
        {
            "primer": {"text": "string"},
            "token": {"text": "string"},
            "text": {"primer": "string", "text": "string", "samples": "array"},
        }
    )
    cuts = MappingProxyType({"": "lines"})
    table_suffix = ".txt"

    def samples(self) -> Mapping[str, str | bytes]:
        from elman.tasks.language.samples import NOTES_TRAIN, NOTES_VALID

        return {self.train_file: NOTES_TRAIN, self.valid_file: NOTES_VALID}

    def read(self, path: Path, options: LanguageOptions) -> list[Row[Section]]:
        from elman.tasks.language import data

        return data.read(path, options)

    def build_vocab(
        self, examples: Sequence[Section], options: LanguageOptions, seed: int
    ) -> Vocab[Units]:
        from elman.tasks.language import data

        return data.build_vocab(examples, options, seed)

    def load_symbols(self, text: str) -> Units:
        from elman.data.units import Units

        return Units.from_json(text)

    def build(self, options: LanguageOptions, cell: Cell, vocab: Vocab[Units]) -> nn.Module:
        from elman.tasks.language import model

        return model.build(options, cell, vocab)

    def prepare(
        self,
        examples: Sequence[Section],
        symbols: Units,
        options: LanguageOptions,
        first: int = 0,
    ) -> Sequence[Window]:
        from elman.tasks.language import data

        return data.prepare(examples, symbols, options, first)

    def batches(
        self, examples: Sequence[Window], batch_size: int, *, seed: int, epoch: int
    ) -> Sequence[Sequence[int]]:
        from elman.tasks.language import data

        return data.batches(len(examples), batch_size)

    def deal(
        self, examples: Sequence[Window], count: int, *, seed: Sequence[int], share: int = 0
    ) -> Sequence[Sequence[int]]:
        from elman.tasks.language import data

        return data.dealt(len(examples), count)

    def table_texts(
        self, records: Sequence[Mapping[str, Any]], options: LanguageOptions
    ) -> Sequence[str]:
        return [f"{record['text']}\n" for record in records]

    def collate(
        self,
        examples: Sequence[Window | Section],
        symbols: Units,
        options: LanguageOptions,
        generator: Generator | None = None,
    ) -> dict[str, Tensor]:
        from elman.tasks.language import data

        return data.collate(examples, symbols, options, generator)

    def validate(
        self, fitted: Fitted[Units, LanguageOptions], examples: Sequence[Section]
    ) -> dict[str, Any]:
        from elman.tasks.language import scores

        return scores.validate(fitted, examples)

    def baselines(
        self,
        train: Sequence[Section],
        valid: Sequence[Section],
        fitted: Fitted[Units, LanguageOptions],
    ) -> Sequence[Baseline]:
        from elman.tasks.language import baselines

        return baselines.baselines(train, valid, fitted.symbols)

    def score(
        self,
        fitted: Fitted[Units, LanguageOptions],
        examples: Sequence[Section],
        wanted: WritingOptions,
    ) -> dict[str, Any]:
        from elman.tasks.language import scores

        return scores.score(fitted, examples, wanted)

    def predict(
        self,
        fitted: Fitted[Units, LanguageOptions],
        inputs: Sequence[str],
        wanted: WritingOptions,
    ) -> list[Continuation]:
        from elman.tasks.language import writing

        return writing.predict(fitted, inputs, wanted)

    def check(self, path: Path, options: LanguageOptions) -> DataReport:
        from elman.tasks.language.report import check_texts

        return check_texts(path)

    def group(self, example: Section) -> Hashable:
        return example.text

    def as_input(self, value: Any) -> str:
        return "" if value is None else str(value)

    def stream(
        self, fitted: Fitted[Units, LanguageOptions], source: BinaryIO, wanted: WritingOptions
    ) -> Iterator[str]:
        from elman.tasks.language import live

        return live.stream(fitted, source, wanted)

    def stream_records(
        self,
        fitted: Fitted[Units, LanguageOptions],
        pieces: Iterable[bytes],
        wanted: WritingOptions,
    ) -> Iterator[dict[str, Any]]:
        from elman.tasks.language import live

        return live.stream_records(fitted, pieces, wanted)

    def encoder(self, fitted: Fitted[Units, LanguageOptions], cell: Cell) -> EncoderSpec:
        from elman.models import LanguageModel
        from elman.tasks.string_encoders import EncoderSpec

        options = fitted.options
        size = options.hidden_size if options.tie_weights else options.embedding_size
        assert isinstance(fitted.model, LanguageModel)
        return EncoderSpec(
            fitted.symbols, cell, options.backward, size, options.hidden_size, options.num_layers,
            fitted.model.recurrent.stack.between.changed(),
        )  # fmt: skip

    def show(self, answer: Continuation) -> str:
        from elman.tasks.language import answers

        return answers.show(answer)

    def record(self, answer: Continuation) -> dict[str, Any]:
        from elman.tasks.language import answers

        return answers.record(answer)
