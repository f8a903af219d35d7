"""Show that a standard feed-forward network does not transfer between positions.

    python benchmarks/one_to_one.py [--seeds 0 1 2]

Named entity recognition on the Broad Twitter Corpus by the recurrent model, by a window of five
words, and by a standard network with separate weights for its 30 positions.  All train on sentences
of at most ``SHORT`` words.  They are evaluated on validation data: short sentences, long ones, and
short ones shifted to the right by the first words of training tweets without names.  No pretrained
word vectors; other options are the defaults.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import elman
from elman.benchmark import machine
from elman.files import write_whole
from elman.tasks import TASKS, Data, train
from recipes.real_data import broad_twitter

ner = TASKS["ner"]

SHORT = 15
MODELS = ("recurrent", "window", "standard")
#: words without a name
BEFORE = ["by", "the", "way", ",", "and", "as", "we", "all", "said", "before", "this", ","]
SHIFTS = (0, 1, 3, 6, 12)
RUNS = Path("runs")


def parted(paths: dict[str, Path], folder: Path) -> dict[str, Path]:
    """Short training sentences; short, long and shifted validation sentences, as files."""
    train_blocks, valid_blocks = [
        paths[part].read_text(encoding="utf-8").strip().split("\n\n") for part in ("train", "valid")
    ]
    short = [block for block in valid_blocks if block.count("\n") < SHORT]
    sets = {
        "train": [block for block in train_blocks if block.count("\n") < SHORT],
        "long": [block for block in valid_blocks if block.count("\n") >= SHORT],
    }
    nameless = [rows for rows in map(str.splitlines, train_blocks) if _no_name(rows)]
    for shift in SHIFTS:
        sets[f"shift-{shift}"] = [
            "\n".join([*nameless[k % len(nameless)][:shift], block])
            for k, block in enumerate(short)
        ]
    files = {}
    for name, blocks in sets.items():
        files[name] = folder / f"btc-{name}.conll"
        write_whole(files[name], "\n\n".join(blocks) + "\n")
    return files


def _no_name(rows: list[str]) -> bool:
    """Whether a tweet is long enough for all shifts and contains no name."""
    return len(rows) >= max(SHIFTS) and all(row.split()[-1] == "O" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds = parser.parse_args().seeds
    files = parted(broad_twitter(RUNS / "data"), RUNS / "data")
    tests = [*[f"shift-{shift}" for shift in SHIFTS], "long"]
    rows: list[dict[str, Any]] = []
    for model in MODELS:
        runs = []
        for seed in seeds:
            folder = RUNS / "one_to_one" / f"{model}-{seed}"
            settings = {"model": model, "seed": seed, "threads": 1}
            data = Data(files["train"], files["shift-0"], "Broad Twitter Corpus", "CC BY 4.0")
            _, outcome = train(ner, data, folder, settings, resume=True)
            run = elman.load(folder)
            f1 = {name: run.evaluate(files[name])["f1"] for name in tests}
            runs.append({"seed": seed, "seconds": round(outcome.seconds, 1), "f1": f1})
        rows.append({"name": model, "runs": runs})
    record = {
        "command": "python benchmarks/one_to_one.py",
        "machine": machine(),
        "short": SHORT,
        "shifts": SHIFTS,
        "rows": rows,
    }
    path = Path(__file__).parent / "results" / "one_to_one.json"
    write_whole(path, json.dumps(record, indent=1) + "\n")
    table = Table(box=None)
    for column in ("model", *tests):
        table.add_column(column)
    for row in rows:
        means = [100 * statistics.mean([run["f1"][name] for run in row["runs"]]) for name in tests]
        table.add_row(row["name"], *[f"{value:.1f}" for value in means])
    Console().print(table)


if __name__ == "__main__":
    main()
