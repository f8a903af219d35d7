"""What a task is: a class that turns data files into a trained model, and inputs into answers.

A task derives from ``Task`` and has a package of its own, such as ``sentiment/``.  Class attributes
declare its name and its training defaults; six methods are required, the others have defaults here.
Code that is the same for all tasks (``train.py``, ``trained.py``, the command line) works with any
of them.  ``registry.py`` lists the tasks.

The modules of a task import torch only where they use it, so that help texts need only the options.
"""

from __future__ import annotations

import json
import random
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, Literal, Protocol, cast

from typing_extensions import TypeVar

from elman.errors import DataError, OptionError
from elman.options import DeclaredOptions
from elman.tasks.small_data import SmallData
from elman.training import LoopOptions
from elman.training.baselines import Metric

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from elman.data.faults import Row
    from elman.data.report import DataReport
    from elman.data.shards import Cut
    from elman.graph import Cell
    from elman.tasks.string_encoders import EncoderSpec
    from elman.training.baselines import Baseline


#: how tables of texts and manifests are cut into shards
TEXT_CUTS: Mapping[str, Cut] = MappingProxyType(
    {
        ".csv": "csv",
        ".tsv": "tsv",
        ".tab": "tsv",
        ".jsonl": "json",
        ".ndjson": "json",
        ".json": "json",
    }
)
#: options that describe one data file, and may differ between files
OF_A_FILE = (
    "text_column",
    "label_column",
    "token_column",
    "tag_column",
    "file_column",
    "audio_column",
    "map",
    "skip_bad",
)


class SavedSymbols(Protocol):
    """The meaning of the indices in a trained model: words, characters, labels."""

    def to_json(self) -> str:
        """The symbols as a JSON object, for the run folder."""


#: a training example: an input with the expected output
Example = TypeVar("Example", default=Any)
Symbols = TypeVar("Symbols", bound=SavedSymbols, default=Any)
#: a trained model's output for an input
Answer = TypeVar("Answer", default=Any)
#: an input of a trained model; by default an example without the expected output
Input = TypeVar("Input", default=Example)
TaskOptions = TypeVar("TaskOptions", default=Any)
Wanted = TypeVar("Wanted", default=Any)


@dataclass(frozen=True)
class Vocab(Generic[Symbols]):
    """What is built from the training data before training: symbols, and word vectors if any."""

    symbols: Symbols
    vectors: Tensor | None = None


@dataclass(frozen=True)
class Fitted(Generic[Symbols, TaskOptions]):
    """A model, its symbols, and the options that it was built with."""

    model: nn.Module
    symbols: Symbols
    options: TaskOptions


@dataclass(frozen=True)
class NoPredictOptions(DeclaredOptions):
    """For a task that has no options for prediction."""


