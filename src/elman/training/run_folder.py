"""A run folder: everything that a training writes.  Loading it runs no code.

    run.toml            the value of every option, the format number, the versions
    model.safetensors   the weights with the best validation metric
    history.jsonl       one line per validation
    curves.png          the history as a plot
    card.md             the data, its licence, the measured scores
    resume/             the checkpoint to resume from: see ``checkpoint.py``
    lock.json           present while a process trains here: see ``run_lock.py``

The task defines what the options mean; this module stores them and reports what is wrong with a
folder that cannot be read.
"""

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from elman.errors import OptionError, RunError
from elman.files import refuse_name, write_whole
from elman.saved import in_short, of_kind, parse_json, parse_toml, read_text, sentences
from elman.training.processes import is_main_process
from elman.training.run_lock import run_lock
from elman.training.toml import to_toml
from elman.training.weights import (
    model_tensors,
    put_model_tensors,
    read_tensors,
    write_tensors,
)

FORMAT = 1
#: the largest number allowed in a line of history; curves of larger ones cannot be drawn
LARGEST = 1e100
#: the files of a run, without its checkpoint
FILES = (
    "run.toml",
    "symbols.json",
    "cell.json",
    "history.jsonl",
    "curves.png",
    "card.md",
    "model.safetensors",
)


