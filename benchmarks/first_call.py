"""How long the first call of a kernel takes, beyond what the later ones do.

    python benchmarks/first_call.py CELL TIME BATCH INPUT HIDDEN training|inference

prints one line of JSON: the first call's and a later call's milliseconds, and what runs.
``engine.py`` starts it twice with one ELMAN_CACHE_DIR: empty, then filled.  Another cell at
another size runs before, so that libraries are loaded and nothing else is cold.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import torch

import elman
from elman.benchmark import Shape, elman_layer


def run_of(cell: elman.graph.Cell, shape: Shape, work: str) -> tuple[Callable[[], object], str]:
    """A call of a new layer, and the report of its engine."""
    layer = elman.Recurrent(cell, shape.input, shape.hidden)
    x = torch.randn(shape.time, shape.batch, shape.input)
    ours = elman_layer(layer)
    if work == "inference":
        return ours.inference(x), layer.backend_report()
    return ours.training(x, torch.ones(shape.time, shape.batch, shape.hidden)), (
        layer.backend_report()
    )


def seconds_of(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


if __name__ == "__main__":
    name, *numbers, work = sys.argv[1:]
    torch.set_num_threads(1)
    run_of(elman.cells.rnn, Shape(2, 3, 24, 40), work)[0]()
    run, report = run_of(
        elman.cells.CATALOGUE[name], Shape(*[int(number) for number in numbers]), work
    )
    first = seconds_of(run)
    later = sorted([seconds_of(run) for _ in range(5)])[2]
    print(json.dumps({"first": 1000 * first, "later": 1000 * later, "report": report}))
