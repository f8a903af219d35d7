"""Measure forecasts and classes of series, side by side with the rivals of ``series_rivals.py``.

    RIVALS=/path/to/python python benchmarks/series.py [--folder runs/series]

``RIVALS`` names the Python of an environment with statsmodels, aeon, sktime and neuralforecast.

Forecasts: the last three horizons of each series are the test, forecast a horizon apart from all
that came before; the two horizons before them validate.  Eight configurations are tried with seed
0 (direct or recursive, anchor season or last, transform none or log), from the simplest on.  By the
one-standard-error rule (Breiman et al. 1984), the first whose validation MASE is within a standard
error of the best one is trained with three seeds: on so few steps, the best of eight is best in
part by luck.  Classes: the split of the data; a quarter of the training cases validates; one
configuration.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from elman.benchmark import machine
from elman.files import write_whole
from elman.tasks import TASKS, Data, load, train
from elman.tasks.series import scores
from elman.tasks.series.forecasting import forecast
from elman.training.progress import Silence
from series_rivals import FORECASTS, HIDDEN, ORIGINS, SEEDS, VALID, longest

series = TASKS["series"]
HERE = Path(__file__).parent
SETTINGS = {
    "hidden_size": HIDDEN,
    "epochs": 30,
    "patience": 8,
    "dropout": 0.1,
    "batch_size": 32,
    "threads": 1,
}
TRIED = [
    {"strategy": strategy, "anchor": anchor, "transform": transform}
    for strategy in ("direct", "recursive")
    for anchor in ("season", "last")
    for transform in ("none", "log")
]
CLASSES = {
    "mode": "classify",
    "hidden_size": 64,
    "bidirectional": True,
    "dropout": 0.3,
    "threads": 1,
}
#: a quarter of the training cases validates: a tenth of 36 says nothing
PARTS = 4
DATASETS = ("BasicMotions", "ItalyPowerDemand", "ArrowHead", "JapaneseVowels")


def trained(data: Data, folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The validation score of a training and its processor seconds; kept in its folder."""
    kept = folder / "measured.json"
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text())
        return found
    begun = time.process_time()
    _, outcome = train(series, data, folder, settings, progress=Silence(), overwrite=True)
    found = {"valid": outcome.best_metric, "seconds": time.process_time() - begun}
    write_whole(kept, json.dumps(found))
    return found


def standard_error(data: Data, run: Path) -> float:
    """That of the validation MASE of a run, by its scaled errors."""
    model = load(run)
    _, rows = series.hold_out(series.read(data.train, model.options), data.held_out, data.parts)
    windows = scores.windows_of([row.value for row in rows], model.options.steps_read)
    middle = model.options.levels.index(0.5)
    pairs = zip(windows, forecast(model.fitted, windows), strict=True)
    errors = [abs(scores.actual_of(window) - each[..., middle]) for window, each in pairs]
    scale = scores.naive_scale(
        windows[0].series.values[: rows[0].value.first], model.symbols.season
    )
    scaled = np.concatenate(errors)[:, 0] / scale[0]
    return float(scaled.std(ddof=1) / len(scaled) ** 0.5)


def simplest(tried: Sequence[dict[str, Any]], error: float) -> int:
    """The first configuration that is within a standard error of the best one."""
    best = min([each["valid"] for each in tried])
    return next(k for k, each in enumerate(tried) if each["valid"] <= best + error)


def forecasts(place: Path) -> dict[str, Any]:
    """The MASE of each series."""
    results: dict[str, Any] = {}
    for name, (horizon, season) in FORECASTS.items():
        whole = place / f"{name}.csv"
        with open(whole, newline="") as file:
            rows = [*csv.reader(file)]
        first = len(rows) - ORIGINS * horizon
        before = place / f"{name}.train.csv"
        write_whole(before, "".join([",".join(row) + "\n" for row in rows[:first]]))
        data = Data(before, parts=(first - 1) // (VALID * horizon))
        own = {**SETTINGS, "horizon": horizon, "season": season, "longest": longest(season)}
        tried = []
        for k, more in enumerate(TRIED):
            run = place / f"{name}-{k}-0"
            tried.append({**more, **trained(data, run, {**own, **more, "seed": 0})})
        lowest = min(range(len(tried)), key=lambda k: tried[k]["valid"])
        error = standard_error(data, place / f"{name}-{lowest}-0")
        best = simplest(tried, error)
        chosen = TRIED[best]
        runs = []
        for seed in SEEDS:
            run = place / f"{name}-{best}-{seed}"
            measured = trained(data, run, {**own, **chosen, "seed": seed})
            found = load(run).evaluate(whole, origins=ORIGINS)
            keep = ("mase", "seasonal_naive_mase", "crps", "coverage", "smape")
            runs.append({"seed": seed, **measured, "test": {key: found[key] for key in keep}})
        results[name] = {"horizon": horizon, "season": season, "tried": tried, **chosen}
        results[name]["standard_error"] = error
        results[name]["runs"] = runs
        print(name, chosen, [round(run["test"]["mase"], 3) for run in runs], flush=True)
    return results


def classes(place: Path) -> dict[str, Any]:
    """The test accuracy on each data set."""
    results: dict[str, Any] = {}
    for name in DATASETS:
        runs = []
        for seed in SEEDS:
            run = place / f"{name}-{seed}"
            data = Data(place / f"{name}.train.csv", parts=PARTS)
            measured = trained(data, run, {**CLASSES, "seed": seed})
            found = load(run).evaluate(place / f"{name}.test.csv")
            runs.append({"seed": seed, **measured, "test": found["accuracy"]})
        results[name] = {"runs": runs}
        print(name, [round(run["test"], 4) for run in runs], flush=True)
    return results


def rival(what: str, place: Path) -> dict[str, Any]:
    """What the rivals reach; kept in a file."""
    kept = place / f"{what}.json"
    if not kept.exists():
        program = [os.environ["RIVALS"], str(HERE / "series_rivals.py"), what, str(place)]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        subprocess.run([*program, str(kept)], check=True, env=environment)
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/series"))
    place = parser.parse_args().folder.resolve()
    if not (place / "airline.csv").exists():
        program = [os.environ["RIVALS"], str(HERE / "series_rivals.py"), "data", str(place)]
        subprocess.run(program, check=True)
    record = {
        "command": "python benchmarks/series.py",
        "machine": machine(),
        "settings": {"forecast": SETTINGS, "classify": CLASSES},
        "forecasts": {"elman": forecasts(place), "rivals": rival("forecast", place)},
        "classes": {"elman": classes(place), "rivals": rival("classify", place)},
    }
    write_whole(HERE / "results" / "series.json", json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
