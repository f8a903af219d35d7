"""Measure what reading part of the training sentences in lower case or capitals does to names.

    python benchmarks/named_entities_case.py [--seeds 0 1 2]

The Broad Twitter Corpus as in ``named_entities.py``.  Each model is scored on the validation data
as written, and with every word in lower case and in capitals; the tags stay.  The fraction for the
shipped model was chosen by these figures; test data are scored as written only.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import elman
from elman.benchmark import machine
from elman.files import write_whole
from elman.tasks import TASKS, Data, train
from recipes.real_data import GLOVE, broad_twitter

RUNS = Path("runs") / "named_entities_case"
FRACTIONS = (0.0, 0.15, 0.3)
FORMS: dict[str, Callable[[str], str]] = {"lower": str.lower, "capitals": str.upper}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--fractions", type=float, nargs="+", default=FRACTIONS)
    asked = parser.parse_args()
    paths = broad_twitter(Path("runs") / "data")
    valid = {"valid": paths["valid"]} | {
        f"valid_{name}": respelled(paths["valid"], name, change) for name, change in FORMS.items()
    }
    for fraction in asked.fractions:
        for seed in asked.seeds:
            one(paths, valid, fraction, seed)
    rows = [
        {"case_dropout": fraction, "runs": [json.loads(p.read_text()) for p in found]}
        for fraction in FRACTIONS
        if (found := sorted(RUNS.glob(f"case-{fraction}-[0-9]*/figures.json")))
    ]
    record = {
        "command": "python benchmarks/named_entities_case.py",
        "machine": machine(),
        "rows": rows,
    }
    path = Path(__file__).parent / "results" / "named_entities_case.json"
    write_whole(path, json.dumps(record, indent=1) + "\n")
    for row in rows:
        for run in row["runs"]:
            print(row["case_dropout"], run["seed"], {part: run[part]["f1"] for part in valid})


def one(paths: dict[str, Path], valid: dict[str, Path], fraction: float, seed: int) -> None:
    """Train and evaluate one model, unless that was done before."""
    folder = RUNS / f"case-{fraction}-{seed}"
    saved = folder / "figures.json"
    if saved.exists():
        return
    settings = {"vectors": str(GLOVE), "case_dropout": fraction, "seed": seed, "threads": 1}
    settings |= {"max_minutes": 15}
    title = "Broad Twitter Corpus (Derczynski, Bontcheva and Roberts 2016)"
    data = Data(paths["train"], paths["valid"], title, "CC BY 4.0")
    started = time.perf_counter()
    trained, outcome = train(TASKS["ner"], data, folder, settings, resume=True)
    minutes = max(time.perf_counter() - started, outcome.seconds) / 60
    if outcome.stopped_because == "interrupted":
        raise SystemExit(f"{folder} was interrupted; run the same command to resume.")
    model = elman.load(folder)
    figures: dict[str, Any] = {
        "seed": seed,
        "minutes": round(minutes, 2),
        "epochs": outcome.epochs,
        "threads": outcome.threads,
        "parameters": sum(p.numel() for p in trained.model.parameters()),
        **{part: model.evaluate(path) for part, path in {**valid, "test": paths["test"]}.items()},
    }
    write_whole(saved, json.dumps(figures))


def respelled(path: Path, name: str, change: Callable[[str], str]) -> Path:
    """A copy of a CoNLL file with other capitals."""
    lines = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        word, tab, tag = line.rpartition("\t")
        lines.append(f"{change(word)}{tab}{tag}")
    copy = path.with_name(f"{path.stem}-{name}.conll")
    write_whole(copy, "\n".join(lines))
    return copy


if __name__ == "__main__":
    main()