class Task(ABC, Generic[Example, Symbols, Answer, Input, TaskOptions, Wanted]):
    """A task: how its data are read, which model learns from them, and what it answers.

    ``options`` are a value of ``Options``, ``wanted`` one of ``PredictOptions``.
    """

    #: the name on the command line and in run files
    name: str
    title: str
    #: the validation metric that selects the best weights
    metric: str
    higher_is_better: bool = True
    #: how scores of ``metric`` are written: "%" for a fraction, otherwise the unit
    unit: str = "%"
    #: the default training options
    training: LoopOptions = LoopOptions()
    #: options of the task and of training that have another default for small data
    small_data: Mapping[str, SmallData] = {}
    #: the frozen dataclass of the task's options, ``cell`` and ``longest`` among them
    Options: type[TaskOptions]
    #: the frozen dataclass of the options for prediction
    PredictOptions: type[Wanted]
    #: which of the ``samples`` are for training and for validation
    train_file: str
    valid_file: str
    #: the inputs of ``elman demo``, keyed by how they are shown
    demo: Mapping[str, Any]
    #: the kind of an input: a text, a file name, or nothing, for a model that generates
    input_kind: Literal["text", "file", "nothing"] = "text"
    #: options that name files which training reads and a trained model no longer needs
    reads_once: tuple[str, ...] = ()
    #: options that decide the symbols, which ``--init-from`` takes from the other model
    symbol_options: tuple[str, ...] = ()
    #: prefixes of the layers whose size depends on the number of labels
    label_layers: tuple[str, ...] = ()
    #: whether a model can answer while its input arrives (``stream``)
    streams: bool = False
    #: whether ``stream_records`` answers while the input arrives or the output is generated
    live: bool = False
    #: of a live task: what a message with input holds, and the fields of each ``type`` of record
    #: that ``stream_records`` yields, with their JSON types; one that ends in ? may be missing
    live_input: str = ""
    live_records: Mapping[str, Mapping[str, str]] = {}
    #: what ends each piece that ``stream`` yields; empty if the pieces are parts of a line
    stream_end: str = "\n"
    #: whether ``predict`` answers inputs in batches, each as alone, bit for bit, if torch computes
    #: as in ``nn/batch_invariance.py``; then a service merges requests
    independent: bool = False
    #: how its text formats are cut into shards, by suffix ("" for all others): see data/shards.py;
    #: a file of another format is a shard
    cuts: Mapping[str, Cut] = {}
    #: suffixes of tables that the task reads itself, as their rows are no examples
    reads_whole: tuple[str, ...] = ()
    #: the suffix of the text that ``table_texts`` makes of rows of Parquet
    table_suffix: str = ".jsonl"
    #: whether ``--init-from`` takes models of other tasks as encoders (``encoder``); the symbols
    #: then have a field ``encoders``
    takes_encoders: bool = False
    #: the inputs beside x that the task's models give to a cell (``elman.cell(inputs=...)``)
    side_inputs: frozenset[str] = frozenset()
    #: what the Hugging Face Hub calls the task, if it has a name for it
    pipeline_tag: str = ""

    # ---- required

    @abstractmethod
    def read(self, path: Path, options: TaskOptions) -> list[Row[Example]]:
        """The examples of a data file or folder, each with its position."""

    @abstractmethod
    def build_vocab(
        self, examples: Sequence[Example], options: TaskOptions, seed: int
    ) -> Vocab[Symbols]:
        """The symbols and vectors of the training examples."""

    @abstractmethod
    def load_symbols(self, text: str) -> Symbols:
        """The symbols written by their ``to_json``; ``RunError`` for anything else."""

    @abstractmethod
    def build(self, options: TaskOptions, cell: Cell, vocab: Vocab[Symbols]) -> nn.Module:
        """A new model with ``loss(**batch)``."""

    @abstractmethod
    def collate(
        self,
        examples: Sequence[Example],
        symbols: Symbols,
        options: TaskOptions,
        generator: Generator | None = None,
    ) -> dict[str, Tensor]:
        """The keyword arguments of the model's ``loss``.

        With a ``generator`` the batch is for training; augmentation draws only from it.
        """

    @abstractmethod
    def score(
        self, fitted: Fitted[Symbols, TaskOptions], examples: Sequence[Example], wanted: Wanted
    ) -> dict[str, Any]:
        """The metrics on ``examples``, including ``metric``."""

    @abstractmethod
    def predict(
        self, fitted: Fitted[Symbols, TaskOptions], inputs: Sequence[Input], wanted: Wanted
    ) -> list[Answer]:
        """The model's answer to each input."""

    # ---- data

    def samples(self) -> Mapping[str, str | bytes]:
        """Small files for ``elman new``, by name."""
        return {}

    def table_texts(
        self, records: Sequence[Mapping[str, Any]], options: TaskOptions
    ) -> Sequence[str]:
        """Each row of a table (Parquet, a Hugging Face data set) as text that ``read`` reads.

        The text ends in a line feed.  ``KeyError``, ``TypeError`` or ``ValueError`` say why a row
        cannot be read.
        """
        if ".jsonl" not in self.cuts:
            raise ValueError(f"{self.name} reads no tables")
        return [json.dumps(record, ensure_ascii=False) + "\n" for record in records]

    def check(self, path: Path, options: TaskOptions) -> DataReport:
        """All problems of a data file, and statistics of its contents."""
        from elman.data.report import DataReport

        try:
            rows = self.read(path, options)
        except DataError as error:
            return DataReport(path, (str(error),), (), {})
        return DataReport(path, (), (), {"examples": len(rows)})

    def check_labels(self, rows: Sequence[Row[Example]], symbols: Symbols) -> None:
        """Raise ``DataError`` for the first example with a label that the model does not know."""

    def part(self, example: Example) -> str | None:
        """The split of an example, for files that hold "train", "valid" and "test" together."""
        return None

    def group(self, example: Example) -> Hashable:
        """A key: examples with the same one are not split between training and validation."""
        return cast(Hashable, example)

    def hold_out(
        self, rows: Sequence[Row[Example]], fold: int, folds: int
    ) -> tuple[list[Row[Example]], list[Row[Example]]]:
        """Training and validation rows, where there are no validation data.

        By default, groups are shuffled, because the labels in a file often alternate, and
        distributed over the folds.
        """
        groups = list(dict.fromkeys(self.group(row.value) for row in rows))
        random.Random(0).shuffle(groups)
        held = set(groups[fold::folds])
        split: tuple[list[Row[Example]], list[Row[Example]]] = ([], [])
        for row in rows:
            split[self.group(row.value) in held].append(row)
        return split

    def held_out(self, options: TaskOptions) -> str:
        """What ``hold_out`` holds out, for the card."""
        return "a held-out tenth of the training examples"

    def leak_keys(self, example: Example) -> tuple[Hashable, ...]:
        """Keys: examples of two splits that share one of these are a leak."""
        return (self.group(example),)

    def cut(self, examples: Sequence[Example], longest: int) -> list[Example]:
        """The same examples, cut to at most ``longest`` steps."""
        return list(examples)

    def length(self, example: Example) -> int:
        """The number of time steps of an example."""
        return len(cast(Sized, example))

    # ---- training

    def augment(
        self, examples: Sequence[Example], symbols: Symbols, options: TaskOptions, first: int = 0
    ) -> Sequence[Example]:
        """The training examples with others that are made of them; by default the same.

        ``prepare`` gets the result.  ``first`` is above 0 for a window of a stream, and is
        different for each.
        """
        return examples

    def prepare(
        self, examples: Sequence[Example], symbols: Symbols, options: TaskOptions, first: int = 0
    ) -> Sequence[Any]:
        """The examples as training takes them, once the symbols are known; by default the same.

        A task whose batches are not made of whole examples, such as one that cuts a text into
        windows of tokens, makes them here, numbered from ``first`` if they continue one another.
        ``length``, ``batches`` and ``collate`` then get these.
        """
        return examples

    def batches(
        self, examples: Sequence[Any], batch_size: int, *, seed: int, epoch: int
    ) -> Sequence[Sequence[int]]:
        """The batches of an epoch, as indices of ``examples``: by default of similar lengths.

        The same epoch always has the same batches.  If the rows of a batch continue those of the
        one before, row k must continue row k.
        """
        from elman.data import bucketed_batches

        lengths = [self.length(example) for example in examples]
        return bucketed_batches(lengths, batch_size, seed=seed, epoch=epoch)

    def deal(
        self, examples: Sequence[Any], count: int, *, seed: Sequence[int], share: int = 0
    ) -> Sequence[Sequence[int]]:
        """The examples of a part of a stream in exactly ``count`` batches, as in ``batches``.

        Process ``share`` has these examples; the other processes use the same ``seed``.
        """
        from elman.data.batching import dealt_batches

        lengths = [self.length(example) for example in examples]
        return dealt_batches(lengths, count, seed=seed, share=share)

    def merge_symbols(self, known: Symbols, found: Symbols) -> Symbols:
        """The symbols for training a model further: those it knows, extended by ``found``."""
        return known

    def encoder(self, fitted: Fitted[Symbols, TaskOptions], cell: Cell) -> EncoderSpec | None:
        """The part of a model that other tasks can take as an encoder, if it has one."""
        return None

    def initial_layers(self, options: TaskOptions, start: TaskOptions) -> tuple[str, ...]:
        """Prefixes of the layers that ``--init-from`` takes from a model with options ``start``.

        By default all, which must fit; the layers that are left out start anew.
        """
        return ("",)

    def validate(
        self, fitted: Fitted[Symbols, TaskOptions], examples: Sequence[Example]
    ) -> dict[str, Any]:
        """The metrics after an epoch, including ``metric``; may be faster than ``score``."""
        return self.score(fitted, examples, self.PredictOptions())

    def trained_part(self, fitted: Fitted[Symbols, TaskOptions]) -> Fitted[Symbols, TaskOptions]:
        """The part of the model that training changes; by default all of it.

        ``validate`` scores this part, and the monitor of training looks into it: the other parts
        could hide that it learns nothing.
        """
        return fitted

    def training_for(self, options: TaskOptions) -> LoopOptions:
        """The default training options, for a task in which they depend on its own."""
        return self.training

    def metric_for(self, options: TaskOptions) -> Metric:
        """The metric that selects the best weights, for a task in which it depends on options."""
        return Metric(self.metric, self.higher_is_better, self.unit)

    def metric_on(self, fitted: Fitted[Symbols, TaskOptions], valid: Sequence[Example]) -> Metric:
        """The same, once the validation examples are known: another one where these leave that of
        ``metric_for`` undefined.  The model is not trained yet."""
        return self.metric_for(fitted.options)

    def finish(self, fitted: Fitted[Symbols, TaskOptions], examples: Sequence[Example]) -> bool:
        """Set what depends on the validation ``examples``, after training; whether it has changed
        the model."""
        return False

    def calibrates(self, options: TaskOptions) -> bool:
        """Whether scores of labels may be divided by a temperature without changing answers."""
        return True

    def baselines(
        self,
        train: Sequence[Example],
        valid: Sequence[Example],
        fitted: Fitted[Symbols, TaskOptions],
    ) -> Sequence[Baseline]:
        """The scores of trivial baselines on ``valid``, in ``metric``, computed within seconds.

        Those that do not look at their input are ``constant``.  The model is not trained yet.
        """
        return ()

    # ---- answers

    def read_inputs(self, path: Path, options: TaskOptions) -> list[Input]:
        """The inputs in a file: by default one per line."""
        from elman.data.plain_text import read_lines

        return [self.as_input(line) for line in read_lines(path)]

    def as_input(self, value: Any) -> Input:
        """Convert what the user gives, a string or a value of the task's own type, to an input."""
        return cast(Input, value)

    def save(self, answers: Sequence[Answer], wanted: Wanted) -> list[Path]:
        """Write the files that ``wanted`` names, and return them."""
        return []

    def show(self, answer: Answer) -> str:
        """An answer as one or more lines of rich markup."""
        from rich.markup import escape

        return escape(str(answer))

    def source(self, answer: Answer) -> str:
        """The file that an answer is for, which is shown before it if there are several; or ""."""
        return ""

    def note(self, answer: Answer) -> str:
        """A sentence that warns of an answer, which is printed beside the answers; or ""."""
        return ""

    def record(self, answer: Answer) -> dict[str, Any]:
        """An answer as a JSON object."""
        return asdict(cast(Any, answer))

    def stream(
        self, fitted: Fitted[Symbols, TaskOptions], source: BinaryIO, wanted: Wanted
    ) -> Iterator[str]:
        """Answers while the input arrives, each a line of rich markup, or a part of one.

        ``stream_end`` is printed after each.
        """
        raise OptionError(f"{self.name}: this task cannot stream; omit --stream.")

    def stream_records(
        self, fitted: Fitted[Symbols, TaskOptions], pieces: Iterable[bytes], wanted: Wanted
    ) -> Iterator[dict[str, Any]]:
        """Like ``stream``, but as JSON objects with a ``type``, and from pieces of input."""
        raise OptionError(f"{self.name}: this task cannot stream; send whole inputs.")

    def demo_settings(self, folder: Path) -> Mapping[str, object]:
        """The ``PredictOptions`` for ``elman demo``, which writes files to ``folder``."""
        return {}
