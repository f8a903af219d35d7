"""Compare published cells with loops in torch that a careful user would write from the papers.

    python benchmarks/published_cells.py [SECONDS] [CELL ...]

``published/`` has the cells and the loops: the product of x with all matrices before the steps,
time unbound once, and one product per step and operand.  The loops keep their weights stacked.
Cells whose states meet no matrix have two more rivals with gradients by hand, a scan in place and,
at batch 1, a doubling scan, which is the slowest in larger batches.  LSTMP has ``torch.nn.LSTM``,
and the Clockwork RNN a loop that multiplies only what changes.

All are interleaved in one process on one thread, in inference, and in training with the gradients
of x and of all parameters.  Outputs are compared first, and values and all gradients in float64.
Writes ``benchmarks/results/published_cells.json``, with the ratios that an earlier form of the
language had, when many of these cells needed tricks.  With names of cells, it measures these again
and keeps the other rows.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from elman.benchmark import machine
from elman.benchmark.timing import clock_for, geometric_mean, interleaved
from elman.files import write_whole
from published import PUBLISHED, Published, Weights, differences

RESULTS = Path(__file__).parent / "results" / "published_cells.json"
#: steps, rows, and units, which x has too
SHAPES = ((1000, 1, 256), (1000, 16, 256), (100, 32, 128))
#: least runs of each contestant
LEAST = 3

#: training/inference at the three shapes before the language had inputs beside x, computed
#: matrices, heads, matrix states, sqrt, sin, cos and floor; beside such a loop, on a Zen 4
BEFORE = {
    "MGU": "9.2/3.8 2.4/1.8 1.9/1.9",
    "JANET": "9.7/5.2 2.2/2.7 2.6/2.3",
    "LSTM without input gate": "7.6/4.0 2.2/2.4 2.4/2.4",
    "LSTM without peepholes": "6.6/3.5 2.1/2.2 2.0/2.0",
    "LSTM with full gate recurrence": "7.5/3.0 3.1/2.7 3.0/2.0",
    "NAS": "7.9/3.7 2.2/2.2 2.3/2.4",
    "multiplicative LSTM": "6.4/3.8 2.4/2.0 2.1/1.9",
    "MI-RNN": "5.8/3.2 2.0/2.1 1.8/2.0",
    "RHN, depth 3": "8.4/4.5 2.3/2.2 2.3/2.3",
    "coRNN": "11.2/5.7 2.6/2.4 2.5/2.4",
    "LEM": "6.9/4.2 2.2/2.1 2.3/2.2",
    "UnICORNN": "17/6.5 2.5/2.6 2.6/2.4",
    "sLSTM": "8.3/4.0 2.3/2.0 2.4/2.0",
    "sLSTM, 4 heads": "7.4/2.6 1.8/1.6 2.4/1.7",
    "Mogrifier, 5 rounds": "8.5/4.3 2.5/2.2 2.6/2.2",
    "Li-GRU with layer norm": "5.7/3.4 1.8/2.0 1.7/2.1",
    "SCRN": "4.4/2.5 1.7/1.7 1.8/1.8",
    "antisymmetric": "6.3/3.6 2.0/2.1 1.9/1.9",
    "Lipschitz": "7.6/4.6 2.1/2.2 2.0/2.1",
    "orthogonal with modReLU": "7.9/5.4 2.2/2.8 2.2/2.6",
    "leaky echo state": "5.8/3.2 2.0/1.9 1.9/1.9",
    "FastGRNN": "11/5.6 2.5/2.3 2.6/2.4",
    "CfC": "5.3/3.1 1.8/1.9 1.7/1.7",
    "T-LSTM": "6.3/3.4 2.0/1.9 1.9/1.9",
    "GRU-D": "6.2/3.4 2.1/2.1 1.9/2.0",
    "ODE-RNN, 3 Euler steps": "8.0/3.5 2.3/2.2 2.1/2.1",
    "Phased LSTM": "6.1/3.5 2.0/2.1 2.1/2.1",
    "Clockwork, 4 modules": "6.4/5.2 2.1/2.3 2.0/2.2",
    "IndRNN": "5.5/2.9 1.6/1.7 1.6/1.3",
    "RWKV-4 time mixing": "19.4/7.6 3.8/2.6 3.5/2.7",
    "SRU": "4.8/2.7 1.8/1.8 1.8/2.0",
    "minGRU": "3.6/2.2 1.7/1.5 1.4/1.5",
    "minLSTM": "2.5/1.8 1.6/1.6 1.6/1.7",
    "QRNN, window 1": "2.6/2.0 2.0/2.2 1.6/2.2",
    "HGRN, real": "2.5/2.0 2.0/2.2 1.6/2.1",
    "RG-LRU": "2.2/1.4 1.6/1.3 1.3/1.3",
    "LRU": "4.4/2.6 1.9/1.7 2.2/2.0",
    "Mamba S6, N = 4": "0.8/0.7 1.1/1.2 0.8/1.0",
    "GLA, heads of 16": "4.3/2.1 0.81/0.48 1.6/1.3",
    "DeltaNet, heads of 16": "5.6/2.5 0.81/0.45 1.7/1.4",
}
#: the same beside the best rival, where there are others than the loop
BEFORE_BEST = {
    "LSTMP, half the units": "3.3/1.3 1.2/1.2 1.3/1.2",
    "minGRU": "1.33/1.69 1.63/1.54 1.39/1.46",
    "minLSTM": "1.31/1.36 1.55/1.65 1.59/1.61",
    "QRNN, window 1": "1.44/1.61 1.69/1.99 1.48/2.22",
    "HGRN, real": "1.21/1.44 1.88/2.03 1.50/1.97",
    "RG-LRU": "1.06/1.04 1.38/1.35 1.13/1.24",
    "LRU": "1.19/1.39 1.72/1.69 1.52/1.87",
    "Mamba S6, N = 4": "0.54/0.70 1.04/1.22 0.68/0.95",
}


def compare(one: Published, steps: int, batch: int, units: int, seconds: float) -> dict[str, Any]:
    """Ratios of medians, each rival's time divided by Elman's, in inference and training."""
    torch.manual_seed(0)
    layer = one.layer(units, units)
    x = torch.randn(steps, batch, units, requires_grad=True)
    # x itself and what follows from it have gradients, as they have within a network
    beside = {
        name: side.detach().clone().requires_grad_(side.requires_grad)
        for name, side in one.beside(x, units).items()
    }
    inputs = [x, *[side for side in beside.values() if side.requires_grad]]
    zeros = [torch.zeros(layer.stack.state_shape(s, batch))[0] for s in layer.cell.states]
    runs: dict[str, Callable[[], Tensor]] = {"elman": lambda: layer(x, **beside)[0]}
    leaves = {"elman": [*inputs, *layer.parameters()]}
    with torch.no_grad():
        wanted = layer(x[:20], **{name: side[:20] for name, side in beside.items()})[0]
    for name, rival in {"loop": one.loop, **one.rivals}.items():
        if name == "doubling scan" and batch > 1:
            continue
        weights = Weights(layer, once=True)
        runs[name] = lambda f=rival, w=weights: f(w, x, *zeros, **beside)[0]
        with torch.no_grad():
            y = runs[name]()
        leaves[name] = [*inputs, *weights.leaves.values()]
        far = (y[:20] - wanted).abs().max() / (1 + wanted.abs().max())
        assert far < 1e-3, f"{one.title}: {name} differs by {far}"
    dy = torch.randn_like(y)
    found: dict[str, Any] = {"time": steps, "batch": batch, "hidden": units}
    for what, part in (("inference", 0.35), ("training", 0.65)):

        def run(name: str, what: str = what) -> object:
            if what == "inference":
                with torch.inference_mode():
                    return runs[name]()
            return torch.autograd.grad(runs[name](), leaves[name], dy, allow_unused=True)

        each = {name: (lambda name=name: run(name)) for name in runs}
        each["elman"]()  # compiles
        timings = interleaved(each, part * seconds, least=LEAST, clock=clock_for(1))
        times = {name: timing.median for name, timing in timings.items()}
        found[what] = {
            "ratio": round(times["loop"] / times["elman"], 3),
            "best": round(min([t for n, t in times.items() if n != "elman"]) / times["elman"], 3),
            "milliseconds": {name: round(1000 * t, 3) for name, t in times.items()},
            "runs": timings["elman"].runs,
        }
    return found


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    wanted = sys.argv[2:]
    kept = {row["cell"]: row for row in json.loads(RESULTS.read_text())["rows"]} if wanted else {}
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="LSTM with projections is not supported")
    rows, begin = [], time.monotonic()
    for one in PUBLISHED:
        if wanted and one.title not in wanted and one.title in kept:
            rows.append(kept[one.title])
            continue
        row = {
            "cell": one.title,
            "doc": one.cell.doc.splitlines()[0],
            "gone": one.gone,
            "left": one.left,
            "rivals": list(one.rivals),
            "largest_error": max(differences(one, one.loop, "native").values()),
            "before": BEFORE.get(one.title, "").split(),
            "before_best": BEFORE_BEST.get(one.title, "").split(),
            "shapes": [compare(one, *shape, seconds) for shape in SHAPES],
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
    means = {
        what: [geometric_mean([row["shapes"][k][what]["ratio"] for row in rows]) for k in range(3)]
        for what in ("inference", "training")
    }
    record = {
        "command": "python benchmarks/published_cells.py",
        "machine": machine(),
        "threads": 1,
        "clock": "processor time of the process; most rows were measured beside other work",
        "load_average": round(os.getloadavg()[2], 1),
        "minutes": round((time.monotonic() - begin) / 60, 1),
        "geometric_means": {what: [round(m, 2) for m in each] for what, each in means.items()},
        "rows": rows,
    }
    print(record["geometric_means"], record["minutes"])
    write_whole(RESULTS, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
