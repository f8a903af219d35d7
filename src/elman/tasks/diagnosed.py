"""Gradient diagnosis of a trained model on data of its task.

Examples are read and collated as for training.  The diagnosis covers the inputs of each
``Recurrent`` in the model while the loss is computed, and the gradients of the loss with respect
to its outputs.
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
    """Diagnose the gradients of a trained model on ``examples`` spread evenly over a data file.

    ``distance`` is the number of steps to look back, ``exact`` the number of sequences with exact
    Jacobians.  Raises ``DataError`` for problems in the file, and ``OptionError`` for a model
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
    whole = task.cut([row.value for row in rows], options.longest)
    values = task.prepare(whole, trained.symbols, options)
    values = [value for value in values if task.length(value)]
    if not values:
        raise DataError(f"{path}: every example is empty; give one with at least one step.")
    count = min(examples, len(values))
    chosen = [values[k * len(values) // count] for k in range(count)]
    part = task.trained_part(trained.fitted)
    batch = task.collate(chosen, part.symbols, options, None)
    loss: Callable[..., Any] = part.model.loss  # type: ignore[assignment]

    def run() -> Tensor:
        found: Tensor = loss(**batch)
        return found

    return diagnose(part.model, loss=run, distance=distance, exact=exact, seed=seed)
