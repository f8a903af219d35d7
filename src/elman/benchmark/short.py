"""``elman benchmark``: a comparison on your machine in less than a minute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from rich.table import Table

from elman.benchmark.contest import Result, Shape, Work, contest
from elman.benchmark.contestants import rivals
from elman.benchmark.machine import machine
from elman.graph import Cell
from elman.nn import Recurrent

#: a typical batch, a small one as for language models, and a single long sequence
SHAPES = (Shape(100, 32, 128, 128), Shape(35, 20, 200, 200), Shape(1000, 1, 64, 128))
#: heads of cells with a matrix state, which divide the units of all shapes
HEADS = 4
WORK: tuple[Work, ...] = ("training", "inference")


@dataclass(frozen=True)
class Report:
    """The results, the machine, the engine, and the layers' options besides their sizes."""

    machine: dict[str, Any]
    engine: str
    results: tuple[Result, ...]
    options: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The report as a JSON object; times in seconds."""
        results = [result.record() for result in self.results]
        return {
            "machine": self.machine,
            "engine": self.engine,
            "options": self.options,
            "results": results,
        }

    @property
    def words(self) -> str:
        """The options in a sentence; empty if there are none.

        >>> Report({}, "", (), {"heads": 4, "key_size": None}).words
        '4 heads of as many keys as units.'
        """
        named = [f"{name} {number}" for name, number in self.options.get("sizes", {}).items()]
        if "heads" in self.options:
            keys = self.options["key_size"] or "as many"
            units = "" if self.options["key_size"] else " as units"
            named.append(f"{self.options['heads']} heads of {keys} keys{units}")
        return f"{', '.join(named)}." if named else ""


def short_benchmark(
    cell: Cell,
    threads: Sequence[int],
    *,
    heads: int | None = None,
    key_size: int | None = None,
    sizes: Mapping[str, int] = MappingProxyType({}),
    shapes: Sequence[Shape] = SHAPES,
    seconds: float = 24.0,
    tell: Callable[[Result], None] = lambda result: None,
) -> Report:
    """Compare the cell's layer with torch.nn's, if there is one, and with the fair eager loop.

    A cell with a matrix state has ``heads`` heads (default: 4) of ``key_size`` keys (default: as
    many as units); ``sizes`` are the numbers of a cell's own sizes.  Inputs beside x are random.
    ``seconds`` are divided among shapes, numbers of threads, training and inference; each runs at
    least a few times.  ``tell`` is called with each result.
    """
    rounds = [(shape, count, work) for shape in shapes for count in threads for work in WORK]
    results: list[Result] = []
    engine = ""
    options: dict[str, Any] = {}
    if sizes:
        options["sizes"] = dict(sizes)
    if cell.has_memory or heads or key_size:
        options |= {"heads": heads or HEADS, "key_size": key_size}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for shape, count, work in rounds:
            layer = Recurrent(cell, shape.input, shape.hidden, **options)
            found = contest(layer, rivals(layer), shape, work, count, seconds / len(rounds))
            results += found
            engine = layer.backend_report()
            for result in found:
                tell(result)
    return Report(machine(), engine, tuple(results), options)


def table() -> Table:
    """An empty table for a report; ``row`` makes its rows."""
    shown = Table(
        box=None,
        title="time×batch×input×hidden, float32; medians in ms of interleaved runs",
        title_justify="left",
    )
    for name in ("shape", "threads", "work", "Elman", "rival", "rival ms", "speed-up"):
        right = name in {"threads", "Elman", "rival ms", "speed-up"}
        shown.add_column(name, justify="right" if right else "left")
    return shown


def row(result: Result) -> list[str]:
    """One result as a row of ``table``."""
    first = [str(result.shape), str(result.threads), result.work]
    if result.ours is None or result.theirs is None:
        return [*first, "", result.rival, "", f"differs by {result.difference:.0e}: not timed"]
    ours, theirs = [f"{1000 * t.median:.2f}" for t in (result.ours, result.theirs)]
    return [*first, ours, result.rival, theirs, f"{result.ratio:.2f}"]
