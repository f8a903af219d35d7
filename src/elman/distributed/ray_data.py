"""Answers each row of a Ray data set: every worker loads the model once and takes blocks of rows.

Ray restarts workers that die and repeats their blocks, so an answer is neither lost nor doubled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import elman.shipped
from elman.errors import DataError, OptionError
from elman.extras import extra
from elman.tasks import load
from elman.tasks.runs import find_run, is_onnx

#: rows that a worker answers at once
AT_ONCE = 256


def predict(
    run: str | Path,
    dataset: Any,
    *,
    column: str = "text",
    batch_size: int = AT_ONCE,
    workers: int = 2,
    threads: int = 1,
    **settings: object,
) -> Any:
    """The rows of ``dataset`` (a ``ray.data.Dataset``), each with the model's answer.

    ``run`` is the name of a shipped model, or a run folder that all machines can read.  ``column``
    holds the inputs: texts, or the names of files for tasks that read files.  The answer is in the
    columns of ``elman predict --out``; lists and objects are JSON.  An input that cannot be read
    has ``error`` instead, which is empty for the others.  ``settings`` are the task's
    ``PredictOptions``.

    Nothing is computed until the result is consumed or written (``write_parquet``).  ``workers``
    processes use ``threads`` threads each.  The order of the rows is Ray's; give rows a number, or
    set ``ray.data.DataContext.get_current().execution_options.preserve_order``.

    Raises ``RunError`` for a run that cannot be loaded, and ``OptionError`` for an unknown setting
    or a missing column.
    """
    with extra("ray", "elman.distributed"):
        import ray.data

    for name, value in (("batch_size", batch_size), ("workers", workers), ("threads", threads)):
        if value < 1:
            raise OptionError(f"{name} is {value}; it must be 1 or more.")
    model = load(run)  # what is wrong with the run or the settings is said here, not on a worker
    model._wanted(settings)
    if model.task.input_kind == "nothing":
        raise OptionError(f"{model.task.name}: a model that generates has no inputs to read.")
    columns = dataset.columns() or []
    if columns and column not in columns:
        raise OptionError(
            f'column is "{column}", but the columns of the data set are {", ".join(columns)}.'
        )
    shipped = not is_onnx(run) and elman.shipped.models().get(str(run)) == find_run(run)
    place = str(Path(run).resolve()) if Path(run).exists() and not shipped else str(run)
    return dataset.map_batches(
        _Worker,
        fn_constructor_args=(place, column, threads, dict(settings)),
        batch_size=batch_size,
        batch_format="numpy",
        num_cpus=threads,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )


class _Worker:
    """One process: the model is loaded once, and called with blocks of rows."""

    def __init__(self, run: str, column: str, threads: int, settings: dict[str, object]) -> None:
        import torch

        torch.set_num_threads(threads)
        self._model, self._column, self._settings = load(run), column, settings

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        answers = self._answers([None if v is None else str(v) for v in rows[self._column]])
        names = list(dict.fromkeys([name for answer in answers for name in answer]))
        values = {name: [answer.get(name) for answer in answers] for name in names}
        # an answer of the model does not replace a column of the input
        return {**{k: v for k, v in values.items() if k not in rows}, **rows}

    def _answers(self, inputs: Sequence[str | None]) -> list[dict[str, Any]]:
        task, read = self._model.task, list[Any]()
        for value in inputs:
            try:
                read.append(task.as_input(value or ""))
            except DataError as error:
                read.append(error)
        good = [value for value in read if not isinstance(value, DataError)]
        found = iter(self._model.answer_each(good, save=False, **self._settings) if good else [])
        answers = [each if isinstance(each, DataError) else next(found) for each in read]
        return [self._record(answer) for answer in answers]

    def _record(self, answer: Any) -> dict[str, Any]:
        if isinstance(answer, DataError):
            return {"error": str(answer)}
        record = self._model.task.record(answer)
        return {**{name: _flat(value) for name, value in record.items()}, "error": ""}


def _flat(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
