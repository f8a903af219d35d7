"""Classify the splice junction in a window of 60 bases: exon-intron, intron-exon or none.

    python benchmarks/splice.py PATH/TO/DNA.rda [--folds 10] [--seed 0]

The splice junctions of the UCI repository (Towell, Noordewier and Shavlik 1991: primate genes of
GenBank 64): 3,186 windows centred on the position in question, from Debian's r-cran-mlbench
(``apt-get download r-cran-mlbench``).  The model is ``Classifier`` over convolutions with middle
pooling.  Ten stratified folds; identical windows are in the same fold.  The next fold validates and
selects the epoch; options were chosen on validation data.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import elman
from elman.benchmark import machine
from elman.data import bucketed_batches
from elman.files import write_whole
from elman.models import Classifier
from elman.tasks.dna.bases import LETTERS, PROBABILITIES, encode_bases
from elman.tasks.dna.model import BaseReader
from elman.training import LoopOptions, RunFolder, fit
from elman.training.progress import Silence
from recipes.r_data import factor, read_rda

BASES = {"100": "A", "010": "C", "001": "G", "000": "T"}
CLASSES = ("ei", "ie", "n")
#: the fraction of bases that training replaces by the unknown base
HIDDEN = 0.2
OPTIONS = LoopOptions(
    batch_size=32,
    epochs=24,
    learning_rate=3e-3,
    schedule="cosine",
    average_weights=0.99,
    patience=24,
    clip_norm=1.0,
    threads=1,
)


def windows(path: Path) -> tuple[list[str], list[int]]:
    """The windows and their classes."""
    table = read_rda(path)["DNA"]
    *columns, classes = [factor(column) for column in table]
    rows = ["".join(row) for row in zip(*columns, strict=True)]
    texts = ["".join([BASES[row[k : k + 3]] for k in range(0, len(row), 3)]) for row in rows]
    return texts, [CLASSES.index(each) for each in classes]


class Windows(nn.Module):
    """Convolutions over windows of one length."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.reader = BaseReader(torch.from_numpy(PROBABILITIES), channels, width, 1)

    def forward(self, codes: Tensor) -> Tensor:
        return self.reader(codes, torch.full(codes.shape[1:], len(codes)))


def model() -> Classifier:
    """The model of each fold."""
    encoder = elman.Recurrent(elman.cells.gru, 32, 32, bidirectional=True)
    return Classifier(Windows(32, 5), encoder, 3, pooling="middle", dropout=0.3)


def hidden(codes: Tensor, generator: torch.Generator) -> Tensor:
    """The windows with a random fraction of their bases unknown."""
    lost = torch.rand(codes.shape, generator=generator) < HIDDEN
    return torch.where(lost, LETTERS.index("N"), codes)


def dealt(texts: list[str], classes: list[int], folds: int, seed: int) -> np.ndarray:
    """The fold of each window: stratified by class, with identical windows together."""
    random = np.random.default_rng(seed)
    where: dict[str, int] = {}
    counts = np.zeros((3, folds), dtype=int)
    for k in random.permutation(len(texts)).tolist():
        own = counts[classes[k]]
        fold = where.setdefault(texts[k], int(own.argmin()))
        own[fold] += 1
    return np.array([where[text] for text in texts])


def one_fold(codes: Tensor, labels: Tensor, fold: np.ndarray, number: int, seed: int) -> dict:
    """Train without one fold and test on it once."""
    folds = int(fold.max()) + 1
    valid = np.flatnonzero(fold == (number + 1) % folds)
    test = np.flatnonzero(fold == number)
    train = np.flatnonzero((fold != number) & (fold != (number + 1) % folds))
    lengths = torch.full((len(labels),), codes.shape[0])

    def right(net: nn.Module, rows: np.ndarray) -> float:
        logits = net(codes[:, rows], lengths[rows])
        return float((logits.argmax(-1) == labels[rows]).double().mean())

    torch.manual_seed(seed)
    net = model()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        outcome = fit(
            net,
            batches=lambda epoch, size: bucketed_batches(
                [1] * len(train), size, seed=seed, epoch=epoch
            ),
            collate=lambda rows, generator: {
                "words": hidden(codes[:, train[rows]], generator),
                "lengths": lengths[train[rows]],
                "labels": labels[train[rows]],
            },
            validate=lambda net: {"accuracy": right(net, valid)},
            metric="accuracy",
            options=OPTIONS,
            folder=RunFolder.create(Path(place) / "run", {"job": "splice"}),
            progress=Silence(),
        )
    net.eval()
    with torch.no_grad():
        logits = net(codes[:, test], lengths[test])
    return {
        "fold": number,
        "valid": outcome.best_metric,
        "predicted": logits.argmax(-1).tolist(),
        "expected": labels[test].tolist(),
        "seconds": round(time.perf_counter() - started, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--folds", type=int, default=10, help="number of folds to measure")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    texts, classes = windows(asked.data)
    codes = torch.from_numpy(np.stack([encode_bases(text) for text in texts], 1).astype(np.int64))
    labels = torch.tensor(classes)
    fold = dealt(texts, classes, 10, asked.seed)
    found = []
    for number in range(asked.folds):
        found.append(one_fold(codes, labels, fold, number, asked.seed))
        each = found[-1]
        accuracy = np.mean(np.equal(each["expected"], each["predicted"]))
        print(
            f"fold {number + 1}: validation {each['valid']:.4f}, test {accuracy:.4f}, "
            f"{each['seconds']} s",
            flush=True,
        )
    expected = np.concatenate([each["expected"] for each in found])
    predicted = np.concatenate([each["predicted"] for each in found])
    errors = {name: float(np.mean(predicted[expected == k] != k)) for k, name in enumerate(CLASSES)}
    folds = [float(np.mean(np.equal(f["expected"], f["predicted"]))) for f in found]
    accuracy = float((expected == predicted).mean())
    print(
        f"accuracy {accuracy:.4f}; errors " + ", ".join(f"{k} {v:.4f}" for k, v in errors.items())
    )
    if asked.folds < 10:
        return
    record = {
        "command": "python benchmarks/splice.py DNA.rda",
        "data": "mlbench DNA (UCI splice junctions), "
        f"{len(classes):,} windows: "
        + ", ".join([f"{name} {classes.count(k)}" for k, name in enumerate(CLASSES)]),
        "machine": machine(),
        "options": str(OPTIONS),
        "seed": asked.seed,
        "accuracy": accuracy,
        "errors": errors,
        "folds": folds,
        "valid": [each["valid"] for each in found],
        "seconds": sum(each["seconds"] for each in found),
        "parameters": sum(p.numel() for p in model().parameters()),
    }
    write_whole(
        Path(__file__).parent / "results" / "splice.json", json.dumps(record, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
