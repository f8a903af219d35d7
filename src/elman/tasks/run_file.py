"""The run file: the settings of ``elman train``, written down so that a run can be repeated.

``elman new`` writes one, and ``elman train TASK --run-file FILE`` reads it.  Flags on the command
line take precedence over the file.  Its paths are relative to the folder of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from elman.data.remote import url_of
from elman.errors import OptionError, RunError
from elman.options import described, refuse_unknown, with_settings
from elman.saved import in_short, parse_toml, read_text
from elman.tasks.task import Task
from elman.training import LoopOptions
from elman.training.toml import to_toml


@dataclass(frozen=True)
class RunConfig:
    """What the user wants to train; ``settings`` are options by name."""

    train: Path | None = None
    valid: Path | None = None
    out: Path | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    title: str = ""
    licence: str = ""
    init_from: str = ""

    def updated(self, other: RunConfig) -> RunConfig:
        """This configuration, with the values that ``other`` sets."""
        return RunConfig(
            train=other.train or self.train,
            valid=other.valid or self.valid,
            out=other.out or self.out,
            settings={**self.settings, **other.settings},
            title=other.title or self.title,
            licence=other.licence or self.licence,
            init_from=other.init_from or self.init_from,
        )


def run_file(task: Task) -> str:
    """A run file for the sample files of a task, listing every option with its help text."""
    lines = [
        f"# A run file: elman train {task.name} --run-file THIS",
        f'task = "{task.name}"',
        f'train = "{task.train_file}"',
        f'valid = "{task.valid_file}"',
    ]
    for table, options in (("options", task.Options()), ("training", task.training)):
        lines += ["", f"[{table}]"]
        values = asdict(options)
        for each in fields(options):
            lines.append(f"# {each.metadata['help']} ({described(type(options), each.name)})")
            value = values[each.name]
            written = to_toml({each.name: value}).strip() if value is not None else ""
            # a value that is given holds for small data too
            if each.name in task.small_data:
                written = f"# {written}  # {task.small_data[each.name].text(value)}"
            elif each.name == "batch_size":
                written = f"# {written}  # reduced for small data unless you set it"
            lines.append(written or f"# {each.name} = none")
    return "\n".join(lines) + "\n"


def read_run_file(path: Path, task: Task) -> RunConfig:
    """Read a run file; raise ``OptionError`` for invalid content."""
    try:
        table = parse_toml(read_text(path), path)
    except RunError as error:
        raise OptionError(str(error)) from error
    known = [each.name for each in fields(RunConfig) if each.name != "settings"]
    known = ["task", *known, "options", "training"]
    for name in table:
        if name not in known and name not in ("job", "start"):
            raise OptionError(f'{path}: unknown key "{name}"; choose from {", ".join(known)}.')
    file_task = table.get("task", table.get("job", task.name))  # the key was job until 0.1
    if file_task != task.name:
        raise OptionError(f'{path}: this is for the task "{file_task}", not for "{task.name}".')
    for name in ("train", "valid", "out", "title", "licence", "start"):
        if not isinstance(table.get(name, ""), str):
            found = in_short(repr(table[name]))
            raise OptionError(f"{path}: {name} is {found}; it must be a string.")
    for name in ("options", "training"):
        if not isinstance(table.get(name, {}), dict):
            raise OptionError(f"{path}: {name} must be a table, [{name}].")
    refuse_unknown(table.get("options", {}), [task.Options], f"{path}, [options]")
    refuse_unknown(table.get("training", {}), [LoopOptions], f"{path}, [training]")
    for name, options in (("options", task.Options()), ("training", task.training)):
        try:
            with_settings(options, table.get(name, {}))
        except OptionError as error:
            raise OptionError(f"{path}, [{name}]: {error}") from error
    return RunConfig(
        train=_beside(path, table["train"]) if "train" in table else None,
        valid=_beside(path, table["valid"]) if "valid" in table else None,
        out=path.parent / table["out"] if "out" in table else None,
        settings={**table.get("options", {}), **table.get("training", {})},
        title=str(table.get("title", "")),
        licence=str(table.get("licence", "")),
        init_from=str(table.get("init_from", table.get("start", ""))),  # start until 0.1
    )


def _beside(file: Path, name: str) -> Path:
    """A path relative to the folder of the run file; a URL is absolute."""
    return Path(name) if url_of(name) else file.parent / name
