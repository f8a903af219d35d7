"""What ``test_two_processes.py`` has two processes do: ``language_processes_driver.py FOLDER``."""

import sys
from pathlib import Path

import torch

import elman
from elman.tasks import TASKS, Data, train
from elman.training.progress import Silence

#: without random masks, so that one process can be compared
LANGUAGE = {
    "hidden_size": 8, "embedding_size": 6, "longest": 11, "dropout": 0.0, "epochs": 2, "threads": 1,
    "schedule": "constant", "clip_norm": 1.0, "optimizer": "sgd", "learning_rate": 0.5,
}  # fmt: skip
SENTIMENT = {
    "hidden_size": 6, "embedding_size": 5, "epochs": 3, "threads": 1, "batch_size": 2, "dropout": 0.0,
    "word_dropout": 0.0, "unfreeze_steps": 2, "schedule": "constant", "optimizer": "sgd",
    "learning_rate": 0.1,
}  # fmt: skip


def text(folder: Path) -> Data:
    return Data(folder / "train.txt", folder / "valid.txt")


def carried(folder: Path, batch_size: int, softmax: str) -> Path:
    """A language model whose state goes from window to window."""
    settings = {**LANGUAGE, "batch_size": batch_size, "softmax": softmax}
    torch.manual_seed(0)
    run = folder / f"{softmax}-{batch_size}"
    train(TASKS["language"], text(folder), run, settings, progress=Silence())
    return run


def unfrozen(folder: Path, batch_size: int) -> Path:
    """A classifier that unfreezes its language model layer by layer."""
    data = Data(folder / "train.csv", folder / "valid.csv")
    start = [elman.load(folder / "encoder")]
    run = folder / f"sentiment-{batch_size}"
    settings = {**SENTIMENT, "batch_size": batch_size}
    train(TASKS["sentiment"], data, run, settings, start=start, progress=Silence())
    return run


if __name__ == "__main__":
    place = Path(sys.argv[1])
    carried(place, 3, "full")
    carried(place, 3, "adaptive")
    unfrozen(place, 2)
