"""Resuming a run: the options, data and initial weights that its folder records.

A run continues as it was started.  Its data are looked up where they were then, and must not have
changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from elman.data.remote import url_of
from elman.data.shards import is_collection
from elman.data.sources import data_files, exists
from elman.errors import OptionError, RunError
from elman.options import with_settings
from elman.tasks.task import Task
from elman.tasks.trained import Trained, load, read_options, read_table
from elman.training import LoopOptions, RunFolder
from elman.training.copies import RunCopy
from elman.training.options import MAY_CHANGE
from elman.training.processes import Processes

#: files that a sentence names
_NAMED = 3


def fetch_copy(task: Task, run: RunFolder, settings: Mapping[str, object]) -> str:
    """Fetch a run from where it was copied to (``copy_to``), if its folder has none.

    Returns the address if there is a run in the folder now that was not there before.
    """
    url: str = with_settings(task.training, settings).copy_to
    if not url:
        return ""
    missing = not run.settings_path.exists()
    processes = Processes()
    if processes.is_main and missing:
        RunCopy(url).restore(run)
    processes.wait()
    return url if missing and run.settings_path.exists() else ""


def resumed_options(
    task: Task, run: RunFolder, settings: Mapping[str, object]
) -> tuple[Any, LoopOptions]:
    """The options that a run was started with; only those for when to stop may change."""
    if (name := run.settings().get("job")) != task.name:
        raise RunError(f"{run.path}: this is a run of the task {name!r}, not of {task.name}.")
    options, training = read_options(task, run)
    asked = with_settings(options, settings), with_settings(training, settings)
    for before, now in zip((options, training), asked, strict=True):
        for each in fields(before):
            old, new = getattr(before, each.name), getattr(now, each.name)
            if old != new and each.name not in MAY_CHANGE:
                raise OptionError(
                    f"{run.path}: this run was started with {each.name} {old!r}, and resuming "
                    f"cannot change it to {new!r}; omit it, or train in another folder."
                )
    return asked


def resumed_start(run: RunFolder) -> list[Trained]:
    """The models whose weights initialised the run, if there are any."""
    return load_several(_path(run, "start"))


def load_several(names: str) -> list[Trained]:
    """The trained models with these names, which commas separate."""
    if exists(Path(names)):
        return [load(names)] if names else []
    return [load(name) for name in names.split(",")]


def resumed_data(run: RunFolder) -> tuple[Path, Path | None]:
    """The training data that a run was started with, and its validation data if it has any."""
    train, valid = _path(run, "train"), _path(run, "valid")
    if not train:
        raise RunError(f"{run.settings_path}: no training data are named; give them with --train.")
    return Path(train), Path(valid) if valid else None


def resumed_part(run: RunFolder) -> tuple[int, int]:
    """Which fold of the training data is held out, and the number of folds."""
    match read_table(run, "data").get("held_out"):
        case [int(part), int(parts)] if 0 <= part < parts:
            return part, parts
    return 0, 10


def files_of(task: Task, run: RunFolder, options: Any) -> Any:
    """The options, with relative file names resolved from where the run was started."""
    resolved = {name: _resolved(run, getattr(options, name)) for name in task.reads_once}
    return replace(options, **resolved)


def refuse_other_data(run: RunFolder, record: Mapping[str, Any]) -> None:
    """Raise ``RunError`` if the data of ``record`` are not those that the run was started with."""
    saved = read_table(run, "data")
    if saved.get("train_sha256") != record["data"]["train_sha256"]:
        others = _other_files(saved.get("files"), record["data"].get("files"))
        if others:
            raise RunError(
                f"{run.path}: the training data ({saved.get('train')}) are not those that this run "
                f"was started with: {others}; restore them, or train in another folder."
            )
    for part, name in (("train", "training"), ("valid", "validation")):
        if saved.get(f"{part}_sha256") != record["data"][f"{part}_sha256"]:
            raise RunError(
                f"{run.path}: this run was started with other {name} data "
                f"({saved.get(part) or 'none'}); resume it with the same data, or train in another "
                "folder."
            )
    if saved.get("held_out", record["data"]["held_out"]) != record["data"]["held_out"]:
        raise RunError(
            f"{run.path}: this run was started with another fold held out for validation; resume "
            "it with the same fold, or train in another folder."
        )


def _other_files(before: object, now: object) -> str:
    """Which files of a collection are missing, new or changed; empty if that is not recorded."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return ""
    changed = [name for name in before if name in now and now[name] != before[name]]
    parts = [
        _of_files([name for name in before if name not in now], "is missing", "are missing"),
        _of_files([name for name in now if name not in before], "is new", "are new"),
        _of_files(changed, "has changed", "have changed"),
    ]
    return ", ".join([part for part in parts if part])


def _of_files(names: Sequence[str], one: str, several: str) -> str:
    """The first of some files, and what is said of them.

    >>> _of_files(["a", "b", "c", "d"], "is new", "are new")
    'a, b, c and 1 more are new'
    """
    if len(names) < 2:
        return f"{names[0]} {one}" if names else ""
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more {several}"
    return f"{', '.join(names[:-1])} and {names[-1]} {several}"


def _path(run: RunFolder, name: str) -> str:
    found = read_table(run, "data").get(name, "")
    if not isinstance(found, str):
        raise RunError(f"{run.settings_path}, [data]: {name} is {found!r}; it must be a path.")
    return _resolved(run, found)


def _resolved(run: RunFolder, path: str) -> str:
    """A relative path resolved from the folder where the run was started, if it exists there."""
    begun_in = read_table(run, "data").get("begun_in")
    local = path and url_of(path) is None
    if not local or not isinstance(begun_in, str) or Path(begun_in) == Path.cwd():
        return path
    full = Path(begun_in, path)
    if not exists(full):  # may be two files, separated by a comma
        full = Path(",".join([str(Path(begun_in, part)) for part in path.split(",")]))
    return str(full) if is_there(full) else path


def is_there(data: Path) -> bool:
    """Whether the file, the folder or the two files that ``data`` names exist.

    Patterns and URLs are looked up when they are read.
    """
    return is_collection(data) or all([exists(file) for file in data_files(data)])
