"""Measure what made sentences with a negation (the option ``negation``) do to sentiment.

    python benchmarks/sentiment_negation.py [--seeds 1] [--shares 0 0.3 0.5]

Sentence polarity with GloVe vectors as in ``sentiment.py``.  Each model is scored on the validation
data and on made sentences, whose templates (below) and words (every fifth, which training leaves
out) are in no made sentence of the training.  The test data are scored too.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import time
from pathlib import Path
from typing import Any

import elman
from elman.benchmark import machine
from elman.files import write_whole
from elman.tasks import TASKS, Data, train
from elman.tasks.sentiment.negation import made, polar_words
from recipes.real_data import GLOVE, sentence_polarity

RUNS = Path("runs") / "sentiment_negation"
SHARES = (0.0, 0.3, 0.5)
PAIRS = 300
#: as in ``elman.tasks.sentiment.negation``, but other sentences
TEMPLATES = {
    "adjective": (
        ("{s} is close to {w}", "{s} is far from {w}"),
        ("{s} is certainly {w}", "{s} is by no means {w}"),
        ("all of it is {w}", "none of it is {w}"),
        ("{s} turns out {w}", "{s} never turns out {w}"),
        ("{s} is exactly {w}", "{s} isn't exactly {w}"),
        ("{s} can be called {w}", "{s} cannot be called {w}"),
        ("i think that {s} is {w}", "i don't think that {s} is {w}"),
        ("{an} {w} film it is", "{an} {w} film it is not"),
        ("what we get is {w}", "what we get is not {w}"),
        ("{s} looks {w} to me", "{s} doesn't look {w} to me"),
        ("you could say it is {w}", "you could hardly say it is {w}"),
    ),
    "liking": (
        ("we came to {w} it", "we never came to {w} it"),
        ("i can {w} this", "i can't {w} this"),
        ("my friends {w} {s}", "my friends do not {w} {s}"),
    ),
    "moving": (
        ("it may {w} some", "it may not {w} anyone"),
        ("it can {w} anyone", "it can hardly {w} anyone"),
    ),
    "noun": (
        ("{s} offers {w}", "{s} doesn't offer any {w}"),
        ("with so much {w} , it goes its way", "with no {w} at all , it goes its way"),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES)
    asked = parser.parse_args()
    paths = sentence_polarity(Path("runs") / "data")
    paths |= sentences(paths["train"])
    for share in asked.shares:
        for seed in asked.seeds:
            one(paths, share, seed)
    found = {float(p.parent.name.split("-")[1]) for p in RUNS.glob("share-*/figures.json")}
    rows = [
        {
            "negation": share,
            "runs": [
                json.loads(path.read_text())
                for path in sorted(RUNS.glob(f"share-{share}-[0-9]*/figures.json"))
            ],
        }
        for share in sorted(found)
    ]
    record = {
        "command": "python benchmarks/sentiment_negation.py",
        "machine": machine(),
        "rows": rows,
    }
    path = Path(__file__).parent / "results" / "sentiment_negation.json"
    write_whole(path, json.dumps(record, indent=1) + "\n")
    for row in rows:
        for run in row["runs"]:
            print(row["negation"], run["seed"], {p: round(run[p]["accuracy"], 4) for p in PARTS})


PARTS = ("valid", "plain", "negated", "test")


def sentences(train_path: Path) -> dict[str, Path]:
    """Files of made sentences: plain ones, and the same with a negation."""
    task = TASKS["sentiment"]
    examples = [row.value for row in task.read(train_path, task.Options())]
    labels = sorted({str(each.label) for each in examples})
    held_out = polar_words(examples, labels).part(held_out=True)
    found = made(held_out, labels, PAIRS, random.Random(1), TEMPLATES)
    paths = {}
    for part, some in (("plain", found[::2]), ("negated", found[1::2])):
        out = io.StringIO()
        rows = [("text", "label"), *[(each.text, each.label) for each in some]]
        csv.writer(out, lineterminator="\n").writerows(rows)
        paths[part] = train_path.with_name(f"polarity-{part}.csv")
        write_whole(paths[part], out.getvalue())
    return paths


def one(paths: dict[str, Path], share: float, seed: int) -> None:
    """Train and evaluate one model, unless that was done before."""
    folder = RUNS / f"share-{share}-{seed}"
    saved = folder / "figures.json"
    if saved.exists():
        return
    settings = {"vectors": str(GLOVE), "negation": share, "seed": seed, "threads": 1}
    settings |= {"max_minutes": 10}
    title = "sentence polarity (Pang and Lee 2005)"
    data = Data(paths["train"], paths["valid"], title, "CC BY 4.0")
    started = time.perf_counter()
    trained, outcome = train(TASKS["sentiment"], data, folder, settings, resume=True)
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
        **{part: model.evaluate(paths[part]) for part in PARTS},
    }
    write_whole(saved, json.dumps(figures))


if __name__ == "__main__":
    main()
