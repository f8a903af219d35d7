"""Train the small task, killing it again and again, until one attempt comes to its end.

Run by ``test_resume.py``: ``kill_driver.py FOLDER SEED``.  Each attempt is a process of its own,
forked from this one, and is killed by SIGKILL: at a random moment, or in the middle of the n-th
saving, after half of the bytes, before or after the file takes its name.  With SEED 0 nothing is
killed.  The number of attempts that were killed, by their kind, is printed as JSON.
"""

import json
import os
import random
import signal
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Self

from small_task import small_model, train

from elman.training.options import LoopOptions
from elman.training.run_folder import RunFolder

# 30 batches: each kind of death comes at least once, as none lets more than 7 be trained on.
OPTIONS = LoopOptions(
    batch_size=8,
    epochs=6,
    patience=10,
    learning_rate=0.02,
    average_weights=0.9,
    schedule="plateau",
    plateau_patience=0,
    threads=1,
)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_a_moment(rng: random.Random) -> None:
    threading.Timer(rng.uniform(0.0, 0.06), die).start()


def die_with_half_of_the_bytes(rng: random.Random) -> None:
    countdown, fdopen = rng.randint(1, 8), os.fdopen

    class Half:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *error: object) -> None:
            self.stream.close()

        def write(self, content: bytes) -> None:
            nonlocal countdown
            countdown -= 1
            self.stream.write(content[: len(content) // 2])
            if countdown == 0:
                self.stream.flush()
                die()
            self.stream.write(content[len(content) // 2 :])

        def __getattr__(self, name: str) -> Any:
            return getattr(self.stream, name)

    os.fdopen = lambda handle, mode: Half(fdopen(handle, mode))  # type: ignore[assignment]


def die_before_the_name(rng: random.Random) -> None:
    countdown, replace = rng.randint(1, 8), os.replace

    def dying(old: Any, new: Any) -> None:
        nonlocal countdown
        countdown -= 1
        if countdown == 0:
            die()
        replace(old, new)

    os.replace = dying  # type: ignore[assignment]


def die_after_the_name(rng: random.Random) -> None:
    countdown, replace = rng.randint(1, 8), os.replace

    def dying(old: Any, new: Any) -> None:
        nonlocal countdown
        countdown -= 1
        replace(old, new)
        if countdown == 0:
            die()

    os.replace = dying  # type: ignore[assignment]


DEATHS = [
    die_at_a_moment,
    die_with_half_of_the_bytes,
    die_before_the_name,
    die_after_the_name,
]


def attempt(path: Path, rng: random.Random, deaths: Counter[str], *, kill: bool) -> bool:
    """One more process; whether it came to its end."""
    death = DEATHS[deaths.total() % len(DEATHS)]
    # A checkpoint with each batch, or none: then epochs, weights and history are made again.
    seconds = rng.choice([0.0, 0.0, 1e9])
    child = os.fork()
    if child == 0:
        if kill:
            death(rng)
        options = LoopOptions(**{**vars(OPTIONS), "checkpoint_seconds": seconds})
        # Once there is a checkpoint, the weights must come from it, not from this other start.
        start = 2 if RunFolder(path).checkpoint_path.exists() else 1
        train(path, options, resume=True, model=small_model(seed=start))
        os._exit(0)
    rng.random()  # the child has drawn from its copy of the generator; go on to other numbers
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        deaths[death.__name__] += 1
        return False
    if status != 0:
        sys.exit(f"an attempt ended with status {status}")
    return True


if __name__ == "__main__":
    path, seed = Path(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as elsewhere:  # what is imported here, the forks have
        train(Path(elsewhere), OPTIONS)
    RunFolder.create(path, {"job": "small"})
    rng, deaths = random.Random(seed), Counter[str]()
    while not attempt(path, rng, deaths, kill=seed > 0):
        pass
    print(json.dumps(deaths))