@dataclass(frozen=True)
class RunFolder:
    """A run folder at ``path``; make one with ``create`` or ``open``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = RunFolder.create(Path(place) / "run", {"job": "ner", "options": {"seed": 7}})
    ...     folder.save_weights(nn.Linear(2, 1))
    ...     RunFolder.open(folder.path).settings()["options"]
    {'seed': 7}
    """

    path: Path

    @classmethod
    def create(
        cls,
        path: Path,
        settings: Mapping[str, object],
        *,
        files: Mapping[str, str] | None = None,
        overwrite: bool = False,
    ) -> "RunFolder":
        """Start a run: write ``files``, then ``run.toml`` with ``settings`` (see ``toml.py``).

        A folder with a ``run.toml`` has the other files too, even after a kill.  Raises
        ``RunError`` if the folder already holds a run; with ``overwrite`` the files of that run
        are removed and all others stay.  Of several processes that train together, only the main
        one checks and writes.
        """
        folder = cls(path)
        if not is_main_process():
            return folder
        if overwrite:
            folder.refuse_place()
            folder.remove_run()
        folder.refuse_run()
        for name, text in (files or {}).items():
            folder.write_file(name, text)
        if files:
            digests = {name: _digest(text) for name, text in files.items()}
            settings = {**settings, "files": digests}
        folder.write_settings(settings)
        return folder

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """An existing run; its ``run.toml`` is read and checked.

        Raises ``RunError`` if the folder is missing or not a run folder, or if its ``run.toml``
        cannot be read or comes from a later version of Elman.
        """
        folder = cls(path)
        folder.settings()
        return folder

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from writing here; if several train together, the main one locks.

        Raises ``RunError`` if another process trains here, see ``run_lock.py``.
        """
        if not is_main_process():
            yield
            return
        with run_lock(self.path):
            yield

    def refuse_place(self) -> None:
        """Raise ``RunError`` if this path cannot become a run folder that can be loaded."""
        refuse_name(self.path)
        if self.path.exists() and not self.path.is_dir():
            raise RunError(
                f"{self.path}: this is a file, but a run needs a folder; choose another."
            )

    def refuse_run(self) -> None:
        """Raise ``RunError`` if the folder holds a run, or cannot become a run folder."""
        self.refuse_place()
        self.refuse_results()
        if self.settings_path.exists():
            raise RunError(
                f"{self.path}: this folder already holds a run, which is left untouched. Continue "
                "it with --resume, choose another folder, or replace it with --overwrite."
            )

    def refuse_results(self) -> None:
        """Raise ``RunError`` if the folder holds results of training, so that none are lost."""
        if self.checkpoint_path.exists():
            raise RunError(
                f"{self.path}: this folder already holds a run, which is left untouched. Continue "
                "it with --resume, choose another folder, or replace it with --overwrite."
            )
        if self.has_results():
            raise RunError(
                f"{self.path}: this folder already holds a trained model, which is left untouched. "
                "Choose another folder, or replace the model with --overwrite."
            )

    def refuse_to_resume_results(self) -> None:
        """Raise ``RunError`` if the folder holds a trained model but no checkpoint to resume from.

        The best run of a search is such a folder: a copy without ``resume/``.
        """
        if self.has_results() and not self.checkpoint_path.exists():
            raise RunError(
                f"{self.path}: this folder holds a trained model, but no checkpoint to resume from "
                f"({self.checkpoint_path.relative_to(self.path)}); it is left untouched. To train "
                f"the model further, start a run in another folder with --init-from {self.path}."
            )

    def has_results(self) -> bool:
        """Whether the folder holds results of training."""
        return self.model_path.exists() or (
            self.history_path.exists() and self.history_path.stat().st_size > 0
        )

    def remove_run(self) -> None:
        """Remove the files of the run, ``model.safetensors`` last; other files stay."""
        self.checkpoint_path.unlink(missing_ok=True)
        with suppress(OSError):  # the folder holds something else
            self.checkpoint_path.parent.rmdir()
        for name in FILES:
            (self.path / name).unlink(missing_ok=True)

    @property
    def settings_path(self) -> Path:
        return self.path / "run.toml"

    @property
    def model_path(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def history_path(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def checkpoint_path(self) -> Path:
        return self.path / "resume" / "checkpoint.safetensors"

    def write_settings(self, settings: Mapping[str, object]) -> None:
        """Write ``run.toml`` with the format number and the versions of the software."""
        head = "# Written by Elman. The value of every option of the run.\n"
        versions = {
            "elman": _version("elman"),
            "torch": _version("torch"),
            "python": platform.python_version(),
        }
        own = {"format": FORMAT, "versions": versions}
        write_whole(self.settings_path, head + to_toml({"format": FORMAT, **settings, **own}))

    def settings(self) -> dict[str, Any]:
        """The contents of ``run.toml``, with ``format`` and ``versions``.  Options that were None
        are absent.  Raises ``RunError`` like ``open``.
        """
        if not self.path.exists():
            raise RunError(f"{self.path}: there is no such run folder.")
        if not self.settings_path.exists():
            raise RunError(f"{self.path}: this is not an Elman run folder; it has no run.toml.")
        try:
            table = parse_toml(read_text(self.settings_path), self.settings_path)
        except OptionError as error:
            raise RunError(
                f"{str(error).removesuffix('correct it.')}restore it as training wrote it."
            ) from error
        found = table.get("format")
        if not isinstance(found, int) or isinstance(found, bool) or found < 1:
            raise RunError(
                f"{self.settings_path}: this is not an Elman run file; it has no format number."
            )
        if found > FORMAT:
            raise RunError(
                f"{self.settings_path}: this run has format {found}; this version of Elman reads "
                f"format {FORMAT}. Upgrade Elman."
            )
        return table

    def save_weights(
        self, model: nn.Module, *, half: bool = False, notes: Mapping[str, str] | None = None
    ) -> None:
        """Write ``model.safetensors``, as float16 if ``half``; ``notes`` go into its header."""
        write_tensors(self.model_path, model_tensors(model, half=half), notes or {})

    def load_weights(self, model: nn.Module) -> None:
        """Load ``model.safetensors`` into ``model``, in the model's own dtype.

        Raises ``RunError`` if the file is missing, truncated, or holds another model's weights.
        """
        put_model_tensors(model, self.tensors(), self.model_path)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of ``model.safetensors``; ``RunError`` if it is missing or damaged."""
        if not self.model_path.exists():
            raise RunError(
                f"{self.path}: there is no model.safetensors; training stopped before its first "
                "validation. Continue it with --resume."
            )
        return read_tensors(self.model_path)[0]

    def refuse_changed_files(self) -> None:
        """Raise ``RunError`` if a file has changed since the run was started."""
        digests = self.settings().get("files", {})
        if not isinstance(digests, dict):
            raise RunError(
                f"{self.settings_path}: [files] is not a table; restore the file as training wrote "
                "it."
            )
        for name, digest in digests.items():
            if name not in FILES or _digest(self.read_text(name)) != digest:
                raise RunError(
                    f"{self.path / in_short(name)}: this file has changed since training wrote it; "
                    "restore it."
                )

    def write_history(self, lines: Sequence[Mapping[str, object]]) -> None:
        """Write all of ``history.jsonl``."""
        text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
        write_whole(self.history_path, text)

    def history(self, lines: int | None = None) -> list[dict[str, Any]]:
        """The lines of ``history.jsonl``; an empty list before the first validation.

        With ``lines``, exactly that many, each checked to be as the loop writes it; ``RunError``
        if there are fewer.
        """
        text = read_text(self.history_path) if self.history_path.exists() else ""
        found = []
        for number, line in enumerate(text.splitlines()[:lines], 1):
            where = f"{self.history_path}, line {number}:"
            record = parse_json(line, where)
            with sentences(where):
                found.append(dict(record) if lines is None else _validation(record))
        if lines is not None and len(found) < lines:
            raise RunError(
                f"{self.history_path}: the file has {len(found)} lines, but the checkpoint is of a "
                f"run with {lines}; restore the file as training wrote it."
            )
        return found

    def write_file(self, name: str, content: bytes | str) -> None:
        """Write another file of the run, such as ``card.md`` or a plot, atomically."""
        write_whole(self.path / name, content)

    def read_text(self, name: str) -> str:
        """Another file of the run as text; ``RunError`` if it is missing or not UTF-8."""
        if not (self.path / name).exists():
            raise RunError(f"{self.path}: the run has no {name}, so it is incomplete.")
        return read_text(self.path / name)

    def clear_leftovers(self) -> None:
        """Remove the half-written temporary files of a process that was killed while saving."""
        for folder in (self.path, self.checkpoint_path.parent):
            for leftover in folder.glob(".*.part"):
                leftover.unlink(missing_ok=True)


def _validation(record: dict[str, Any]) -> dict[str, Any]:
    """A line of ``history.jsonl``; ``TypeError`` or ``LookupError`` if it is malformed."""
    of_kind(record, "best", bool)
    scores = of_kind(record, "valid", dict)
    numbers = {name: of_kind(scores, name, int | float | None) for name in scores}
    for name in ("epoch", "step", "learning_rate", "train_loss", "seconds"):
        numbers[name] = of_kind(record, name, int | float)
    for name, value in numbers.items():
        if value is not None and abs(value) > LARGEST:
            raise ValueError(f"{name} is {value:.3g}")
    return record


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
