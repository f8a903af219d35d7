"""A task small enough to train within a second, with everything that could break a resumption:
dropout, random word dropout in ``collate``, shuffled batches, a last batch that is smaller.

The drivers that other processes run import it too.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from elman.training.loop import TrainingResult, fit
from elman.training.options import LoopOptions
from elman.training.progress import Progress, Silence
from elman.training.run_folder import RunFolder
from elman.training.seeding import seed_everything

WORDS = 20


class SmallClassifier(nn.Module):
    """Is the first word of a sentence among the first half of the vocabulary?"""

    def __init__(self, *, dropout: float = 0.2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 6)
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.GRU(6, 8)
        self.output = nn.Linear(8, 2)

    def forward(self, words: Tensor) -> Tensor:
        y, _ = self.encoder(self.dropout(self.embedding(words)))
        return self.output(y.mean(0))

    def loss(self, words: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(self(words), labels)


class SmallTask:
    """``rows`` sentences of five words, the same for the same number of rows."""

    def __init__(self, rows: int = 38, *, word_dropout: float = 0.1) -> None:
        generator = torch.Generator().manual_seed(5)
        self.words = torch.randint(1, WORDS, (5, rows), generator=generator)
        self.labels = (self.words[0] < WORDS // 2).long()
        self.word_dropout = word_dropout

    def batches(self, epoch: int, batch_size: int) -> list[list[int]]:
        order = torch.randperm(
            len(self.labels), generator=torch.Generator().manual_seed(epoch)
        ).tolist()
        return [order[n : n + batch_size] for n in range(0, len(order), batch_size)]

    def collate(self, rows: Sequence[int], generator: torch.Generator) -> dict[str, Tensor]:
        words = self.words[:, list(rows)]
        dropped = torch.rand(words.shape, generator=generator) < self.word_dropout
        # Python's and NumPy's generators are drawn from as well: a user's collate may do so.
        if self.word_dropout and random.random() + numpy.random.random() < 0.5:
            dropped[0] = True
        return {"words": words.masked_fill(dropped, 0), "labels": self.labels[list(rows)]}

    def validate(self, model: nn.Module) -> dict[str, float]:
        scores = model(self.words)
        return {
            "loss": nn.functional.cross_entropy(scores, self.labels).item(),
            "accuracy": (scores.argmax(1) == self.labels).double().mean().item(),
        }


def small_model(seed: int = 0, **options: Any) -> SmallClassifier:
    seed_everything(seed, "model")
    return SmallClassifier(**options)


def train(
    path: Path,
    options: LoopOptions,
    *,
    model: SmallClassifier | None = None,
    task: SmallTask | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    **changes: Any,
) -> tuple[SmallClassifier, TrainingResult]:
    """Train the small classifier in a run folder at ``path``; ``changes`` are arguments of fit."""
    model = small_model() if model is None else model
    task = task or SmallTask()
    folder = RunFolder.open(path) if resume else RunFolder.create(path, {"job": "small"})
    arguments: dict[str, Any] = {
        "batches": task.batches,
        "collate": task.collate,
        "validate": task.validate,
        "metric": "loss",
        "higher_is_better": False,
        **changes,
    }
    outcome = fit(
        model,
        options=options,
        folder=folder,
        resume=resume,
        progress=progress or Silence(),
        **arguments,
    )
    return model, outcome


def without_times(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "seconds"} for line in history]
