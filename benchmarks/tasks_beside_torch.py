"""Compare the time per epoch of tasks with the same models on torch.nn.

    python benchmarks/tasks_beside_torch.py [--epochs 4] [--threads 1 2]

Only the recurrent encoder differs: data, batches, options, seed and initial values are the same.
The rival runs ragged batches with ``pack_padded_sequence``.  Whole trainings are timed, one after
the other in one process.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import elman
from elman.benchmark import machine
from elman.files import write_whole
from elman.tasks import TASKS, Data, train
from recipes.real_data import GLOVE, broad_twitter, sentence_polarity

ner = TASKS["ner"]
sentiment = TASKS["sentiment"]

DATA = Path("runs") / "data"


class TorchEncoder(nn.Module):
    """``torch.nn``'s layer with the interface of an encoder."""

    def __init__(self, ours: elman.Recurrent) -> None:
        super().__init__()
        self.bidirectional = ours.bidirectional
        self.output_size = ours.output_size
        self.layer = elman.nn.to_torch(ours)

    def forward(self, x: Tensor, *, lengths: Tensor) -> tuple[Tensor, object]:
        # torch.nn does not support empty rows
        packed = pack_padded_sequence(x, lengths.clamp_min(1), enforce_sorted=False)
        y, state = self.layer(packed)
        return pad_packed_sequence(y, total_length=x.shape[0])[0], state


@contextmanager
def torch_encoders(module: Any) -> Iterator[None]:
    """Make the task's models use encoders from torch.nn."""
    ours: Callable[..., elman.Recurrent] = module.encoder
    module.encoder = lambda *arguments: TorchEncoder(ours(*arguments))
    try:
        yield
    finally:
        module.encoder = ours


def main() -> None:
    """Train, print the table, write ``benchmarks/results/tasks_beside_torch.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    asked = parser.parse_args()
    jobs = [
        ("named entities", ner, broad_twitter(DATA), {"cell": "lstm"}, "f1"),
        ("sentiment", sentiment, sentence_polarity(DATA), {"cell": "gru_reset_after"}, "accuracy"),
    ]
    rows = []
    for title, task, data, settings, metric in jobs:
        for threads in asked.threads:
            torch.set_num_threads(threads)
            row: dict[str, Any] = {"job": title, "threads": threads, "epochs": asked.epochs}
            for engine in ("elman", "torch"):
                row[engine] = _train(task, data, settings, engine, asked.epochs, threads, metric)
            rows.append(row)
    record = {
        "command": "python benchmarks/tasks_beside_torch.py",
        "machine": machine(),
        "rows": rows,
    }
    path = Path(__file__).parent / "results" / "tasks_beside_torch.json"
    write_whole(path, json.dumps(record, indent=1) + "\n")
    _print(rows)


def _train(
    task: Any,
    data: dict[str, Path],
    settings: dict[str, str],
    engine: str,
    epochs: int,
    threads: int,
    metric: str,
) -> dict[str, float]:
    options = {**settings, "vectors": str(GLOVE), "epochs": epochs, "threads": threads, "seed": 0}
    given = Data(data["train"], data["valid"], "", "")
    with tempfile.TemporaryDirectory() as folder:
        with torch_encoders(task) if engine == "torch" else nullcontext():
            trained, outcome = train(task, given, Path(folder), options)
        return {
            "seconds_an_epoch": outcome.seconds / outcome.epochs,
            f"valid_{metric}": trained.evaluate(data["valid"])[metric],
        }


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table(box=None)
    for column in ("task", "threads", "elman s/epoch", "torch s/epoch", "ratio", "elman", "torch"):
        table.add_column(column)
    for row in rows:
        ours, theirs = row["elman"], row["torch"]
        seconds = ours["seconds_an_epoch"], theirs["seconds_an_epoch"]
        scores = [next(v for k, v in e.items() if k.startswith("valid_")) for e in (ours, theirs)]
        table.add_row(
            row["job"],
            str(row["threads"]),
            *[f"{s:.2f}" for s in seconds],
            f"{seconds[1] / seconds[0]:.2f}",
            *[f"{100 * s:.1f}" for s in scores],
        )
    Console().print(table)


if __name__ == "__main__":
    main()
