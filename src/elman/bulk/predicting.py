"""Answers every input of a file, in constant memory, and goes on where a killed run stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch

from elman.bulk.inputs import Entry, Source, files_of
from elman.bulk.records import Records, partial_of
from elman.data.folders import files_below
from elman.data.remote import shown, size_of, url_of
from elman.data.sources import is_folder
from elman.errors import DataError, OptionError
from elman.tasks import Trained, load

#: inputs that are read and answered at once
AT_ONCE = 1024


class Progress(Protocol):
    """What ``predict_file`` reports to."""

    def update(self, done: int, read: float | None) -> None:
        """``done`` inputs are answered; ``read`` is the fraction that has been read, if known."""


@dataclass(frozen=True)
class Outcome:
    """The file that was written, the number of its answers, and how many inputs had an error."""

    path: Path
    answers: int
    errors: int
    #: where the first of these is, and what is wrong there
    first_error: str = ""


def predict_file(
    run: str | Path | Trained,
    source: Path | str | None,
    out: Path | str,
    *,
    resume: bool = False,
    batch_size: int = AT_ONCE,
    threads: int | None = None,
    progress: Progress | None = None,
    **settings: object,
) -> Outcome:
    """Write the model's answer to each input of ``source`` to ``out``: CSV, JSONL or Parquet.

    ``source`` is a file, a folder, a pattern such as ``d/*.txt``, a URL, or None for standard
    input.  There is one answer per input, in order: for each line of a text file, blank ones too,
    for each row of a table; of a folder, for those of each of its files, or for each file if the
    task reads files.  An input that cannot be read has ``error`` for an answer; so has one of
    several files that is wrong as a whole, such as a table without the column.  ``batch_size``
    inputs are in memory at once.  The output is written whole or not at all; with ``resume``, a run
    that was killed goes on where it stopped, but not from standard input.  ``settings`` are the
    task's ``PredictOptions``, and options that describe a file.

    Raises ``DataError`` if the source has no inputs, or is one file that is wrong as a whole,
    ``OptionError`` for a task without inputs, or if ``out`` is ``source``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     texts, answers = Path(folder) / "a.txt", Path(folder) / "a.csv"
    ...     _ = texts.write_text("A warm and funny film.\\n\\nA dull mess.\\n")
    ...     outcome = predict_file("sentiment", texts, answers)
    ...     [line.split(",")[2] for line in answers.read_text().splitlines()]
    ['label', 'positive', 'negative', 'negative']
    """
    model = run if isinstance(run, Trained) else load(run)
    if model.task.input_kind == "nothing":
        raise OptionError(f"{model.task.name}: a model that generates has no inputs to read.")
    if batch_size < 1:
        raise OptionError(f"batch_size is {batch_size}; it must be 1 or more.")
    path = None if source is None else Path(source)
    if path is None and resume:
        raise OptionError(
            "resume: standard input is not the same a second time; name a file with --in, or omit "
            "--resume."
        )
    if path is not None:
        _refuse_to_overwrite(files_of(model.task, path), Path(out))
    _refuse_files(model, settings)
    options, wanted = model.reading_options(settings)
    inputs = Source(model.task, options, path)
    records = Records(Path(out), _origin(model, path, settings, batch_size), resume=resume)
    before = torch.get_num_threads()
    done = records.done
    try:
        torch.set_num_threads(threads or before)
        for entries in _groups(islice(inputs, records.done, None), batch_size):
            found = _answers(model, entries, wanted)
            records.add(found)
            done += len(found)
            if progress is not None:
                progress.update(done, inputs.read)
    except BaseException:
        records.close()
        raise
    finally:
        torch.set_num_threads(before)
    records.finish()
    return Outcome(Path(out), done, records.errors, records.first_error)


def _refuse_files(model: Trained, settings: dict[str, object]) -> None:
    """``OptionError`` for a setting that names a file to write, since there would be thousands."""
    for each in fields(model.task.PredictOptions):
        if each.name in settings and not each.metadata["scored"] and each.default == "":
            raise OptionError(
                f"{each.name} writes a file for an answer; it does not go with a file of inputs."
            )


def _refuse_to_overwrite(sources: Sequence[Path], out: Path) -> None:
    """``OptionError`` if the answers would replace the inputs."""
    for each in (out, partial_of(out)):
        for source in sources:
            same = False
            with suppress(OSError, ValueError):  # one of them is missing, or has no valid name
                same = source.samefile(each)
            if same:
                raise OptionError(
                    f"out is {out}, which would overwrite the inputs in {source}; choose another "
                    "name."
                )


def _groups(entries: Iterator[Entry], size: int) -> Iterator[list[Entry]]:
    while group := list(islice(entries, size)):
        yield group


def _answers(
    model: Trained, entries: Sequence[Entry], wanted: dict[str, Any]
) -> list[dict[str, Any]]:
    """The records of the answers, each with the number of its input."""
    good = [entry.value for entry in entries if not entry.error]
    answers = iter(model.answer_each(good, save=False, **wanted) if good else [])
    found = []
    for entry in entries:
        answer = DataError(entry.error) if entry.error else next(answers)
        failed = isinstance(answer, DataError)
        place = f"{entry.place}: " if entry.place else ""
        record = {"error": f"{place}{answer}"} if failed else model.task.record(answer)
        found.append({"line": entry.number, **record})
    return found


def _described(path: Path) -> list[Any]:
    """What a file is known by, and a folder by all of its files."""
    if url_of(path) is not None:
        return [shown(path), size_of(path)]
    status = path.stat()
    found: list[Any] = [str(path.resolve()), status.st_size, status.st_mtime_ns]
    if is_folder(path):
        digest = hashlib.sha256()
        for each in files_below(path):
            status = each.stat()
            digest.update(repr((str(each), status.st_size, status.st_mtime_ns)).encode())
        found = [str(path.resolve()), digest.hexdigest()]
    return found


def _origin(
    model: Trained, path: Path | None, settings: dict[str, object], batch_size: int
) -> dict[str, Any]:
    """What the answers depend on: weights, input and settings; for some tasks also the batches."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().numpy().tobytes())
    described: dict[str, Any] = {"model": digest.hexdigest(), "input": "standard input"}
    if path is not None:
        files = [_described(each) for each in files_of(model.task, path)]
        described["input"] = files[0] if len(files) == 1 else files
    if not model.task.independent:
        described["batch_size"] = batch_size
    described["settings"] = {name: str(value) for name, value in sorted(settings.items())}
    return described
