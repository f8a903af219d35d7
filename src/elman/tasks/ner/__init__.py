"""Named entity recognition: finds the names in a text.  Many to many, aligned.

"Yesterday, Harry Potter met Hermione Granger." has two names.  The model predicts a BIO tag for
each word from its embedding, characters and shape; a conditional random field scores pairs of
neighbouring tags (Lample et al. 2016; Huang et al. 2015).  ``model = "window"`` is a baseline with
a fixed window of words, ``"standard"`` a standard network.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from elman.tasks.ner.options import NameOptions, NerOptions
from elman.tasks.small_data import SmallData
from elman.tasks.task import Fitted, Task, Vocab
from elman.training import LoopOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from elman.data import DataReport
    from elman.data.faults import Row
    from elman.graph import Cell
    from elman.tasks.ner.answers import Names
    from elman.tasks.ner.data import Sentence
    from elman.tasks.word_model import TextSymbols
    from elman.training.baselines import Baseline


class NamedEntities(Task["Sentence", "TextSymbols", "Names", "Sentence", NerOptions, NameOptions]):
    """Finds the names in texts."""

    name = "ner"
    title = "named entity recognition: texts to names"
    metric = "f1"
    pipeline_tag = "token-classification"
    training = LoopOptions(
        batch_size=32, epochs=25, learning_rate=2e-3, patience=5, average_weights=0.99
    )
    small_data = MappingProxyType({"affixes": SmallData(4, most=2_500, without="vectors")})
    Options = NerOptions
    PredictOptions = NameOptions
    train_file = "train.conll"
    valid_file = "valid.conll"
    symbol_options = (
        "vectors",
        "vector_words",
        "embedding_size",
        "lowercase",
        "min_count",
        "characters",
        "affixes",
    )
    independent = True
    demo = MappingProxyType(
        {text: text for text in ("Yesterday, Harry Potter met Hermione Granger.",)}
    )
    reads_once = ("vectors",)
    takes_encoders = True
    label_layers = ("output.", "crf.", "direct.")
    cuts = MappingProxyType({"": "blocks"})
    table_suffix = ".conll"

    def samples(self) -> Mapping[str, str | bytes]:
        from elman.tasks.ner.samples import NAMES_TRAIN, NAMES_VALID

        return {self.train_file: NAMES_TRAIN, self.valid_file: NAMES_VALID}

    def read(self, path: Path, options: NerOptions) -> list[Row[Sentence]]:
        from elman.tasks.ner import data

        return data.read(path, options)

    def check_labels(self, rows: Sequence[Row[Sentence]], symbols: TextSymbols) -> None:
        from elman.tasks.ner import data

        return data.check_labels(rows, symbols)

    def build_vocab(
        self, examples: Sequence[Sentence], options: NerOptions, seed: int
    ) -> Vocab[TextSymbols]:
        from elman.tasks.ner import data

        return data.build_vocab(examples, options, seed)

    def build(self, options: NerOptions, cell: Cell, vocab: Vocab[TextSymbols]) -> nn.Module:
        from elman.tasks.ner import model

        return model.build(options, cell, vocab)

    def cut(self, examples: Sequence[Sentence], longest: int) -> list[Sentence]:
        from elman.tasks.ner import data

        return data.cut(examples, longest)

    def collate(
        self,
        examples: Sequence[Sentence],
        symbols: TextSymbols,
        options: NerOptions,
        generator: Generator | None = None,
    ) -> dict[str, Tensor]:
        from elman.tasks.ner import data

        return data.collate(examples, symbols, options, generator)

    def baselines(
        self,
        train: Sequence[Sentence],
        valid: Sequence[Sentence],
        fitted: Fitted[TextSymbols, NerOptions],
    ) -> Sequence[Baseline]:
        from elman.tasks.ner import baselines

        return baselines.baselines(train, valid)

    def score(
        self,
        fitted: Fitted[TextSymbols, NerOptions],
        examples: Sequence[Sentence],
        wanted: NameOptions,
    ) -> dict[str, Any]:
        from elman.tasks.ner import answers

        return answers.score(fitted, examples, wanted)

    def predict(
        self,
        fitted: Fitted[TextSymbols, NerOptions],
        inputs: Sequence[Sentence],
        wanted: NameOptions,
    ) -> list[Names]:
        from elman.tasks.ner import answers

        return answers.predict(fitted, inputs, wanted)

    def check(self, path: Path, options: NerOptions) -> DataReport:
        from elman.tasks.ner.report import check_conll

        return check_conll(path, token_column=options.token_column, tag_column=options.tag_column)

    def table_texts(
        self, records: Sequence[Mapping[str, Any]], options: NerOptions
    ) -> Sequence[str]:
        from elman.tasks.ner import data

        return data.table_texts(records)

    def group(self, example: Sentence) -> Hashable:
        return example.words

    def load_symbols(self, text: str) -> TextSymbols:
        from elman.tasks.word_model import TextSymbols

        return TextSymbols.from_json(text)

    def merge_symbols(self, known: TextSymbols, found: TextSymbols) -> TextSymbols:
        return known.with_labels(found.labels)

    def calibrates(self, options: NerOptions) -> bool:
        return not options.outside_penalty  # it is compared with the scores

    def read_inputs(self, path: Path, options: NerOptions) -> list[Sentence]:
        from elman.tasks.ner import data

        return data.read_inputs(path, options)

    def as_input(self, value: str | Sequence[str] | Sentence) -> Sentence:
        from elman.tasks.ner import data

        return data.as_input(value)

    def show(self, answer: Names) -> str:
        from elman.tasks.ner import answers

        return answers.show(answer)

    def note(self, answer: Names) -> str:
        return answer.note

    def record(self, answer: Names) -> dict[str, Any]:
        from elman.tasks.ner import answers

        return answers.record(answer)
