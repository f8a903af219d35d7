"""Compare cells with a matrix state with loops in torch that a careful user would write.

    python benchmarks/matrix_states.py [SECONDS]

runs DeltaNet, gated linear attention and the matrix LSTM with four heads of 64 units and 64 keys,
and Mamba's selective scan with 256 units and 16 keys, at batch 1 and 16, with one thread and two.
The rivals have the same weights: all products with x before the loop, as one, then ``baddbmm`` on
the state; for Mamba also a scan in place with a hand-written backward, of which the faster counts.
All are interleaved in one process, and their outputs and gradients are compared first.  Writes
``benchmarks/results/matrix_states.json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import elman
from elman.benchmark import machine
from elman.benchmark.timing import clock_for, geometric_mean, interleaved
from elman.cells import WITH_MATRIX_STATES
from elman.files import write_whole
from linear_scans import InPlace

RESULTS = Path(__file__).parent / "results" / "matrix_states.json"
#: steps and rows
SHAPES = ((1000, 1), (250, 16))
UNITS = 256
#: heads and keys of each
SIZES = {
    "delta_net": (4, 64),
    "gated_linear_attention": (4, 64),
    "mlstm": (4, 64),
    "mamba": (1, 16),
}


class Weights:
    """The weights of a layer, and the parts of a product with x in heads."""

    def __init__(self, named: Mapping[str, Tensor], heads: int) -> None:
        self.of, self.heads = named, heads

    def project(self, x: Tensor, *names: str) -> list[Tensor]:
        """(time, batch * heads, size) for each name, by one product; with the bias, if any."""
        matrix = torch.cat([self.of[f"W.{name}"] for name in names])
        zero = x.new_zeros(1)
        bias = torch.cat(
            [self.of.get(f"b.{k}", zero.expand(len(self.of[f"W.{k}"]))) for k in names]
        )
        parts = torch.addmm(bias, x.flatten(0, 1), matrix.T).split(
            [len(self.of[f"W.{name}"]) for name in names], 1
        )
        return [p.reshape(len(x), x.shape[1] * self.heads, -1) for p in parts]


def delta_net(w: Weights, x: Tensor) -> Tensor:
    q, k, v, b = w.project(x, "q", "k", "v", "b")
    k = k / torch.sqrt((k * k).sum(-1, keepdim=True) + 1e-6)
    b = torch.sigmoid(b)
    parts = [q[..., None], (b * k)[..., None], (b * v)[..., None], k[..., None, :]]
    state, outputs = x.new_zeros(q.shape[1], v.shape[-1], k.shape[-1]), []
    for now, write, value, key in zip(*[part.unbind(0) for part in parts], strict=True):
        state = torch.baddbmm(state, torch.baddbmm(value, state, write, alpha=-1), key)
        outputs.append(torch.bmm(state, now))
    return torch.stack(outputs).reshape(len(x), x.shape[1], -1)


def gated_linear_attention(w: Weights, x: Tensor) -> Tensor:
    q, k, v, a = w.project(x, "q", "k", "v", "a")
    a = torch.exp(torch.nn.functional.logsigmoid(a) / 16)
    parts = [q[..., None], k[..., None, :], v[..., None], a[..., None, :]]
    state, outputs = x.new_zeros(q.shape[1], v.shape[-1], k.shape[-1]), []
    for now, key, value, keep in zip(*[part.unbind(0) for part in parts], strict=True):
        state = torch.baddbmm(state * keep, value, key)
        outputs.append(torch.bmm(state, now))
    return torch.stack(outputs).reshape(len(x), x.shape[1], -1)


def mlstm(w: Weights, x: Tensor) -> Tensor:
    q, k, v, o, i, f = w.project(x, "q", "k", "v", "o", "i", "f")
    f, o = torch.nn.functional.logsigmoid(f), torch.sigmoid(o)
    parts = [q[..., None], k[..., None, :], v[..., None], i[..., None], f[..., None]]
    state, outputs = x.new_zeros(q.shape[1], v.shape[-1], k.shape[-1]), []
    n, m = x.new_zeros(q.shape[1], 1, k.shape[-1]), x.new_zeros(q.shape[1], 1, 1)
    for now, key, value, write, keep in zip(*[part.unbind(0) for part in parts], strict=True):
        top = torch.maximum(keep + m, write)
        keep, write, m = torch.exp(keep + m - top), torch.exp(write - top), top
        state = torch.baddbmm(keep * state, value, write * key)
        n = keep * n + write * key
        below = torch.maximum(torch.bmm(n, now).abs(), torch.exp(-m))
        outputs.append(torch.bmm(state, now) / below)
    return (torch.stack(outputs)[..., 0] * o).reshape(len(x), x.shape[1], -1)


def _mamba(w: Weights, x: Tensor, scan: Callable[[Tensor, Tensor], list[Tensor]]) -> Tensor:
    u, d, b, c = w.project(x, "u", "d", "b", "c")
    step = torch.nn.functional.softplus(d)
    keep = torch.exp(step[..., None] * -torch.exp(w.of["p.a"]))
    states = scan(keep, (step * u)[..., None] * b[:, :, None, :])
    columns = c[..., None].unbind(0)
    read = [torch.bmm(state, now) for state, now in zip(states, columns, strict=True)]
    return torch.stack(read)[..., 0] + w.of["p.d"] * u


def mamba(w: Weights, x: Tensor) -> Tensor:
    def scan(keep: Tensor, write: Tensor) -> list[Tensor]:
        state, found = torch.zeros_like(write[0]), []
        for a, b in zip(keep.unbind(0), write.unbind(0), strict=True):
            state = torch.addcmul(b, a, state)
            found.append(state)
        return found

    return _mamba(w, x, scan)


def mamba_by_hand(w: Weights, x: Tensor) -> Tensor:
    return _mamba(w, x, lambda keep, write: list(InPlace.apply(keep, write).unbind(0)))


RIVALS: dict[str, dict[str, Callable[[Weights, Tensor], Tensor]]] = {
    "delta_net": {"loop": delta_net},
    "gated_linear_attention": {"loop": gated_linear_attention},
    "mlstm": {"loop": mlstm},
    "mamba": {"loop": mamba, "scan": mamba_by_hand},
}


def compare(name: str, time: int, batch: int, threads: int, seconds: float) -> dict[str, Any]:
    """Ratios of medians, rival divided by Elman, in inference and training."""
    heads, keys = SIZES[name]
    torch.manual_seed(0)
    layer = elman.Recurrent(WITH_MATRIX_STATES[name], UNITS, UNITS, heads=heads, key_size=keys)
    named = {name.removeprefix("layers.0.0."): p for name, p in layer.named_parameters()}
    weights, x = Weights(named, heads), torch.randn(time, batch, UNITS)
    contestants = {"elman": lambda: layer(x)[0]}
    contestants |= {n: lambda f=f: f(weights, x) for n, f in RIVALS[name].items()}

    def train(run: Callable[[], Tensor]) -> list[Tensor]:
        return list(torch.autograd.grad(run().square().mean(), list(layer.parameters())))

    wanted, own = layer(x)[0], train(contestants["elman"])
    for rival in RIVALS[name]:
        y = contestants[rival]()
        assert torch.allclose(y, wanted, rtol=1e-3, atol=1e-4), f"{name}: {rival} differs"
        for a, b in zip(train(contestants[rival]), own, strict=True):
            assert (a - b).abs().max() <= 1e-3 * b.abs().max() + 1e-7, f"{name}: {rival} differs"
    record: dict[str, Any] = {"cell": name, "time": time, "batch": batch, "threads": threads}
    for what in ("inference", "training"):
        if what == "inference":
            with torch.no_grad():
                runs = interleaved(contestants, seconds, clock=clock_for(threads))
        else:
            each = {n: (lambda run=run: train(run)) for n, run in contestants.items()}
            runs = interleaved(each, seconds, clock=clock_for(threads))
        times = {n: timing.median for n, timing in runs.items()}
        best = min([t for n, t in times.items() if n != "elman"])
        record[what] = {
            "ratio": round(best / times["elman"], 2),
            "milliseconds": {n: round(1000 * t, 2) for n, t in times.items()},
        }
    return record


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4.0
    rows = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for name in SIZES:
            for time, batch in SHAPES:
                rows.append(compare(name, time, batch, threads, seconds))
                print(json.dumps(rows[-1]), flush=True)
    for what in ("inference", "training"):
        print(what, round(geometric_mean([row[what]["ratio"] for row in rows]), 2))
    record = {"command": "python benchmarks/matrix_states.py", "machine": machine(), "rows": rows}
    write_whole(RESULTS, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
