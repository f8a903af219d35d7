"""``elman benchmark --tune``: measure what the engine chooses by the processor.

Products with the input are computed for all steps at once, before the loop, if the batch is small
enough: a step then reads fewer weights.  From which batch on this no longer pays depends on the
caches, so it is measured for weights that fit each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from rich.table import Table

from elman.backends.native import tuned
from elman.backends.native.kernels import layer_of
from elman.backends.native.llvm.target import chosen_target
from elman.backends.native.tuned import Batches
from elman.benchmark.contest import torch_threads
from elman.benchmark.machine import machine
from elman.benchmark.timing import clock_for, interleaved
from elman.cells import lstm
from elman.graph.sizes import Sizes
from elman.nn import Recurrent

#: the units of layers whose weights exceed these bytes, the largest first
CLASSES = ((1 << 22, 704), (1 << 20, 320), (1 << 19, 208), (0, 96))
MOST = 6
#: hoisting must be faster by this much, or timing decides by chance
MARGIN = 1.02
ALWAYS: Batches = ((0, MOST),)
NEVER: Batches = ((0, 0),)


@dataclass(frozen=True)
class Trial:
    """How many times as fast hoisting is for a layer of these units and this batch."""

    units: int
    batch: int
    speed_up: float


@dataclass(frozen=True)
class Tuning:
    """The trials, and the largest batches that hoist, before and now."""

    trials: tuple[Trial, ...]
    before: Batches
    now: Batches

    def record(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "machine": machine(),
            "trials": [vars(trial) for trial in self.trials],
            "before": self.before,
            "now": self.now,
        }


def tune(seconds: float = 30.0, tell: Callable[[Trial], None] = lambda trial: None) -> Tuning:
    """Measure for about so many seconds and keep the results for later processes."""
    target = chosen_target()
    before = tuned.hoisted_batches(target)
    trials: list[Trial] = []
    now: list[tuple[int, int]] = []
    with torch.random.fork_rng(devices=[]), torch_threads(1):
        torch.manual_seed(0)
        for size, units in CLASSES:
            best = 0
            for batch in range(1, MOST + 1):
                trial = Trial(units, batch, _speed_up(units, batch, seconds / len(CLASSES) / 3))
                trials.append(trial)
                tell(trial)
                if trial.speed_up < MARGIN:
                    break
                best = batch
            now.append((size, best))
    tuned.keep(target, now)
    return Tuning(tuple(trials), before, tuple(now))


def _speed_up(units: int, batch: int, seconds: float) -> float:
    layer = Recurrent(lstm, units, units).eval()
    packed = layer_of(lstm.text, Sizes(units, units), torch.float32, chosen_target()).bytes
    x = torch.randn(max(16, min(200, (1 << 27) // packed // batch)), batch, units)

    def run(batches: Batches) -> Callable[[], object]:
        def forward() -> object:
            with tuned.trying(batches), torch.inference_mode():
                return layer(x)

        return forward

    runs = {"hoisted": run(ALWAYS), "not hoisted": run(NEVER)}
    times = interleaved(runs, seconds, clock=clock_for(1), most=1000)
    return times["not hoisted"].median / times["hoisted"].median


def table() -> Table:
    """An empty table of trials; ``row`` makes its rows."""
    shown = Table(
        box=None,
        title="LSTM inference, one thread: products with x before the loop, or at each step",
        title_justify="left",
    )
    for name in ("units", "batch", "speed-up by hoisting"):
        shown.add_column(name, justify="right")
    return shown


def row(trial: Trial) -> list[str]:
    """One trial as a row of ``table``."""
    return [str(trial.units), str(trial.batch), f"{trial.speed_up:.2f} ×"]


def sentence(found: Tuning) -> str:
    """What was found, in words."""
    each = [
        f"{most} where weights exceed {size >> 10:,} KiB" if size else f"{most} for smaller ones"
        for size, most in found.now
    ]
    return f"The largest batch that hoists: {', '.join(each)}. Kept for this processor."
