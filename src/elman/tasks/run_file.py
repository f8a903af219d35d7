"""The run file: what ``elman train`` is to do, written down, so that it can be done again.

``elman new`` makes one; ``elman train JOB --run-file FILE`` obeys it.  Flags on the command line
come before what the file says.  Paths in it are seen from the file's own folder.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from elman.errors import OptionError
from elman.tasks.options import refuse_unknown
from elman.tasks.task import Task
from elman.tasks.trained import TASKS
from elman.training import LoopOptions
from elman.training.toml import to_toml


@dataclass(frozen=True)
class Wishes:
    """What a user asks of a training; ``settings`` are options by name."""

    train: Path | None = None
    valid: Path | None = None
    out: Path | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    title: str = ""
    licence: str = ""
    start: str = ""

    def updated(self, other: Wishes) -> Wishes:
        """These wishes, except where ``other`` has one."""
        return Wishes(
            train=other.train or self.train,
            valid=other.valid or self.valid,
            out=other.out or self.out,
            settings={**self.settings, **other.settings},
            title=other.title or self.title,
            licence=other.licence or self.licence,
            start=other.start or self.start,
        )


def run_file(task: Task) -> str:
    """A run file for the sample files of a job, with every option and what it means."""
    lines = [
        f"# A run file: elman train {task.NAME} --run-file THIS",
        f'job = "{task.NAME}"',
        f'train = "{task.TRAIN_FILE}"',
        f'valid = "{task.VALID_FILE}"',
    ]
    for table, options in (("options", task.Options()), ("training", task.TRAINING)):
        lines += ["", f"[{table}]"]
        values = asdict(options)
        for each in fields(options):
            lines.append(f"# {each.metadata.get('help', '')}")
            value = values[each.name]
            written = to_toml({each.name: value}).strip() if value is not None else ""
            lines.append(written or f"# {each.name} = none")
    return "\n".join(lines) + "\n"


def read_wishes(path: Path, job: str) -> Wishes:
    """What a run file says; ``OptionError`` for what cannot be understood in it."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"{path}: this cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: this is not TOML ({error}); correct it.") from error
    known = [each.name for each in fields(Wishes) if each.name != "settings"]
    known = ["job", *known, "options", "training"]
    for name in table:
        if name not in known:
            raise OptionError(f'{path}: "{name}" means nothing here; there are {", ".join(known)}.')
    if table.get("job", job) != job:
        raise OptionError(f'{path}: this is for the job "{table["job"]}", not for "{job}".')
    refuse_unknown(table.get("options", {}), [TASKS[job].Options], f"{path}, [options]")
    refuse_unknown(table.get("training", {}), [LoopOptions], f"{path}, [training]")
    return Wishes(
        train=path.parent / table["train"] if "train" in table else None,
        valid=path.parent / table["valid"] if "valid" in table else None,
        out=path.parent / table["out"] if "out" in table else None,
        settings={**table.get("options", {}), **table.get("training", {})},
        title=str(table.get("title", "")),
        licence=str(table.get("licence", "")),
        start=str(table.get("start", "")),
    )
