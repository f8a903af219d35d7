"""Machine translation of sentences.  Many to many, unaligned.

"Voulez-vous chanter avec moi?" becomes "Do you want to sing with me?".  Subwords are learned from
the training sentences, so no word is unknown.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from elman.tasks.task import Fitted, Task, Vocab
from elman.tasks.translation.options import SearchOptions, TranslationOptions
from elman.training import LoopOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from elman.data import DataReport
    from elman.data.faults import Row
    from elman.graph import Cell
    from elman.tasks.translation.answers import Translated
    from elman.tasks.translation.data import Pair, TranslationSymbols
    from elman.training.baselines import Baseline


class Translation(
    Task["Pair", "TranslationSymbols", "Translated", "Pair", TranslationOptions, SearchOptions]
):
    """Translates sentences."""

    name = "translation"
    title = "translation: sentences to another language"
    metric = "bleu"
    unit = ""
    pipeline_tag = "translation"
    training = LoopOptions(
        batch_size=48,
        epochs=8,
        learning_rate=1e-3,
        schedule="linear",
        warmup_steps=200,
        average_weights=0.999,
        # the loss is summed over the subwords of a sentence
        clip_norm=20.0,
    )
    Options = TranslationOptions
    PredictOptions = SearchOptions
    independent = True
    train_file = "train.tsv"
    valid_file = "valid.tsv"
    demo = MappingProxyType({text: text for text in ("Voulez-vous chanter avec moi?",)})
    symbol_options = ("vocabulary", "joint")
    cuts = MappingProxyType({"": "lines"})
    table_suffix = ".tsv"

    def samples(self) -> Mapping[str, str | bytes]:
        from elman.tasks.translation.samples import PHRASES_TRAIN, PHRASES_VALID

        return {self.train_file: PHRASES_TRAIN, self.valid_file: PHRASES_VALID}

    def read(self, path: Path, options: TranslationOptions) -> list[Row[Pair]]:
        from elman.tasks.translation import data

        return data.read(path, options)

    def build_vocab(
        self, examples: Sequence[Pair], options: TranslationOptions, seed: int
    ) -> Vocab[TranslationSymbols]:
        from elman.tasks.translation import data

        return data.build_vocab(examples, options, seed)

    def merge_symbols(
        self, known: TranslationSymbols, found: TranslationSymbols
    ) -> TranslationSymbols:
        """The subwords of the other model, and the words of both trainings."""
        from elman.tasks.translation import data

        return data.merged(known, found)

    def build(
        self, options: TranslationOptions, cell: Cell, vocab: Vocab[TranslationSymbols]
    ) -> nn.Module:
        from elman.tasks.translation import model

        return model.build(options, cell, vocab)

    def cut(self, examples: Sequence[Pair], longest: int) -> list[Pair]:
        from elman.tasks.translation import data

        return data.cut(examples, longest)

    def collate(
        self,
        examples: Sequence[Pair],
        symbols: TranslationSymbols,
        options: TranslationOptions,
        generator: Generator | None = None,
    ) -> dict[str, Tensor]:
        from elman.tasks.translation import data

        return data.collate(examples, symbols, options, generator)

    def validate(
        self, fitted: Fitted[TranslationSymbols, TranslationOptions], examples: Sequence[Pair]
    ) -> dict[str, Any]:
        from elman.tasks.translation import evaluation

        return evaluation.validate(fitted, examples)

    def baselines(
        self,
        train: Sequence[Pair],
        valid: Sequence[Pair],
        fitted: Fitted[TranslationSymbols, TranslationOptions],
    ) -> Sequence[Baseline]:
        from elman.tasks.translation import baselines

        return baselines.baselines(train, valid)

    def finish(
        self, fitted: Fitted[TranslationSymbols, TranslationOptions], examples: Sequence[Pair]
    ) -> bool:
        from elman.tasks.translation import evaluation

        return evaluation.fit_confidence(fitted, examples)

    def score(
        self,
        fitted: Fitted[TranslationSymbols, TranslationOptions],
        examples: Sequence[Pair],
        wanted: SearchOptions,
    ) -> dict[str, Any]:
        from elman.tasks.translation import evaluation

        return evaluation.score(fitted, examples, wanted)

    def predict(
        self,
        fitted: Fitted[TranslationSymbols, TranslationOptions],
        inputs: Sequence[Pair],
        wanted: SearchOptions,
    ) -> list[Translated]:
        from elman.tasks.translation import search

        return search.predict(fitted, inputs, wanted)

    def table_texts(
        self, records: Sequence[Mapping[str, Any]], options: TranslationOptions
    ) -> Sequence[str]:
        from elman.tasks.translation import data

        return data.table_texts(records)

    def check(self, path: Path, options: TranslationOptions) -> DataReport:
        from elman.tasks.translation.report import check_pairs

        return check_pairs(path)

    def group(self, example: Pair) -> Hashable:
        return example.group

    def leak_keys(self, example: Pair) -> tuple[Hashable, ...]:
        """The sentences of a pair; a pair leaks if another split has one of them."""
        from elman.tasks.translation.parallel import folded

        return ("source", folded(example.source)), ("target", folded(example.target or ""))

    def load_symbols(self, text: str) -> TranslationSymbols:
        from elman.tasks.translation.data import TranslationSymbols

        return TranslationSymbols.from_json(text)

    def read_inputs(self, path: Path, options: TranslationOptions) -> list[Pair]:
        from elman.tasks.translation import data

        return data.read_inputs(path, options)

    def as_input(self, value: str | Pair) -> Pair:
        from elman.tasks.translation import data

        return data.as_input(value)

    def save(self, answers: Sequence[Translated], wanted: SearchOptions) -> list[Path]:
        from elman.tasks.translation import answers as found

        return found.save(answers, wanted)

    def show(self, answer: Translated) -> str:
        from elman.tasks.translation import answers

        return answers.show(answer)

    def record(self, answer: Translated) -> dict[str, Any]:
        from elman.tasks.translation import answers

        return answers.record(answer)

    def demo_settings(self, folder: Path) -> Mapping[str, object]:
        return {"show": "attention", "png": str(folder / "translation.png")}
