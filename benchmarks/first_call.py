"""Measure how much longer the first call of a kernel takes than later calls.

    python benchmarks/first_call.py '[["lstm", [1, 1, 64, 64], "inference"], ...]'

prints one line of JSON: for each, the milliseconds of the first call and of a later call, and the
engine.  ``engine.py`` runs it twice with one ELMAN_CACHE_DIR, first empty, then filled.  Another
cell and size runs first, so that libraries are loaded.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence

import torch

import elman
from elman.benchmark import Shape, elman_layer


def run_of(
    cell: elman.graph.Cell, shape: Shape, work: str
) -> tuple[Callable[[], object], Callable[[], str]]:
    """A call of a new layer, and the report of its engine."""
    layer = elman.Recurrent(cell, shape.input, shape.hidden)
    x = torch.randn(shape.time, shape.batch, shape.input)
    ours = elman_layer(layer)
    if work == "inference":
        return ours.inference(x), layer.backend_report
    grad_y = torch.ones(shape.time, shape.batch, shape.hidden)
    return ours.training(x, grad_y), layer.backend_report


def seconds_of(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def measure(name: str, sizes: Sequence[int], work: str) -> dict[str, object]:
    run, report = run_of(elman.cells.CATALOGUE[name], Shape(*sizes), work)
    gc.collect()  # garbage collection takes 0.1 s and could fall into one of the calls
    first = seconds_of(run)
    later = sorted([seconds_of(run) for _ in range(5)])[2]
    return {"first": 1000 * first, "later": 1000 * later, "report": report()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for work in ("inference", "training"):
        run_of(elman.cells.rnn, Shape(2, 3, 24, 40), work)[0]()
    print(json.dumps([measure(*wanted) for wanted in json.loads(sys.argv[1])]))
