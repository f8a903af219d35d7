"""What a job is: the functions that take its files to a trained model and its inputs to answers.

A job is a module with these names, such as ``sentiment/``; what is the same for all jobs
(``train.py``, ``trained.py``, the command line) is written once and takes any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

from torch import Generator, Tensor, nn

from elman.data import DataReport
from elman.data.faults import Row
from elman.graph import Cell
from elman.training import LoopOptions


class Symbols(Protocol):
    """What indices stand for in a trained model: words, characters, labels."""

    def to_json(self) -> str:
        """All of it as a JSON object, for the run folder."""


@dataclass(frozen=True)
class Learned:
    """What is read off the training data before training: symbols, and word vectors if any."""

    symbols: Any
    vectors: Tensor | None


@dataclass(frozen=True)
class Fitted:
    """A model, what its indices stand for, and the options that it was made with."""

    model: nn.Module
    symbols: Any
    options: Any


@dataclass(frozen=True)
class NoPredictOptions:
    """For a job whose models can be asked in one way only."""


#: the answers to a sound or a film while it arrives: a line of rich's markup each
Stream = Callable[[Fitted, BinaryIO, Any], Iterator[str]]


class Task(Protocol):
    """The names that a job's module has.

    An example is a value of the job's own kind with what is expected of it; an input is what a
    trained model is asked about; a prediction is its answer.
    """

    NAME: str
    TITLE: str
    #: the validation metric by which the best weights are chosen, and whether more is better
    METRIC: str
    HIGHER_IS_BETTER: bool
    #: how training goes unless told otherwise
    TRAINING: LoopOptions
    #: which of the ``samples`` to train on and to validate with
    TRAIN_FILE: str
    VALID_FILE: str

    @property
    def POSTER(self) -> Mapping[str, Any]:  # noqa: N802 - it is a constant
        """The inputs of ``elman demo`` by what they are called there."""

    @property
    def INPUT(self) -> Literal["text", "file", "nothing"]:  # noqa: N802 - it is a constant
        """What an input is: a text, a file's name, or nothing, where something is made up."""

    @property
    def Options(self) -> type[Any]:  # noqa: N802 - it is a class
        """The frozen dataclass of the job's options."""

    @property
    def PredictOptions(self) -> type[Any]:  # noqa: N802 - it is a class
        """The frozen dataclass of what can be asked of a trained model, and where to."""

    @property
    def stream(self) -> Stream | None:
        """Answers while the input arrives, for a job and a model that can; else None."""

    @property
    def part(self) -> Callable[[Any], str | None] | None:
        """For data files that hold all of "train", "valid" and "test": which an example is for."""

    def samples(self) -> Mapping[str, str | bytes]:
        """Small files for ``elman new``, by name."""

    def read(self, path: Path, options: Any) -> list[Row[Any]]:
        """The examples of a data file or folder, each with its place."""

    def check(self, path: Path, options: Any) -> DataReport:
        """Everything that is wrong with a data file, and what is in it."""

    def refuse_strangers(self, rows: Sequence[Row[Any]], symbols: Any) -> None:
        """``DataError`` for the first example whose label the model does not know."""

    def group(self, example: Any) -> Hashable:
        """Examples with the same are never parted between training and validation."""

    def learn(self, examples: Sequence[Any], options: Any, seed: int) -> Learned:
        """Symbols and vectors from the training examples."""

    def adopt(self, known: Any, learned: Any) -> Any:
        """Symbols for going on from a model: what it knows, with labels of the data if it must."""

    def load_symbols(self, text: str) -> Any:
        """The symbols that ``Symbols.to_json`` wrote; ``RunError`` for anything else."""

    def build(self, options: Any, cell: Cell, learned: Learned) -> nn.Module:
        """A new model with ``loss(**batch)``."""

    def cut(self, examples: Sequence[Any], longest: int) -> list[Any]:
        """The same examples, those that are longer than ``longest`` steps cut."""

    def length(self, example: Any) -> int:
        """How many time steps an example has."""

    def collate(
        self, examples: Sequence[Any], symbols: Any, options: Any, generator: Generator | None
    ) -> dict[str, Tensor]:
        """The keyword arguments of the model's ``loss``.

        With a ``generator`` they are for training, and augmentation draws from it alone.
        """

    def validate(self, fitted: Fitted, examples: Sequence[Any]) -> dict[str, Any]:
        """The metrics after an epoch, ``METRIC`` among them; quicker than ``score`` may be."""

    def score(self, fitted: Fitted, examples: Sequence[Any], wanted: Any) -> dict[str, Any]:
        """The job's metrics."""

    def read_inputs(self, path: Path, options: Any) -> list[Any]:
        """The inputs in a file."""

    def as_input(self, value: Any) -> Any:
        """An input from what a user gives: a string, or the job's own kind of value."""

    def predict(self, fitted: Fitted, inputs: Sequence[Any], wanted: Any) -> list[Any]:
        """The model's answer to each input; ``wanted`` are ``PredictOptions``."""

    def save(self, predictions: Sequence[Any], wanted: Any) -> list[Path]:
        """Write the files that ``wanted`` names; return them."""

    def poster_settings(self, folder: Path) -> Mapping[str, object]:
        """The ``PredictOptions`` of ``elman demo``, whose files go into ``folder``."""

    def show(self, prediction: Any) -> str:
        """An answer as a line of rich's markup, or several."""

    def record(self, prediction: Any) -> dict[str, Any]:
        """An answer as a JSON object."""
