"""The models that are served: each a run, its task and a worker.

Runs are found and their tasks read when the service starts; weights are loaded on first use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import elman.shipped
from elman.errors import OptionError, RunError
from elman.saved import in_short, parse_toml, read_text
from elman.serve.limits import Limits
from elman.serve.metrics import Metrics
from elman.serve.refusal import Refusal
from elman.serve.request_options import options_schema
from elman.serve.worker import Worker
from elman.tasks import load
from elman.tasks.registry import TASKS
from elman.tasks.runs import find_run, is_onnx, task_name, task_of_run
from elman.tasks.task import Task


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model under its name."""

    name: str
    task: Task
    worker: Worker
    #: the numbers among the task's options that the model was trained with, such as a sample rate
    settings: Mapping[str, float]

    def record(self) -> dict[str, Any]:
        """What ``GET /v1`` says of it."""
        return {
            "name": self.name,
            "task": self.task.name,
            "title": self.task.title,
            "input": self.task.input_kind,
            "live": self.task.live,
            "loaded": self.worker.loaded,
            "settings": dict(self.settings),
            "options": options_schema(self.task.PredictOptions)["properties"],
            "examples": [text for text in self.task.demo.values() if isinstance(text, str)],
            "samples": [path.name for path in samples_of(self.task)],
        }


class Served:
    """All models, by task and name; the first model of a task is its default."""

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self.models = list(models)
        self.tasks = {each.task.name: each.task for each in self.models}

    def find(self, task: str, name: str | None) -> ServedModel:
        """The model of a task, with this name if it is given; ``Refusal`` if there is none."""
        of_task = [each for each in self.models if each.task.name == task]
        if not of_task:
            raise Refusal(
                404,
                f"no model of the task {in_short(task, 40)} is served; the tasks are "
                f"{', '.join(self.tasks)}.",
            )
        for each in of_task:
            if name in (None, each.name):
                return each
        names = ", ".join([each.name for each in of_task])
        raise Refusal(404, f"no model {in_short(name or '', 40)} is served; there are {names}.")

    def stop(self) -> None:
        """End the threads of all models, after what waits."""
        for each in self.models:
            each.worker.stop()


def served_models(runs: Sequence[str], limits: Limits, metrics: Metrics) -> Served:
    """The models of these runs, or all shipped ones; ``RunError`` for a run that is none."""
    models: list[ServedModel] = []
    for run in runs or elman.shipped.models():
        name, task, settings = _name_and_task(run)
        if name in [each.name for each in models]:
            raise OptionError(f"{run}: another run is also named {name}; rename one of them.")
        worker = Worker(name, partial(load, run), limits, metrics)
        models.append(ServedModel(name, task, worker, settings))
    return Served(models)


def _name_and_task(run: str) -> tuple[str, Task, Mapping[str, float]]:
    if is_onnx(run):
        task = task_of_run(run)
        if task is None:
            load(run)  # says what is wrong
            raise RunError(f"{run}: its task is unknown.")
        return Path(run).stem, task, {}
    folder = find_run(run)
    path = folder / "run.toml"
    table = parse_toml(read_text(path), path)
    name = task_name(table)
    if name not in TASKS:
        raise RunError(
            f"{path}: the task is {in_short(repr(name))}, and this installation has "
            f"{', '.join(TASKS)}."
        )
    return folder.resolve().name, TASKS[name], _numbers(table.get("options"))


def _numbers(options: object) -> dict[str, float]:
    """The numbers in a table: texts could name files of this machine."""
    if not isinstance(options, dict):
        return {}
    return {
        key: value
        for key, value in options.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    }


def samples_of(task: Task) -> list[Path]:
    """The files among a task's demo inputs, if they come with this package.

    >>> [path.name for path in samples_of(TASKS["speech"])]
    ['fox.flac']
    """
    package = Path(elman.shipped.__file__).parents[1]
    return [
        path
        for path in task.demo.values()
        if isinstance(path, Path) and path.resolve().is_relative_to(package) and path.is_file()
    ]
