"""Measure the engine against its rivals and check every speed target.

    python benchmarks/engine.py [--quick] [--only training step] [--threads 1 2]
                                [--budget SECONDS] [--json PATH]

The contestants run interleaved in one process; figures are ratios of medians and of 10th
percentiles.  One thread is timed by CPU time, several by the wall clock
(``elman.benchmark.timing``).  Outputs and gradients must agree before anything is timed.  Training
is forward and backward with the gradients of x and of all parameters.  JAX runs in a separate
process with Elman's layer, because its threads and torch's interfere; ONNX Runtime runs without
spinning threads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

from elman.benchmark import machine
from elman.benchmark.machine import sentence
from report import Row, draw, print_section, print_targets, summaries, write_json
from sections import QUICK_SHAPES, SECTIONS, Asked, Job, Skipped, layers

RESULTS = Path(__file__).parent / "results" / "engine.json"
#: the fraction of a job's time for timing; the rest is for checks, compiling and new processes
TIMED = 0.7


def main() -> int:
    """Measure, print, write; returns 1 if any values disagree, else 0."""
    asked = _arguments().parse_args()
    console = Console(highlight=False, width=165)
    covered = Asked(threads=tuple(asked.threads or (1, 2)))
    if asked.quick:
        covered = Asked(QUICK_SHAPES, (64, 256), QUICK_SHAPES[:1], tuple(asked.threads or (1,)))
    budget = asked.budget or (50.0 if asked.quick else 660.0)
    found = machine()
    title = (
        f"{sentence(found)} float32 unless noted; threads {', '.join(map(str, covered.threads))}; "
        "shapes are time×batch×input×hidden; ms are medians."
    )
    console.print(title, soft_wrap=True)
    planned = {name: list(SECTIONS[name](covered)) for name in asked.only or SECTIONS}
    rows, skipped = measure(planned, budget, console)
    print_targets(console, summaries(rows))
    engines = [layer.backend_report() for layer in layers.values()]
    for line in (*skipped, *engines):
        console.print(line, soft_wrap=True)
    settings = {
        "quick": asked.quick,
        "sections": list(planned),
        "threads": covered.threads,
        "shapes": covered.shapes,
        "budget": budget,
        "dtype": "float32",
    }
    write_json(asked.json, found, settings, rows, skipped, engines)
    draw(asked.json.with_suffix(".png"), rows, title)
    console.print(f"Wrote {asked.json} and {asked.json.with_suffix('.png')}.", soft_wrap=True)
    return int(any([row.value is None for row in rows]))


def measure(
    planned: dict[str, list[Job]],
    budget: float,
    console: Console,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[list[Row], list[str]]:
    """Run all jobs within about ``budget`` seconds; returns the rows, and reasons for skipped ones.

    A job gets a fraction of the remaining time by its weight, so a slow job shortens later ones.
    """
    end = clock() + budget
    rows: list[Row] = []
    skipped: dict[str, None] = {}
    weight = sum([job.weight for jobs in planned.values() for job in jobs])
    progress = Console(stderr=True)
    torch.manual_seed(0)
    for section, jobs in planned.items():
        of_section: list[Row] = []
        for job in jobs:
            seconds = max(0.0, end - clock()) * job.weight / weight
            weight -= job.weight
            with progress.status(f"{section}: {job.title}"):
                try:
                    of_section += job.run(TIMED * seconds)
                except Skipped as reason:
                    skipped[f"Skipped, {section}: {reason}"] = None
        if of_section:
            print_section(console, section, of_section)
        rows += of_section
    return rows, list(skipped)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="two shapes, about a minute")
    parser.add_argument(
        "--only", nargs="+", choices=list(SECTIONS), metavar="NAME",
        help=f"sections: {', '.join(SECTIONS)}",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=_count, nargs="+", help="numbers of threads (default 1 2; --quick: 1)"
    )
    parser.add_argument("--budget", type=float, help="total seconds (default 660; --quick: 50)")
    parser.add_argument("--json", type=Path, default=RESULTS, help="output file; a plot is added")
    return parser


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"the number of threads is {count}; it must be positive.")
    return count


if __name__ == "__main__":
    raise SystemExit(main())
