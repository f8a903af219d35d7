"""The run file: what ``elman train`` is to do, written down, so that it can be done again.

``elman new`` makes one; ``elman train TASK --run-file FILE`` obeys it.  Flags on the command line
come before what the file says.  Paths in it are seen from the file's own folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from elman.errors import OptionError, RunError
from elman.options import described, refuse_unknown
from elman.saved import in_short, parse_toml, read_text
from elman.tasks.task import Task
from elman.training import LoopOptions
from elman.training.toml import to_toml


@dataclass(frozen=True)
class RunConfig:
    """What a user asks of a training; ``settings`` are options by name."""

    train: Path | None = None
    valid: Path | None = None
    out: Path | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    title: str = ""
    licence: str = ""
    init_from: str = ""

    def updated(self, other: RunConfig) -> RunConfig:
        """This, except where ``other`` says something."""
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
    """A run file for the sample files of a task, with every option and what it means."""
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
            lines.append(written or f"# {each.name} = none")
    return "\n".join(lines) + "\n"


def read_run_file(path: Path, task: Task) -> RunConfig:
    """What a run file says; ``OptionError`` for what cannot be understood in it."""
    try:
        table = parse_toml(read_text(path), path)
    except RunError as error:
        raise OptionError(str(error)) from error
    known = [each.name for each in fields(RunConfig) if each.name != "settings"]
    known = ["task", *known, "options", "training"]
    for name in table:
        if name not in known and name not in ("job", "start"):
            raise OptionError(f'{path}: "{name}" means nothing here; there are {", ".join(known)}.')
    meant = table.get("task", table.get("job", task.name))  # it was called job until 0.1
    if meant != task.name:
        raise OptionError(f'{path}: this is for the task "{meant}", not for "{task.name}".')
    for name in ("train", "valid", "out", "title", "licence", "start"):
        if not isinstance(table.get(name, ""), str):
            found = in_short(repr(table[name]))
            raise OptionError(f"{path}: {name} is {found}; it must be a text.")
    for name in ("options", "training"):
        if not isinstance(table.get(name, {}), dict):
            raise OptionError(f"{path}: {name} must be a table, [{name}].")
    refuse_unknown(table.get("options", {}), [task.Options], f"{path}, [options]")
    refuse_unknown(table.get("training", {}), [LoopOptions], f"{path}, [training]")
    return RunConfig(
        train=path.parent / table["train"] if "train" in table else None,
        valid=path.parent / table["valid"] if "valid" in table else None,
        out=path.parent / table["out"] if "out" in table else None,
        settings={**table.get("options", {}), **table.get("training", {})},
        title=str(table.get("title", "")),
        licence=str(table.get("licence", "")),
        init_from=str(table.get("init_from", table.get("start", ""))),  # start until 0.1
    )
