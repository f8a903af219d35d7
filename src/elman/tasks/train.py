"""From data files to a trained model: the same steps for every task.

Read the data, build the vocabulary, create a run folder, build the model, run the training loop,
write the card.  A run that was stopped can be resumed at any point, unless its data have changed.
"""

from __future__ import annotations

import importlib.util
import os
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

import elman.shipped
from elman import cells
from elman.data.faults import Row
from elman.data.remote import shown
from elman.data.sources import kind_of
from elman.errors import ElmanError, OptionError, RunError
from elman.graph import Cell, read_cell
from elman.options import refuse_unknown, with_settings
from elman.stages import silently, stage
from elman.tasks.calibration import calibrate
from elman.tasks.card import write_card
from elman.tasks.corpus import Corpus, Data, data_digest, read_corpus, refuse_too_few
from elman.tasks.inspection import inspect, sample
from elman.tasks.recurrent_options import numbers_of_sizes, refuse_missing_sizes, refuse_unused
from elman.tasks.resuming import (
    fetch_copy,
    files_of,
    refuse_other_data,
    resumed_options,
    resumed_start,
)
from elman.tasks.string_encoders import put_encoder_weights
from elman.tasks.task import Fitted, Task, Vocab
from elman.tasks.trained import Trained
from elman.training import LoopOptions, RunFolder, TrainingResult, fit
from elman.training.baselines import Metric, baseline_line
from elman.training.budget import within_memory
from elman.training.copies import RunCopy
from elman.training.launch import is_of_this_launch, this_launch
from elman.training.loggers import check_logger
from elman.training.processes import is_main_process
from elman.training.progress import Progress, Silence, choose_progress
from elman.training.watch import Background, Finding

#: the batch size is reduced for small data to get at least this many steps per epoch
STEPS_IN_EPOCH = 10


