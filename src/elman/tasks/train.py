"""From data files to a trained model: the same steps for every task.

Read the data, learn symbols from it, begin a run folder, build a model, run the training loop,
write the card.  A run that was stopped at any moment goes on from there, and refuses to if its
data have changed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import random
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

import elman.shipped
from elman import cells
from elman.data import bucketed_batches
from elman.data.faults import Row
from elman.data.folders import files_below
from elman.data.sources import data_files, is_folder, kind_of
from elman.errors import DataError, ElmanError, OptionError, RunError
from elman.graph import Cell, read_cell
from elman.options import refuse_unknown, with_settings
from elman.tasks.card import write_card
from elman.tasks.reading import read_rows
from elman.tasks.resuming import (
    files_of,
    refuse_other_data,
    resumed_options,
    resumed_start,
)
from elman.tasks.task import Fitted, Task, Vocab
from elman.tasks.trained import Trained, rows_for
from elman.training import LoopOptions, RunFolder, TrainingResult, fit
from elman.training.budget import within_memory
from elman.training.processes import is_main_process
from elman.training.progress import Progress

#: training takes smaller batches rather than fewer steps in an epoch
STEPS_IN_EPOCH = 10


@dataclass(frozen=True)
class Data:
    """The files of a training.

    Without ``valid`` the part of the training file that is for validation is taken, where it says
    so.  Else a part of the training examples is held out: of ``parts`` equal ones that with the
    number ``held_out``, from 0.  Examples of one group (``Task.group``) stay together.
    """

    train: Path
    valid: Path | None = None
    title: str = ""
    licence: str = ""
    held_out: int = 0
    parts: int = 10


def train(
    task: Task,
    data: Data,
    folder: Path,
    settings: Mapping[str, object],
    *,
    start: Trained | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[Trained, TrainingResult]:
    """Train a task's model on data files; the run folder then holds all of it.

    ``settings`` are options of the task and of training by name, as values or as text.  ``start``
    is a model to begin with: its weights, what it knows, and its options where ``settings`` do not
    name others.  Words that it does not know stay unknown; where labels are new to it, the layers
    that know labels begin anew.  With ``resume`` a run in ``folder`` goes on, with its cell and the
    options that it was begun with but for those that say when to stop; where no run was begun yet,
    one begins.  With ``overwrite`` the files of a run that is there are removed once the new one
    begins.

    Raises ``DataError`` for what is wrong with the files, ``OptionError`` for options, ``RunError``
    for the folder, such as one that another process trains in, and ``TrainingError`` where the
    loss is not a number.
    """
    refuse_unknown(settings, [task.Options, LoopOptions], "options")
    if resume and overwrite:
        raise OptionError("resume goes on with a run and overwrite removes it; give one of them.")
    run = RunFolder(folder)
    run.refuse_place()
    with run.lock():
        return _train(task, data, run, settings, start, resume, overwrite, progress)


def _train(
    task: Task,
    data: Data,
    run: RunFolder,
    settings: Mapping[str, object],
    start: Trained | None,
    resume: bool,
    overwrite: bool,
    progress: Progress | None,
) -> tuple[Trained, TrainingResult]:
    resume = resume and run.settings_path.exists()
    if resume:
        run.refuse_to_resume_results()
        options, training = resumed_options(task, run, settings)
        start = resumed_start(run)
        cell = read_cell(run.read_text("cell.json"))
    else:
        if not overwrite and is_main_process():
            run.refuse_run()
        options = with_settings(task.Options() if start is None else _options_of(start), settings)
        training = with_settings(task.training, settings)
        cell = find_cell(options.cell) if start is None or "cell" in settings else start.cell
    if start is not None and start.task.name != task.name:
        raise OptionError(
            f"init_from: {start.name} is for the task {start.task.name}; name another."
        )
    rows = read_rows(task, data.train, options)
    train_rows = rows_for("train", task, rows)
    if data.valid is not None:
        valid_rows = rows_for("valid", task, read_rows(task, data.valid, options))
    elif any([task.part(row.value) == "valid" for row in rows]):
        valid_rows = rows_for("valid", task, rows)
    else:
        train_rows, valid_rows = _held_out(task, train_rows, data)
    if not train_rows:
        raise DataError(f"{data.train}: one example is too few to train on; give at least two.")
    examples = task.cut([row.value for row in train_rows], options.longest)
    valid = [row.value for row in valid_rows]
    if not resume and "batch_size" not in settings:
        training = replace(training, batch_size=_batch_size(training.batch_size, len(examples)))
    record = _record(task, data, options, training, train_rows, valid_rows)
    files = options
    if resume:
        refuse_other_data(run, record)
        files = files_of(task, run, options)
    vocab = task.build_vocab(examples, files, training.seed)
    if start is not None:
        vocab = Vocab(task.merge_symbols(start.symbols, vocab.symbols))
    task.check_labels(valid_rows, vocab.symbols)
    if start is not None:
        ships = elman.shipped.models().get(start.name) == start.folder.path
        record["data"]["start"] = start.name if ships else str(start.folder.path)
    torch.manual_seed(training.seed)
    with within_memory():
        model, symbols = task.build(options, cell, vocab), vocab.symbols
    if start is not None:
        _begin_with(model, start, anew=symbols is not start.symbols)
    if not resume:
        texts = {"symbols.json": vocab.symbols.to_json(), "cell.json": cell.text}
        RunFolder.create(run.path, record, files=texts, overwrite=overwrite)
    elif vocab.symbols.to_json() != run.read_text("symbols.json"):
        raise RunError(
            f"{run.path / 'symbols.json'}: this is not what the run's data and options give; put "
            "the file back as training wrote it, or train anew in another folder."
        )
    fitted = Fitted(model, symbols, options)
    lengths = [task.length(example) for example in examples]

    def validate(model: torch.nn.Module) -> dict[str, float]:
        scores = task.validate(Fitted(model, symbols, options), valid)
        return {name: value for name, value in scores.items() if isinstance(value, float)}

    outcome = fit(
        model,
        batches=lambda epoch, size: bucketed_batches(
            lengths, size, seed=training.seed, epoch=epoch
        ),
        collate=lambda rows, generator: task.collate(
            [examples[k] for k in rows], symbols, options, generator
        ),
        validate=validate,
        metric=task.metric,
        higher_is_better=task.higher_is_better,
        options=training,
        folder=run,
        resume=resume,
        progress=progress,
    )
    model.eval()
    if is_main_process() and outcome.stopped_because != "interrupted":
        scores = task.score(fitted, valid, task.PredictOptions())
        write_card(run, task, options, outcome, scores, model)
    name = run.path.name
    return Trained(name, task, options, training, cell, symbols, model, run), outcome


def _options_of(start: Trained) -> Any:
    """The options of a model to begin with, without the files that it has learned from."""
    return replace(start.options, **dict.fromkeys(start.task.reads_once, ""))


def _begin_with(model: torch.nn.Module, start: Trained, *, anew: bool) -> None:
    """Give a model the weights of another; the layers that know labels may begin ``anew``.

    Raises ``OptionError`` where the model has other weights to fill.
    """
    own, weights = model.state_dict(), start.model.state_dict()
    if anew:
        own, weights = [
            {k: v for k, v in each.items() if not k.startswith(start.task.label_layers)}
            for each in (own, weights)
        ]
    shapes = [{name: each.shape for name, each in found.items()} for found in (own, weights)]
    if shapes[0] != shapes[1]:
        names = [n for n in (*shapes[0], *shapes[1]) if shapes[0].get(n) != shapes[1].get(n)]
        raise OptionError(
            f"init_from: the weights of {start.name} do not fit a model with these options, "
            f"{names[0]} for one; leave out options that change what the model consists of."
        )
    model.load_state_dict(weights, strict=not anew)


def _held_out(
    task: Task, rows: Sequence[Row[Any]], data: Data
) -> tuple[list[Row[Any]], list[Row[Any]]]:
    """Training and validation rows: groups of examples are dealt to the parts, shuffled.

    In turn would not do: files whose labels take turns are common.
    """
    groups = list(dict.fromkeys(task.group(row.value) for row in rows))
    random.Random(0).shuffle(groups)
    held = set(groups[data.held_out :: data.parts])
    split: tuple[list[Row[Any]], list[Row[Any]]] = ([], [])
    for row in rows:
        split[task.group(row.value) in held].append(row)
    return split


def _batch_size(usual: int, examples: int) -> int:
    """The usual size, or less where the data are so few that an epoch had only a few steps."""
    return max(1, min(usual, examples // STEPS_IN_EPOCH))


def find_cell(name: str) -> Cell:
    """A cell of the catalogue, or ``FILE.py:NAME``: one of the user's own.

    The file is run, as ``python FILE.py`` would; a trained run keeps the cell as a graph and
    needs the file no more.
    """
    file, colon, attribute = name.rpartition(":")
    if not colon:
        if name not in cells.CATALOGUE:
            raise OptionError(
                f'cell is "{name}", which is not in the catalogue: {", ".join(cells.CATALOGUE)}. '
                "A cell of your own is FILE.py:NAME."
            )
        return cells.CATALOGUE[name]
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    if spec is None or spec.loader is None or kind_of(Path(file)) != "file":
        raise OptionError(f'cell is "{name}", but there is no Python file {file}.')
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ElmanError:
        raise
    except Exception as error:
        line, said = _line_in(file, error), str(error)
        if isinstance(error, SyntaxError):
            line, said = error.lineno, error.msg
        where = f"{file}, line {line}" if line else file
        raise OptionError(
            f"{where}: {type(error).__name__}: {said}; correct the file of the cell."
        ) from error
    found = getattr(module, attribute, None)
    if not isinstance(found, Cell):
        raise OptionError(f'cell is "{name}", but {file} has no cell called {attribute}.')
    return found


def _line_in(file: str, error: Exception) -> int | None:
    """The last line of a file that was run when an error was raised."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    return lines[-1] if lines else None


