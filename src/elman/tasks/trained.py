"""A trained model with its task, loaded from a run folder or from the models in the package.

``load(RUN)`` returns a ``Trained``, which predicts when called.  Loading reads safetensors, JSON
and TOML, and runs no code.  ``train.py`` writes run folders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from torch import nn

from elman.data.faults import Row
from elman.errors import DataError, RunError
from elman.graph import Cell, read_cell
from elman.nn.batch_invariance import batch_invariant
from elman.nn.frozen import frozen_weights
from elman.options import known_options, refuse_unknown, with_settings
from elman.saved import in_short, parse_json, sentences
from elman.tasks.onnx_models import answer_by, refuse_torch
from elman.tasks.onnx_network import Files, put_constants
from elman.tasks.reading import read_rows
from elman.tasks.registry import TASKS
from elman.tasks.runs import find_run, is_onnx, task_name
from elman.tasks.task import OF_A_FILE, Fitted, Task, Vocab
from elman.training import LoopOptions, RunFolder
from elman.training.budget import within_memory, within_weights
from elman.training.weights import put_model_tensors


@dataclass(frozen=True)
class Trained:
    """A trained model: call it with inputs, or use its parts directly.

    >>> import elman
    >>> model = elman.load("sentiment")
    >>> [rating] = model(["There is nothing to like in this movie."])
    >>> rating.label
    'negative'
    """

    name: str
    task: Task
    options: Any
    training: LoopOptions
    cell: Cell
    symbols: Any
    model: nn.Module
    folder: RunFolder

    def __call__(
        self, inputs: Sequence[Any] | str | Path | None = None, **settings: object
    ) -> list[Any]:
        """The model's answer to each input; a single string or path is one input.

        Without ``inputs``, a generative model generates one output.  ``settings`` are the task's
        ``PredictOptions``; files that they name are written.
        """
        answers, _ = self.answers_and_files(inputs, **settings)
        return answers

    def answers_and_files(
        self, inputs: Sequence[Any] | str | Path | None = None, **settings: object
    ) -> tuple[list[Any], list[Path]]:
        """The answers that a call returns, and the files that were written."""
        given = [inputs] if inputs is None or isinstance(inputs, str | Path) else inputs
        values = [self.task.as_input(value) for value in given]
        return self._answer(values, self._wanted(settings))

    def answer_each(
        self, inputs: Sequence[Any], *, save: bool = True, **settings: object
    ) -> list[Any]:
        """Like a call, but an input that cannot be read has its ``DataError`` for an answer.

        With ``save`` off, the files that ``settings`` name are not written.
        """
        wanted = self._wanted(settings)
        with frozen_weights(self.model), self._alike():
            try:
                found = self.task.predict(self.fitted, inputs, wanted)
            except DataError:
                found = [self._answer_or_error(value, wanted) for value in inputs]
        if save:
            self.task.save([each for each in found if not isinstance(each, DataError)], wanted)
        return found

    def _answer_or_error(self, value: Any, wanted: Any) -> Any:
        try:
            [answer] = self.task.predict(self.fitted, [value], wanted)
        except DataError as error:
            return error
        return answer

    def predict_file(self, path: Path | str, **settings: object) -> list[Any]:
        """The model's answer to each input in a file."""
        options, settings = self.reading_options(settings)
        wanted = self._wanted(settings)
        answers, _ = self._answer(self.task.read_inputs(Path(path), options), wanted)
        return answers

    def evaluate(self, path: Path | str, **settings: object) -> dict[str, Any]:
        """The task's metrics on a data file, or on its test split if the file marks one.

        ``settings`` are ``PredictOptions``, and options of the task that describe a file, such as
        ``text_column``.  With ``skip_bad``, invalid examples are skipped, and ``skipped`` counts
        the problems; it is off by default, even if the model was trained with it.

        Raises ``DataError`` for problems in the file, such as an unknown label.
        """
        options, settings = self.reading_options(settings)
        wanted = self._wanted(settings)
        read = read_rows(self.task, Path(path), options)
        rows = rows_for("test", self.task, read)
        self.task.check_labels(rows, self.symbols)
        with frozen_weights(self.model):
            scores = self.task.score(self.fitted, [row.value for row in rows], wanted)
        return {**scores, "skipped": len(read.skipped)} if read.skipped else scores

    def reading_options(self, settings: Mapping[str, object]) -> tuple[Any, dict[str, object]]:
        """The options, updated by ``settings`` that describe a file, and the other settings."""
        own = known_options([self.task.Options])
        reads = {k: v for k, v in settings.items() if k in own and k in OF_A_FILE}
        if "skip_bad" in own:
            reads = {"skip_bad": False, **reads}
        others = {name: value for name, value in settings.items() if name not in reads}
        return with_settings(self.options, reads), others

    def stream(self, source: BinaryIO, **settings: object) -> Iterator[str]:
        """Answers while the input arrives, one line of rich markup each.

        Raises ``OptionError`` for a task that cannot stream.
        """
        answers = self.task.stream(self.fitted, source, self._wanted(settings))

        def while_frozen() -> Iterator[str]:
            with frozen_weights(self.model):
                yield from answers

        return while_frozen()

    def stream_records(
        self, pieces: Iterable[bytes], **settings: object
    ) -> Iterator[dict[str, Any]]:
        """Like ``stream``, but as JSON objects with a ``type``, and from pieces of input.

        Speech reads raw audio; video an encoded video, or a JPEG or PNG picture in each piece;
        music a MIDI file to continue, or nothing.

        >>> import elman
        >>> pieces = elman.load("music").stream_records([], seconds=2, seed=1)
        >>> [each["type"] for each in pieces][-1]
        'tune'
        """
        found = self.task.stream_records(self.fitted, pieces, self._wanted(settings))

        def while_frozen() -> Iterator[dict[str, Any]]:
            with frozen_weights(self.model):
                yield from found

        return while_frozen()

    @property
    def fitted(self) -> Fitted:
        """The model with its symbols and options."""
        return Fitted(self.model, self.symbols, self.options)

    def _answer(self, inputs: Sequence[Any], wanted: Any) -> tuple[list[Any], list[Path]]:
        with frozen_weights(self.model), self._alike():
            answers = self.task.predict(self.fitted, inputs, wanted)
        return answers, self.task.save(answers, wanted)

    def _alike(self) -> AbstractContextManager[object]:
        """Makes answers independent of the other inputs, where the task promises that."""
        return batch_invariant() if self.task.independent else nullcontext()

    def _wanted(self, settings: Mapping[str, object]) -> Any:
        refuse_unknown(settings, [self.task.PredictOptions], self.task.name)
        return with_settings(self.task.PredictOptions(), settings)


