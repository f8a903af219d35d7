"""Kill a training of music or a search again and again, go on each time, and compare the end.

    python tests/tasks/kill_driver.py music 100
    python tests/tasks/kill_driver.py select 100

Each attempt is a process of its own, forked from this one, and gets SIGKILL at a random moment;
after so many kills one goes on to its end.  Weights, history and options are then compared with
those of a run that nothing has interrupted, bit by bit; it ends with the status 1 where they
differ.  ``tests/training/kill_driver.py`` kills in the middle of each saving, too.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from random import Random

from elman.selection import RunConfig, read_space, select
from elman.tasks import TASKS, Data, train
from elman.training import RunFolder
from elman.training.progress import Silence
from elman.training.weights import read_tensors
from tasks.conftest import samples

SPACE = """
cell = ["gru", "rnn"]
hidden_size = { low = 2, high = 12, log = true }
learning_rate = { low = 1e-3, high = 3e-2, log = true }
"""
SETTINGS = {
    "music": {"hidden_size": 8, "choice_size": 8, "epochs": 60, "patience": 60, "threads": 1,
              "batch_size": 2, "checkpoint_seconds": 0.05},
    "select": {"epochs": 6, "embedding_size": 6, "min_count": 1, "bidirectional": False,
               "batch_size": 8, "checkpoint_seconds": 0.05},
}  # fmt: skip


def do(what: str, folder: Path, data: Path) -> None:
    """Begin or go on."""
    if what == "music":
        task = TASKS["music"]
        files = Data(data / task.train_file, data / task.valid_file)
        train(task, files, folder, SETTINGS["music"], resume=True, progress=Silence())
    else:
        task = TASKS["sentiment"]
        files = Data(data / task.train_file, data / task.valid_file)
        wish = RunConfig(files, read_space(task, SPACE, "space"), SETTINGS["select"], trials=12)
        select(task, wish, folder, tell=lambda line: None).keep_best(lambda line: None)


def killed(what: str, folder: Path, data: Path, seconds: float | None) -> bool:
    """Go on in a process of its own, for so long; whether it was killed."""
    child = os.fork()
    if child == 0:
        if seconds is not None:
            threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
        do(what, folder, data)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return True
    if status:
        sys.exit(f"an attempt ended with the status {status}")
    return False


def state_of(run: Path) -> object:
    """Weights, options and history of a run, without its times."""
    folder = RunFolder(run)
    lines = [{**line, "seconds": 0} for line in folder.history()]
    tensors, _ = read_tensors(folder.model_path)
    settings = folder.settings()
    return (
        {name: value.numpy().tobytes() for name, value in tensors.items()},
        lines,
        settings["options"],
        settings["training"],
    )


def main(what: str, kills: int) -> int:
    with tempfile.TemporaryDirectory() as place:
        data = samples(Path(place) / "data", "music" if what == "music" else "sentiment")
        whole, parts = Path(place) / "whole", Path(place) / "parts"
        do(what, whole, data)
        random, done, ends = Random(1), 0, 0
        while done < kills:
            if killed(what, parts, data, random.uniform(0.0, 2.0)):
                done += 1
            else:  # it came to its end: what is there is compared, and another begins
                ends += 1
                if not same(what, whole, parts):
                    return 1
                parts = Path(place) / f"parts-{ends}"
        killed(what, parts, data, None)
        equal = same(what, whole, parts)
        print(json.dumps({"what": what, "kills": done, "ends": ends + 1, "equal": equal}))
        return 0 if equal else 1


def same(what: str, whole: Path, parts: Path) -> bool:
    below = "best" if what == "select" else ""
    return state_of(whole / below) == state_of(parts / below)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
