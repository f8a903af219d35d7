"""Measure the cost of each kind of noise in a training step.

    python benchmarks/noise.py [SECONDS]

prints ratios to the plain layer: medians of many interleaved runs in one process, with one thread
and with all, SECONDS per layer.  Writes ``benchmarks/results/noise.json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import elman
from elman.benchmark.machine import machine, sentence, thread_counts
from elman.benchmark.timing import clock_for, interleaved
from elman.files import write_whole

RESULTS = Path(__file__).parent / "results" / "noise.json"
CELLS = (elman.cells.lstm, elman.cells.gru)
SHAPES = ((100, 32, 128, 128), (100, 32, 256, 256), (35, 20, 200, 200))  # time batch input hidden
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "output dropout": {"output_dropout": 0.3},
    "locked input and output dropout": {
        "input_dropout": 0.3, "output_dropout": 0.3, "locked_dropout": True,
    },
    "recurrent dropout": {"recurrent_dropout": 0.3},
    "candidate dropout": {"candidate_dropout": 0.3},
    "zoneout of h": {"zoneout": {"h": 0.1}},
    "zoneout of all states": {"zoneout": 0.1},
    "DropConnect": {"drop_connect": 0.3},
    "activation penalty": {"activation_penalty": 2.0},
    "temporal penalty": {"temporal_penalty": 1.0},
}  # fmt: skip


def training_step(
    cell: elman.graph.Cell, shape: tuple[int, ...], **options: Any
) -> Callable[[], None]:
    """A step without an optimiser: forward, loss, backward."""
    time, batch, size, hidden = shape
    torch.manual_seed(0)
    layer = elman.Recurrent(cell, size, hidden, **options)
    x, grad_y = torch.randn(time, batch, size), torch.ones(time, batch, hidden)

    def step() -> None:
        layer.zero_grad()
        y, _ = layer(x)
        if layer.penalty is None:
            y.backward(grad_y)
        else:
            torch.autograd.backward([y, layer.penalty], [grad_y, None])

    step()
    return step


def main(seconds: float) -> None:
    rows = []
    print(sentence(machine()))
    for threads in thread_counts():
        torch.set_num_threads(threads)
        for cell in CELLS:
            for shape in SHAPES:
                runs = {name: training_step(cell, shape, **kind) for name, kind in KINDS.items()}
                times = interleaved(runs, seconds, least=11, clock=clock_for(threads))
                plain = times["plain"].median
                print(f"{cell.name} {shape}, {threads} threads: {1000 * plain:.1f} ms")
                for name, timing in times.items():
                    ratio = timing.median / plain
                    rows.append([cell.name, shape, threads, name, round(ratio, 4), timing.runs])
                    if name != "plain":
                        print(f"  {name:32} {ratio:.3f}")
    columns = ["cell", "shape", "threads", "noise", "ratio", "runs"]
    found = {"machine": machine(), "columns": columns, "rows": rows}
    write_whole(RESULTS, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
