"""Measure the gain of half an hour of ``elman select`` over the default options.

    python benchmarks/selection.py [--jobs sentiment music] [--hours 0.5] [--workers 1]

Sentence polarity without pretrained vectors and Bach's chorales, each with the task's search space
and otherwise its defaults.  Validation data selects the best trial; it and the default are each
evaluated once on test data.  Results are stored in ``--out`` and not repeated.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

import elman
from elman.benchmark import machine
from elman.files import write_whole
from elman.selection import RunConfig, default_space
from elman.selection.show import importance
from elman.selection.workers import search_with
from elman.tasks import TASKS, Data, train
from recipes.real_data import chorales, sentence_polarity

RESULTS = Path(__file__).parent / "results" / "selection.json"
JOBS = {"sentiment": sentence_polarity, "music": chorales}
SETTINGS = {"threads": 1}


@dataclass(frozen=True)
class Asked:
    """The hours and processes of a search, and its folder."""

    hours: float
    workers: int
    out: Path


def compare(job: str, asked: Asked) -> dict[str, Any]:
    """The default and the best trial of a search, with validation and test figures."""
    task, paths = TASKS[job], JOBS[job](Path("runs") / "data")
    data = Data(paths["train"], paths["valid"])
    folder, default = asked.out / job, asked.out / f"{job}-default"
    saved = asked.out / f"{job}.json"
    if not saved.exists():
        space = default_space(task)
        config = RunConfig(data, space, SETTINGS, trials=10_000, hours=asked.hours)
        search, best = search_with(task, config, folder, asked.workers, Console())
        train(task, data, default, SETTINGS, resume=True)
        found = {
            "job": job,
            "metric": task.metric,
            "hours": asked.hours,
            "workers": asked.workers,
            "trials": len(search.study.trials),
            "finished": len(search.finished()),
            "options": search.study.best_trial.params,
            "mattered": {name: round(part, 2) for name, part in importance(search).items()},
            "default": _figures(default, paths),
            "best": _figures(best, paths),
        }
        write_whole(saved, json.dumps(found))
    return json.loads(saved.read_text())  # type: ignore[no-any-return]


def _figures(run: Path, paths: Mapping[str, Path]) -> dict[str, Any]:
    """Evaluate a run folder as a user would."""
    trained = elman.load(run)
    return {part: trained.evaluate(paths[part]) for part in ("valid", "test")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", nargs="+", choices=list(JOBS), default=list(JOBS))
    parser.add_argument("--hours", type=float, default=0.5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs") / "selection")
    given = parser.parse_args()
    asked = Asked(given.hours, given.workers, given.out)
    for job in given.jobs:
        compare(job, asked)
    rows = [compare(job, asked) for job in JOBS if (given.out / f"{job}.json").exists()]
    record = {
        "command": "python benchmarks/selection.py",
        "machine": machine(),
        "rows": rows,
    }
    write_whole(RESULTS, json.dumps(record, indent=1) + "\n")
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
