"""What a task is: a class that takes its files to a trained model, and inputs to answers.

A task derives from ``Task`` and lives in a package of its own, such as ``sentiment/``.  Class data
says what it is called and how it trains by default; six methods are required, the others have
defaults here.  What is the same for all tasks (``train.py``, ``trained.py``, the command line) is
written once and takes any of them.  ``registry.py`` lists the tasks.

The modules of a task import torch where they use it, so that a help text needs only the options.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence, Sized
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, Literal, Protocol, cast

from typing_extensions import TypeVar

from elman.errors import DataError, OptionError
from elman.options import DeclaredOptions
from elman.training import LoopOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from elman.data.faults import Row
    from elman.data.report import DataReport
    from elman.graph import Cell


#: options that say what one data file is like, which others need not be like
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
    """What indices stand for in a trained model: words, characters, labels."""

    def to_json(self) -> str:
        """All of it as a JSON object, for the run folder."""


#: a value to learn from: an input with what is expected of it
Example = TypeVar("Example", default=Any)
Symbols = TypeVar("Symbols", bound=SavedSymbols, default=Any)
#: what a trained model says about an input
Answer = TypeVar("Answer", default=Any)
#: what a trained model is asked about; an example without what is expected, unless said otherwise
Input = TypeVar("Input", default=Example)
TaskOptions = TypeVar("TaskOptions", default=Any)
Wanted = TypeVar("Wanted", default=Any)


@dataclass(frozen=True)
class Vocab(Generic[Symbols]):
    """What is read off the training data before training: symbols, and word vectors if any."""

    symbols: Symbols
    vectors: Tensor | None = None


@dataclass(frozen=True)
class Fitted(Generic[Symbols, TaskOptions]):
    """A model, what its indices stand for, and the options that it was made with."""

    model: nn.Module
    symbols: Symbols
    options: TaskOptions


@dataclass(frozen=True)
class NoPredictOptions(DeclaredOptions):
    """For a task whose models predict in one way only."""


class Task(ABC, Generic[Example, Symbols, Answer, Input, TaskOptions, Wanted]):
    """A task: what its files hold, which model learns from them, what it answers.

    ``options`` are a value of ``Options``, ``wanted`` one of ``PredictOptions``.
    """

    #: on the command line and in run files
    name: str
    title: str
    #: the validation metric by which the best weights are chosen
    metric: str
    higher_is_better: bool = True
    #: how training goes unless told otherwise
    training: LoopOptions = LoopOptions()
    #: the frozen dataclass of the task's options, ``cell`` and ``longest`` among them
    Options: type[TaskOptions]
    #: the frozen dataclass of what can be asked of a trained model
    PredictOptions: type[Wanted]
    #: which of the ``samples`` to train on and to validate with
    train_file: str
    valid_file: str
    #: the inputs of ``elman demo`` by what they are called there
    demo: Mapping[str, Any]
    #: what an input is: a text, a file's name, or nothing, where something is made up
    input_kind: Literal["text", "file", "nothing"] = "text"
    #: options that name files which training reads once, and a trained model no more
    reads_once: tuple[str, ...] = ()
    #: prefixes of the layers whose size follows from the number of labels
    label_layers: tuple[str, ...] = ()
    #: whether a model can answer while its input arrives (``stream``)
    streams: bool = False

    # ---- required

    @abstractmethod
    def read(self, path: Path, options: TaskOptions) -> list[Row[Example]]:
        """The examples of a data file or folder, each with its place."""

    @abstractmethod
    def build_vocab(
        self, examples: Sequence[Example], options: TaskOptions, seed: int
    ) -> Vocab[Symbols]:
        """Symbols and vectors from the training examples."""

    @abstractmethod
    def load_symbols(self, text: str) -> Symbols:
        """The symbols that their ``to_json`` wrote; ``RunError`` for anything else."""

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

        With a ``generator`` they are for training, and augmentation draws from it alone.
        """

    @abstractmethod
    def score(
        self, fitted: Fitted[Symbols, TaskOptions], examples: Sequence[Example], wanted: Wanted
    ) -> dict[str, Any]:
        """The metrics on examples, ``metric`` among them."""

    @abstractmethod
    def predict(
        self, fitted: Fitted[Symbols, TaskOptions], inputs: Sequence[Input], wanted: Wanted
    ) -> list[Answer]:
        """The model's answer to each input."""

    # ---- data

    def samples(self) -> Mapping[str, str | bytes]:
        """Small files for ``elman new``, by name."""
        return {}

    def check(self, path: Path, options: TaskOptions) -> DataReport:
        """Everything that is wrong with a data file, and what is in it."""
        from elman.data.report import DataReport

        try:
            rows = self.read(path, options)
        except DataError as error:
            return DataReport(path, (str(error),), (), {})
        return DataReport(path, (), (), {"examples": len(rows)})

    def check_labels(self, rows: Sequence[Row[Example]], symbols: Symbols) -> None:
        """``DataError`` for the first example whose label the model does not know."""

    def part(self, example: Example) -> str | None:
        """For files that hold "train", "valid" and "test" together: which an example is for."""
        return None

    def group(self, example: Example) -> Hashable:
        """Examples of the same group are never parted between training and validation."""
        return cast(Hashable, example)

    def leak_keys(self, example: Example) -> tuple[Hashable, ...]:
        """Examples of two splits leak if they share one of these."""
        return (self.group(example),)

    def cut(self, examples: Sequence[Example], longest: int) -> list[Example]:
        """The same examples, those that are longer than ``longest`` steps cut."""
        return list(examples)

    def length(self, example: Example) -> int:
        """How many time steps an example has."""
        return len(cast(Sized, example))

    # ---- training

    def merge_symbols(self, known: Symbols, found: Symbols) -> Symbols:
        """The symbols of a model that is trained further: what it knows, and what is ``found``."""
        return known

    def validate(
        self, fitted: Fitted[Symbols, TaskOptions], examples: Sequence[Example]
    ) -> dict[str, Any]:
        """The metrics after an epoch, ``metric`` among them; may be quicker than ``score``."""
        return self.score(fitted, examples, self.PredictOptions())

    # ---- answers

    def read_inputs(self, path: Path, options: TaskOptions) -> list[Input]:
        """The inputs in a file: each line, unless said otherwise."""
        from elman.data.plain_text import read_lines

        return [self.as_input(line) for line in read_lines(path)]

    def as_input(self, value: Any) -> Input:
        """An input from what a user gives: a string, or the task's own kind of value."""
        return cast(Input, value)

    def save(self, answers: Sequence[Answer], wanted: Wanted) -> list[Path]:
        """Write the files that ``wanted`` names; return them."""
        return []

    def show(self, answer: Answer) -> str:
        """An answer as a line of rich's markup, or several."""
        from rich.markup import escape

        return escape(str(answer))

    def record(self, answer: Answer) -> dict[str, Any]:
        """An answer as a JSON object."""
        return asdict(cast(Any, answer))

    def stream(
        self, fitted: Fitted[Symbols, TaskOptions], source: BinaryIO, wanted: Wanted
    ) -> Iterator[str]:
        """Answers while the input arrives, a line of rich's markup each."""
        raise OptionError(f"{self.name}: this task cannot stream; omit --stream.")

    def demo_settings(self, folder: Path) -> Mapping[str, object]:
        """The ``PredictOptions`` of ``elman demo``, whose files go into ``folder``."""
        return {}