def _record(
    task: Task,
    data: Data,
    options: Any,
    training: LoopOptions,
    train: Sequence[Row[Any]],
    valid: Sequence[Row[Any]],
) -> dict[str, Any]:
    """What ``run.toml`` holds; an option that is None is left out, as TOML has no such value."""
    return {
        "job": task.name,
        "options": asdict(options),
        "training": {k: v for k, v in asdict(training).items() if v is not None},
        "data": {
            "train": str(data.train),
            "valid": "" if data.valid is None else str(data.valid),
            "begun_in": _here(),
            "title": data.title,
            "licence": data.licence,
            "train_examples": len(train),
            "valid_examples": len(valid),
            "train_sha256": _fingerprint(task, data.train, train),
            "valid_sha256": "" if data.valid is None else _fingerprint(task, data.valid, valid),
            "held_out": [data.held_out, data.parts] if data.valid is None else [],
        },
    }


def _here() -> str:
    """The folder that relative paths are seen from; empty where it is gone."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def _fingerprint(task: Task, path: Path, rows: Sequence[Row[Any]]) -> str:
    """A hash of a file, of two named with a comma, or of all files in a folder with their names.

    And of the examples, because a file may name others, of sounds or videos.
    """
    digest = hashlib.sha256()
    files: Sequence[Path] = data_files(path)
    if is_folder(path):
        files = files_below(path)
    for file in files:
        if is_folder(path):
            digest.update(str(file.relative_to(path)).encode())
        digest.update(file.read_bytes())
    for row in rows:
        digest.update(repr(task.group(row.value)).encode())
    return digest.hexdigest()
