"""Train the configurations of one task with several seeds and evaluate each once on test data.

Configurations were chosen on validation data, never on test data.  A finished run is not trained
again, so an interrupted measurement resumes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import elman
from elman.benchmark import machine
from elman.files import write_whole
from elman.tasks import Data, train
from elman.tasks.task import Task


@dataclass(frozen=True)
class Configuration:
    """A row of the table: the data, the settings and the target.

    ``start`` names an earlier row; training is initialised from its run with the same seed.
    ``encoders`` are the folders of language models that become encoders of the model.
    """

    name: str
    data: Mapping[str, Path]
    title: str
    settings: Mapping[str, object]
    target: str = ""
    licence: str = "CC BY 4.0"
    start: str = ""
    encoders: Sequence[Path] = ()


def measure(
    question: str,
    task: Task,
    metric: str,
    configurations: Sequence[Configuration],
    *,
    scale: float = 100,
) -> dict[str, list[dict[str, Any]]]:
    """Train and evaluate; print the table and write ``benchmarks/results/QUESTION.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs") / question)
    asked = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for configuration in configurations:
        for seed in asked.seeds:
            _one(task, configuration, seed, asked.out)
        # include seeds that were measured before, so that no result is omitted
        saved = sorted(asked.out.glob(f"{_slug(configuration.name)}-[0-9]*/figures.json"))
        found[configuration.name] = [json.loads(path.read_text()) for path in saved]
    rows = [
        {
            "name": each.name,
            "target": each.target,
            "settings": _plain(each),
            "runs": found[each.name],
        }
        for each in configurations
    ]
    record = {
        "command": f"python benchmarks/{question}.py",
        "metric": metric,
        "scale": scale,
        "machine": machine(),
        "rows": rows,
    }
    path = Path(__file__).parent / "results" / f"{question}.json"
    write_whole(path, json.dumps(record, indent=1) + "\n")
    _print(metric, configurations, found, scale)
    return found


def _plain(configuration: Configuration) -> dict[str, object]:
    """The settings, with only the file name of the vectors."""
    settings = dict(configuration.settings)
    if "vectors" in settings:
        settings["vectors"] = Path(str(settings["vectors"])).name
    return settings


def _slug(name: str) -> str:
    return name.replace(" ", "-")


def _one(task: Task, configuration: Configuration, seed: int, out: Path) -> None:
    """Train and evaluate with one seed; the result is in ``figures.json`` of the run folder."""
    folder = out / f"{_slug(configuration.name)}-{seed}"
    saved = folder / "figures.json"
    if saved.exists():
        return
    settings = {"threads": 1, "max_minutes": 10, **configuration.settings, "seed": seed}
    data = Data(
        configuration.data["train"],
        configuration.data["valid"],
        configuration.title,
        configuration.licence,
    )
    started, processor = time.perf_counter(), time.process_time()
    begun = [out / f"{_slug(configuration.start)}-{seed}"] if configuration.start else []
    start = [elman.load(path) for path in (*begun, *configuration.encoders)]
    trained, outcome = train(task, data, folder, settings, start=start or None, resume=True)
    # a resumed run has trained for longer than this process
    minutes = max(time.perf_counter() - started, outcome.seconds) / 60
    spent = folder / "processor_seconds.json"  # by all processes that trained this run
    before = json.loads(spent.read_text()) if spent.exists() else 0.0
    processor = before + time.process_time() - processor
    write_whole(spent, json.dumps(processor))
    if outcome.stopped_because == "interrupted":
        raise SystemExit(f"{folder} was interrupted; run the same command to resume.")
    # evaluate the saved run, as a user would
    figures = {
        "seed": seed,
        "minutes": round(minutes, 2),
        # the time on an idle machine with one thread
        "processor_minutes": round(processor / 60, 2),
        "epochs": outcome.epochs,
        "seconds_an_epoch": round(outcome.seconds / outcome.epochs, 2),
        "threads": outcome.threads,
        "parameters": sum(p.numel() for p in trained.model.parameters()),
        "valid": elman.load(folder).evaluate(configuration.data["valid"]),
        "test": elman.load(folder).evaluate(configuration.data["test"]),
    }
    write_whole(saved, json.dumps(figures))


def _print(
    metric: str,
    configurations: Sequence[Configuration],
    found: Mapping[str, Sequence[Mapping[str, Any]]],
    scale: float,
) -> None:
    table = Table(box=None)
    for column in ("model", f"valid {metric}", f"test {metric}", "test, each seed", "target"):
        table.add_column(column)
    table.add_column("minutes", justify="right")
    for configuration in configurations:
        runs = found[configuration.name]
        valid, test = [[run[part][metric] * scale for run in runs] for part in ("valid", "test")]
        table.add_row(
            configuration.name,
            f"{statistics.mean(valid):.2f}",
            f"{statistics.mean(test):.2f}",
            " ".join([f"{value:.2f}" for value in test]),
            configuration.target,
            f"{max(run['minutes'] for run in runs):.1f}",
        )
    Console().print(table)
