"""Compare cells on the problems with long-term dependencies.

    python benchmarks/long_term.py [--problems NAME ...] [--seeds 0 1 ...] [--workers N]

Runs the trainings of ``elman diagnose --tasks`` and writes ``benchmarks/results/long_term.json``.
Results are stored in ``--out`` and not repeated, so the measurement can be done in parts.  Budget,
initialisation and thresholds were chosen with seed 100, which is not among the measured seeds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console

from elman.benchmark import machine
from elman.diagnose.long_term import Budget, Course, compete, contests
from elman.diagnose.standings import record, sentences, tables
from elman.files import write_whole

RESULTS = Path(__file__).parent / "results" / "long_term.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", nargs="+", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path("runs") / "long-term")
    asked = parser.parse_args()

    def tell(done: int, of: int, course: Course, left: float) -> None:
        print(done, of, course.problem, course.contestant, course.steps[-1], course.solved,
              course.seconds, f"{left / 60:.1f} min left", flush=True)  # fmt: skip

    courses = compete(
        contests(asked.problems),
        budget=Budget(),
        seeds=asked.seeds,
        out=asked.out,
        workers=asked.workers,
        tell=tell,
    )
    found = {
        "command": "python benchmarks/long_term.py",
        "machine": machine(),
        "budget": vars(Budget()),
        "core_seconds": round(sum(course.seconds for course in courses)),
        **record(courses),
    }
    write_whole(RESULTS, json.dumps(found, indent=1) + "\n")
    for table in tables(courses):
        Console(width=200).print(table)
    for sentence in sentences(courses):
        print(sentence)


if __name__ == "__main__":
    main()
