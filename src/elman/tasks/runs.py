"""Where a run is and which task it belongs to, without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import elman.shipped
from elman.errors import ElmanError, RunError
from elman.files import refuse_name
from elman.saved import parse_toml, read_text
from elman.tasks.registry import TASKS
from elman.tasks.task import Task


def find_run(run: str | Path) -> Path:
    """The folder of a run, of the shipped model with this name, or of a download of hf://."""
    if str(run).startswith("hf://"):
        from elman.tasks.hub import download

        return download(str(run))
    path = Path(run)
    refuse_name(path)
    shipped = elman.shipped.models()
    # a folder without a run, as `elman new ner ner` creates, must not hide the model ner
    if path.is_dir() and (str(run) not in shipped or (path / "symbols.json").exists()):
        return path
    if str(run) in shipped:
        return shipped[str(run)]
    if path.suffix == ".pt2":
        raise RunError(
            f"{path}: a torch program runs in torch (torch.export.load); elman takes a run folder "
            "or an ONNX file of `elman export`."
        )
    if path.exists():
        raise RunError(f"{path}: this is a file, but a run is a folder; name the folder.")
    raise RunError(
        f"{run}: there is no such run folder, and no shipped model of this name; the shipped "
        f"models are {', '.join(shipped) or 'none'}."
    )


def is_onnx(run: str | Path) -> bool:
    """Whether the name is that of an ONNX file of ``elman export``."""
    return str(run).endswith(".onnx")


def task_name(settings: Mapping[str, object]) -> str:
    """The task that a ``run.toml`` names, under the key job."""
    return str(settings.get("job"))


def task_of_run(run: str | Path) -> Task | None:
    """The task of a run or an ONNX file; None if it does not exist or its task is unknown."""
    try:
        if is_onnx(run):
            from elman.tasks.onnx_network import open_session

            return TASKS.get(open_session(Path(run)).metadata["elman.task"])
        path = find_run(run) / "run.toml"
        return TASKS.get(task_name(parse_toml(read_text(path), path)))
    except ElmanError:
        return None