def load(run: str | Path) -> Trained:
    """Load the trained model of a run folder, or the shipped model with this name.

    An ONNX file of ``elman export`` is run by ONNX Runtime; ``hf://user/model`` is downloaded
    from the Hugging Face Hub.

    Raises ``RunError`` if there is no such run, or if it is damaged, not a run folder, or from a
    later version.

    >>> import elman
    >>> [answer] = elman.load("ner")(["Yesterday, Harry Potter met Hermione Granger."])
    >>> [name.text for name in answer.names]
    ['Harry Potter', 'Hermione Granger']
    """
    if is_onnx(run):
        return open_onnx(Path(run))
    return open_run(RunFolder.open(find_run(run)))


def rows_for(part: str, task: Task, rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    """The rows that a data file marks as ``part``; all rows if it marks none."""
    found = [row for row in rows if task.part(row.value) == part]
    return found or list(rows)


def open_run(folder: RunFolder) -> Trained:
    """The trained model of a folder that ``RunFolder.open`` has checked."""
    name = task_name(folder.settings())
    if name not in TASKS:
        raise RunError(
            f"{folder.settings_path}: the task is {in_short(repr(name))}, and this installation "
            f"has {', '.join(TASKS)}."
        )
    task = TASKS[name]
    options, training = read_options(task, folder)
    text, cell_text = folder.read_text("symbols.json"), folder.read_text("cell.json")
    with sentences(folder.path / "symbols.json"):
        symbols = task.load_symbols(text)
    cell = read_cell(cell_text)
    folder.refuse_changed_files()
    tensors = folder.tensors()
    with within_weights(tensors, folder.model_path):
        model = task.build(options, cell, Vocab(symbols))
    put_model_tensors(model, tensors, folder.model_path)
    model.eval()
    return Trained(folder.path.name, task, options, training, cell, symbols, model, folder)


def open_onnx(path: Path) -> Trained:
    """The trained model of an ONNX file, whose network ONNX Runtime computes."""
    files = Files(path)
    said = files.metadata
    name = said["elman.task"]
    if name not in TASKS:
        raise RunError(
            f"{path}: the task is {name!r}, and this installation has {', '.join(TASKS)}."
        )
    task = TASKS[name]
    own = parse_json(said["elman.options"], f"{path}: its options")
    refuse_unknown(own, [task.Options], f"{path}, elman.options")
    options = with_settings(task.Options(), own)
    with sentences(path):
        symbols = task.load_symbols(said["elman.symbols"])
    cell = read_cell(said["elman.cell_graph"])
    with within_memory():
        model = task.build(options, cell, Vocab(symbols)).eval()
    put_constants(model, files)
    answer_by(model, files)
    refuse_torch(model, files)
    folder = RunFolder(path.parent)
    return Trained(files.name, task, options, task.training, cell, symbols, model, folder)


def read_options(task: Task, folder: RunFolder) -> tuple[Any, LoopOptions]:
    """The options of the task and of training that a run was started with."""
    own = read_table(folder, "options")
    training = read_table(folder, "training")
    refuse_unknown(own, [task.Options], f"{folder.settings_path}, [options]")
    refuse_unknown(training, [LoopOptions], f"{folder.settings_path}, [training]")
    # an option that is absent was None when it was saved
    missing: Iterable[str] = ("max_minutes",)
    training = {**dict.fromkeys(missing), **training}
    with sentences(folder.settings_path):
        return with_settings(task.Options(), own), with_settings(task.training, training)


def read_table(folder: RunFolder, name: str) -> dict[str, Any]:
    """A table of ``run.toml``; ``RunError`` if it is missing."""
    table = folder.settings().get(name)
    if not isinstance(table, dict):
        raise RunError(
            f"{folder.settings_path}: there is no table [{name}]; restore the file as training "
            "wrote it."
        )
    return table
