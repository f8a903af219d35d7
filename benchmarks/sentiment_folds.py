"""Ten-fold cross-validation of sentence sentiment.

    python benchmarks/sentiment_folds.py [--folds 0 1 ...] [--out runs/sentiment_folds]

The models with word vectors of ``sentiment.py``, trained ten times, each time with another tenth as
test set and the next tenth as validation set; fold 0 is the split of ``sentiment.py``.  With 10,662
sentences, one standard error is 0.4 points.  No option was chosen with it.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import elman
from elman.benchmark import machine
from elman.files import write_whole
from elman.tasks import TASKS, Data, train
from recipes.real_data import GLOVE, sentence_polarity

sentiment = TASKS["sentiment"]

RESULTS = Path(__file__).parent / "results" / "sentiment_folds.json"
VECTORS: dict[str, object] = {"vectors": str(GLOVE), "threads": 1}
MODELS = {
    "recurrent, GloVe": VECTORS,
    "recurrent and naive Bayes, GloVe": {**VECTORS, "phrases": 2},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--out", type=Path, default=Path("runs") / "sentiment_folds")
    asked = parser.parse_args()
    for fold in asked.folds:
        paths = sentence_polarity(Path("runs") / "data", fold)
        for number, settings in enumerate(MODELS.values()):
            folder = asked.out / f"{number}-{fold}"
            if not (folder / "figures.json").exists():
                data = Data(paths["train"], paths["valid"], "sentence polarity", "CC BY 4.0")
                _, outcome = train(sentiment, data, folder, settings, resume=True)
                scores = elman.load(folder).evaluate(paths["test"])
                found = {"accuracy": scores["accuracy"], "seconds": round(outcome.seconds)}
                write_whole(folder / "figures.json", json.dumps(found))
    rows = [_row(name, number, asked.out) for number, name in enumerate(MODELS)]
    record = {"command": "python benchmarks/sentiment_folds.py", "machine": machine(), "rows": rows}
    write_whole(RESULTS, json.dumps(record, indent=1) + "\n")
    print(json.dumps(rows, indent=1))


def _row(name: str, number: int, out: Path) -> dict[str, Any]:
    folds = [json.loads(f.read_text()) for f in sorted(out.glob(f"{number}-?/figures.json"))]
    values = [round(fold["accuracy"], 4) for fold in folds]
    return {
        "name": name,
        "folds": values,
        "mean": round(statistics.mean(values), 4),
        "longest_seconds": max(fold["seconds"] for fold in folds),
    }


if __name__ == "__main__":
    main()
