"""Small trained runs."""

from pathlib import Path

import pytest

from elman.files import write_whole
from elman.tasks import TASKS, Data, train
from elman.training.progress import Silence

#: options with which the samples of `elman new` train in a second
SMALL = {
    "hidden_size": 12,
    "embedding_size": 12,
    "min_count": 1,
    "dropout": 0.0,
    "word_dropout": 0.0,
    "epochs": 12,
    "learning_rate": 0.02,
    "threads": 1,
}


def needs(*names: str) -> pytest.MarkDecorator:
    """Skip a test where one of these tasks has been removed."""
    gone = [name for name in names if name not in TASKS]
    return pytest.mark.skipif(bool(gone), reason=f"takes {', '.join(gone)} as its example")


def samples(folder: Path, task_name: str) -> Path:
    """The sample files of a task, as `elman new` writes them."""
    for name, text in TASKS[task_name].samples().items():
        write_whole(folder / name, text)
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A small trained run of each task on words: {"ner": folder, ...}; the data are in its parent."""
    runs = {}
    for task_name in ("sentiment", "ner"):
        task = TASKS[task_name]
        folder = samples(tmp_path_factory.mktemp(task_name), task_name)
        data = Data(folder / task.train_file, folder / task.valid_file, "samples", "Apache-2.0")
        train(task, data, folder / "run", SMALL, progress=Silence())
        runs[task_name] = folder / "run"
    return runs
