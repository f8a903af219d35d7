"""A trained model of any task, examined on the task's own data.

The data are read and made into a batch as for training; what each ``Recurrent`` in the model
reads while its loss is computed, and how its outputs matter to that loss, is diagnosed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from elman.diagnose import Comparison, diagnose
from elman.errors import DataError
from elman.tasks.trained import Trained


def diagnose_run(
    trained: Trained,
    path: Path,
    *,
    examples: int = 8,
    distance: int | None = None,
    exact: int = 1,
    seed: int = 0,
) -> Comparison:
    """What gradients do in a trained model, on ``examples`` of a data file, spread over it evenly.

    ``distance`` is how many steps back to look, ``exact`` how many sequences have exact
    Jacobians.  Raises ``DataError`` for what is wrong with the file, ``OptionError`` for a model
    without a recurrent layer.

    >>> import elman
    >>> from elman.tasks import TASKS
    >>> file = getfixture("tmp_path") / "valid.csv"
    >>> _ = file.write_text(TASKS["sentiment"].samples()["valid.csv"])
    >>> list(diagnose_run(elman.load("sentiment"), file, exact=0))
    ['encoder forward', 'encoder reverse']
    """
    task, options = trained.task, trained.options
    rows = task.read(path, options)
    task.check_labels(rows, trained.symbols)
    values = task.cut([row.value for row in rows], options.longest)
    values = [value for value in values if task.length(value)]
    if not values:
        raise DataError(f"{path}: every example is empty; give one with at least one step.")
    count = min(examples, len(values))
    chosen = [values[k * len(values) // count] for k in range(count)]
    batch = task.collate(chosen, trained.symbols, options, None)
    loss: Callable[..., Any] = trained.model.loss  # type: ignore[assignment]

    def run() -> Tensor:
        found: Tensor = loss(**batch)
        return found

    return diagnose(trained.model, loss=run, distance=distance, exact=exact, seed=seed)