def train(
    task: Task,
    data: Data,
    folder: Path,
    settings: Mapping[str, object],
    *,
    start: Trained | Sequence[Trained] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[Trained, TrainingResult]:
    """Train a task's model on data files, and write the run folder.

    ``settings`` are options of the task and of training by name, as values or as text.  ``start``
    is a model to initialise from: its weights, its symbols, and its options unless ``settings``
    override them.  Words that it does not know stay unknown; if labels are new to it, the layers
    that depend on labels are initialised anew.  Models of another task become encoders of the new
    model instead (``Task.takes_encoders``).  ``resume`` continues the run in ``folder`` with its
    cell and its options, of which only those for when to stop may change, or starts a run if there
    is none.  ``overwrite`` removes the files of an existing run when the new one starts.

    Raises ``DataError`` for problems in the files, ``OptionError`` for invalid options,
    ``RunError`` for the folder, for example if another process trains in it, and
    ``TrainingError`` if the loss is not finite.
    """
    refuse_unknown(settings, [task.Options, LoopOptions], "options")
    if resume and overwrite:
        raise OptionError("resume continues a run and overwrite removes it; give only one of them.")
    begun = time.monotonic()
    if progress is None:
        progress = choose_progress() if is_main_process() else Silence()
    run = RunFolder(Path(folder))
    run.refuse_place()
    if this_launch() and is_of_this_launch(_launch_of(run)):
        resume, overwrite = True, False
    if resume:
        fetch_copy(task, run, settings)
    with run.lock(), silently(isinstance(progress, Silence)):
        return _train(task, data, run, settings, start, resume, overwrite, progress, begun)


def _launch_of(run: RunFolder) -> object:
    """The launch of torchrun that a run was started by, if any."""
    return run.settings().get("launch") if run.settings_path.exists() else None


def _train(
    task: Task,
    data: Data,
    run: RunFolder,
    settings: Mapping[str, object],
    given: Trained | Sequence[Trained] | None,
    resume: bool,
    overwrite: bool,
    progress: Progress,
    begun: float,
) -> tuple[Trained, TrainingResult]:
    start, encoders = _start_and_encoders(task, given)
    resume = resume and run.settings_path.exists()
    if resume:
        run.refuse_to_resume_results()
        options, training = resumed_options(task, run, settings)
        start, encoders = _start_and_encoders(task, resumed_start(run))
        cell = read_cell(run.read_text("cell.json"))
    else:
        if not overwrite and is_main_process():
            run.refuse_run()
        options = with_settings(task.Options() if start is None else _options_of(start), settings)
        if start is not None:
            _refuse_other_symbols(task, start, options)
        training = with_settings(task.training_for(options), settings)
        cell = find_cell(options.cell) if start is None or "cell" in settings else start.cell
        _refuse_inputs(task, cell)
        if hasattr(options, "sizes"):
            refuse_missing_sizes(cell, numbers_of_sizes(options.sizes))
    check_logger(training)
    corpus = read_corpus(task, data, options, training)
    try:
        if not resume:
            # a model to initialise from has set the options of its layers
            chosen = dict(settings) if start is None else {**vars(options), **settings}
            options, training = corpus.choose_defaults(training, chosen)
        return _train_on(
            corpus, data, run, options, training, cell, settings, start, encoders, resume,
            overwrite, progress, begun,
        )  # fmt: skip
    finally:
        corpus.close()


def _train_on(
    corpus: Corpus,
    data: Data,
    run: RunFolder,
    options: Any,
    training: LoopOptions,
    cell: Cell,
    settings: Mapping[str, object],
    start: Trained | None,
    encoders: Sequence[Trained],
    resume: bool,
    overwrite: bool,
    progress: Progress,
    begun: float,
) -> tuple[Trained, TrainingResult]:
    task, train_rows, valid_rows = corpus.task, corpus.train, corpus.valid
    refuse_too_few(corpus, data.train)
    examples = corpus.examples
    valid = [row.value for row in valid_rows]
    record = _record(corpus, data, options, training)
    files = options
    if resume:
        refuse_other_data(run, record)
        files = files_of(task, run, options)
    with stage("building the vocabulary"):
        vocab = task.build_vocab(examples, files, training.seed)
    if start is not None:
        vocab = Vocab(task.merge_symbols(start.symbols, vocab.symbols))
    if encoders:
        specs = tuple([each.task.encoder(each.fitted, each.cell) for each in encoders])
        vocab = replace(vocab, symbols=replace(vocab.symbols, encoders=specs))
    task.check_labels(valid_rows, vocab.symbols)
    examples = corpus.prepare(vocab.symbols)
    if not resume and "batch_size" not in settings:
        training = replace(training, batch_size=_batch_size(training.batch_size, corpus.size))
        record["training"]["batch_size"] = training.batch_size
    if start is not None or encoders:
        models = [start] if start is not None else encoders
        record["data"]["start"] = ",".join([_name(each) for each in models])
    torch.manual_seed(training.seed)
    with within_memory():
        model, symbols = task.build(options, cell, vocab), vocab.symbols
    refuse_unused(options, model)
    if start is not None:
        layers = task.initial_layers(options, start.options)
        _initialise(model, start, layers, anew=symbols is not start.symbols)
    if encoders:
        put_encoder_weights(model, [each.model for each in encoders])
    if not resume:
        texts = {"symbols.json": vocab.symbols.to_json(), "cell.json": cell.text}
        RunFolder.create(run.path, record, files=texts, overwrite=overwrite)
    elif vocab.symbols.to_json() != run.read_text("symbols.json"):
        raise RunError(
            f"{run.path / 'symbols.json'}: the file does not match the data and options of the "
            "run; restore it as training wrote it, or train in another folder."
        )
    fitted = Fitted(model, symbols, options)

    def validate(model: torch.nn.Module) -> dict[str, float]:
        scores = task.validate(Fitted(model, symbols, options), valid)
        return {name: value for name, value in scores.items() if isinstance(value, float)}

    metric = task.metric_on(fitted, valid)
    with stage("scoring the baselines"):
        background = _background(task, train_rows, valid_rows, examples, fitted, metric)
    for baseline in background.baselines:
        progress.say(baseline_line(metric, baseline))
    del train_rows, examples  # a stream drops its sample
    if said := corpus.begin(symbols):
        progress.say(said)
    outcome = fit(
        model,
        batches=corpus.batches,
        collate=corpus.collate,
        validate=validate,
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        options=training,
        folder=run,
        resume=resume,
        progress=progress,
        background=background,
        seconds_before=time.monotonic() - begun,
    )
    if said := corpus.close():
        progress.say(said)
    model.eval()
    finished = outcome.stopped_because != "interrupted"
    if finished:
        changed = [calibrate(task, fitted, valid) != 1, task.finish(fitted, valid)]
        if any(changed) and is_main_process():
            run.save_weights(model)
    if is_main_process() and finished:
        scores = task.score(fitted, valid, task.PredictOptions())
        write_card(run, task, options, outcome, scores, model, metric, background.baselines)
    if is_main_process() and training.copy_to:
        try:
            RunCopy(training.copy_to).save(run)
        except RunError as error:  # the run itself is complete
            progress.say(f"{error} The run in {run.path} is complete.")
    name = run.path.name
    return Trained(name, task, options, training, cell, symbols, model, run), outcome


def _background(
    task: Task,
    train: Sequence[Row[Any]],
    valid: Sequence[Row[Any]],
    examples: Sequence[Any],
    fitted: Fitted,
    metric: Metric,
) -> Background:
    """What the monitor of training knows: baselines, repeated examples, a look into the model.

    ``examples`` are those of ``train``, cut to their maximum length.
    """
    if not is_main_process():
        return Background()
    known = {key for row in train for key in task.leak_keys(row.value)}
    repeated = sum([known.issuperset(task.leak_keys(row.value)) for row in valid])
    known_values, valid_values = [[row.value for row in rows] for rows in (train, valid)]
    part = task.trained_part(fitted)
    batch = sample(task, examples, part.symbols, part.options)

    def look(model: torch.nn.Module, failing: bool) -> list[Finding]:
        inner = task.trained_part(replace(fitted, model=model)).model
        return [] if batch is None else inspect(inner, batch, part.options, failing)

    def score(model: torch.nn.Module) -> float:
        whole = replace(fitted, model=model)
        return float(task.score(whole, valid_values, task.PredictOptions())[metric.name])

    return Background(
        unit=metric.unit,
        baselines=tuple(task.baselines(known_values, valid_values, fitted)),
        repeated=repeated,
        valid_examples=len(valid),
        inspect=look,
        score=None if part is fitted else score,
    )


def _start_and_encoders(
    task: Task, given: Trained | Sequence[Trained] | None
) -> tuple[Trained | None, list[Trained]]:
    """The model to initialise from, or the models whose layers become encoders."""
    models = [] if given is None else [given] if isinstance(given, Trained) else list(given)
    if not models:
        return None, []
    if len(models) == 1 and models[0].task.name == task.name:
        return models[0], []
    names = [_name(each) for each in models]
    if len(set(names)) < len(names):
        raise OptionError(
            f"init_from: {max(names, key=names.count)} is named twice; name each model once."
        )
    if len(models) > 2:
        raise OptionError(f"init_from: {len(models)} models are named; name one, or two encoders.")
    for each in models:
        if each.task.name == task.name:
            raise OptionError(
                f"init_from: {each.name} is a model for {task.name} itself; name it alone."
            )
        if not task.takes_encoders or each.task.encoder(each.fitted, each.cell) is None:
            raise OptionError(
                f"init_from: {each.name} is a model for {each.task.name}, not for {task.name}."
            )
    return None, models


def _name(trained: Trained) -> str:
    """The name of a shipped model, or the folder of a run."""
    ships = elman.shipped.models().get(trained.name) == trained.folder.path
    return trained.name if ships else str(trained.folder.path)


def _options_of(start: Trained) -> Any:
    """The options of a model to initialise from, without the files that only training reads."""
    return replace(start.options, **dict.fromkeys(start.task.reads_once, ""))


def _refuse_other_symbols(task: Task, start: Trained, options: Any) -> None:
    """Raise ``OptionError`` for an option that the symbols of the other model decide already."""
    before = _options_of(start)
    for name in task.symbol_options:
        old, new = getattr(before, name), getattr(options, name)
        if old != new:
            was = "without it" if old == "" else f"with {old!r}"
            raise OptionError(
                f"init_from: {name} comes from {_name(start)}, which was trained {was}, and cannot "
                f"be {new!r}; omit {name}, or train without init_from."
            )


def _initialise(
    model: torch.nn.Module, start: Trained, layers: tuple[str, ...], *, anew: bool
) -> None:
    """Load the weights of another model, of the layers with these prefixes.

    With ``anew``, skip the layers that depend on labels.

    Raises ``OptionError`` if the weights do not fit.
    """
    left_out = start.task.label_layers if anew else ()
    own, weights = [
        {k: v for k, v in each.items() if k.startswith(layers) and not k.startswith(left_out)}
        for each in (model.state_dict(), start.model.state_dict())
    ]
    shapes = [{name: each.shape for name, each in found.items()} for found in (own, weights)]
    if shapes[0] != shapes[1]:
        names = [n for n in (*shapes[0], *shapes[1]) if shapes[0].get(n) != shapes[1].get(n)]
        raise OptionError(
            f"init_from: the weights of {start.name} do not fit a model with these options "
            f"(for example {names[0]}); omit options that change the layers of the model."
        )
    model.load_state_dict(weights, strict=False)  # those of the layers that are taken all fit


def _batch_size(size: int, examples: int) -> int:
    """The size, or less if the data would give only a few steps per epoch."""
    return max(1, min(size, examples // STEPS_IN_EPOCH))


def _refuse_inputs(task: Task, cell: Cell) -> None:
    """Raise ``OptionError`` for a cell with inputs that the task does not give."""
    lacking = [name for name, _ in cell.inputs if name not in task.side_inputs]
    if lacking:
        raise OptionError(
            f"the cell {cell.name} takes the {'input' if len(lacking) == 1 else 'inputs'} "
            f"{', '.join(lacking)} beside x, which {task.name} does not give; choose another cell."
        )


def find_cell(name: str) -> Cell:
    """A cell of the catalogue, or your own cell as ``FILE.py:NAME``.

    The file is executed, as by ``python FILE.py``.  A run stores the cell as a graph, and no longer
    needs the file.
    """
    file, colon, attribute = name.rpartition(":")
    if not colon:
        if name not in cells.ALL:
            raise OptionError(
                f'cell is "{name}", which is not in the catalogue: {", ".join(cells.ALL)}. '
                "Give your own cell as FILE.py:NAME."
            )
        return cells.ALL[name]
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
        raise OptionError(f'cell is "{name}", but {file} defines no cell {attribute}.')
    return found


def _line_in(file: str, error: Exception) -> int | None:
    """The last line of a file that was run when an error was raised."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    return lines[-1] if lines else None


def _record(corpus: Corpus, data: Data, options: Any, training: LoopOptions) -> dict[str, Any]:
    """The contents of ``run.toml``; options that are None are left out, as TOML has no None."""
    return {
        **({"launch": this_launch()} if this_launch() else {}),
        "job": corpus.task.name,
        "options": asdict(options),
        "training": {k: v for k, v in asdict(training).items() if v is not None},
        "data": {
            "train": shown(data.train),
            "valid": "" if data.valid is None else shown(data.valid),
            "begun_in": _here(),
            "title": data.title,
            "licence": data.licence,
            "train_examples": corpus.rows,
            "valid_examples": len(corpus.valid),
            "train_sha256": corpus.digest,
            "valid_sha256": ""
            if data.valid is None
            else (data_digest(corpus.task, data.valid, corpus.valid)),
            "held_out": [data.held_out, data.parts] if data.valid is None else [],
            **({"files": dict(corpus.files)} if corpus.files else {}),
        },
    }


def _here() -> str:
    """The current folder, from which relative paths are resolved; empty if it is deleted."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""
