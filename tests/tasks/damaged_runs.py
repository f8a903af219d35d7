"""What can happen to a run folder, drawn at random, and what Elman then says.

As a program, it draws many: ``python tests/tasks/damaged_runs.py 2000 [JOB]...`` prints for each
task how many were refused and read, how long the slowest took, and every one that was neither.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import elman
from elman.errors import ElmanError
from elman.tasks import TASKS, Data, train
from elman.training.progress import Silence
from elman.training.weights import read_tensors
from tasks.conftest import samples
from tasks.test_damaged_files import damaged

FILES = (
    "run.toml",
    "symbols.json",
    "cell.json",
    "model.safetensors",
    "history.jsonl",
    "card.md",
    "resume/checkpoint.safetensors",
)
#: options with which the samples of every task train in seconds
SETTINGS = {"hidden_size": 6, "epochs": 1, "threads": 1, "seed": 1, "checkpoint_seconds": 1e9}
#: values that nobody expects
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 1025, 10**9, 2**31, 2**63, 10**40, 0.5, -0.5, 1e-320, 1e308,
    "", "x", "a\nb", "\u0000", "é" * 300, [], {}, [[]], {"a": 1}, [1] * 20, ["x", "x"],
)  # fmt: skip


def small_run(task_name: str, folder: Path) -> Path:
    """A run of a task on its own samples; the data are beside it."""
    task = TASKS[task_name]
    samples(folder, task_name)
    data = Data(folder / task.train_file, folder / task.valid_file)
    train(task, data, folder / "run", _known(task_name), progress=Silence())
    return folder / "run"


def _known(task_name: str) -> dict[str, object]:
    extra = {"embedding_size": 6, "choice_size": 6, "characters": "none", "dropout": 0.1}
    known = vars(TASKS[task_name].Options())
    return {**SETTINGS, **{name: value for name, value in extra.items() if name in known}}


def damage(run: Path, random: Random) -> str:
    """Do something to one file of a run; its name."""
    name = random.choice(FILES)
    path = run / name
    content = path.read_bytes()
    kinds: list[Callable[[], None]] = [
        lambda: path.write_bytes(damaged(content, random)),
        lambda: path.write_bytes(_changed(name, content, random)),
    ]
    rare: list[Callable[[], None]] = [
        lambda: path.write_bytes(b""),
        path.mkdir,
        lambda: path.symlink_to(path.name),
        lambda: os.mkfifo(path),
        lambda: None,
    ]
    if random.random() < 0.1:
        path.unlink()
        random.choice(rare)()
    else:
        random.choice(kinds)()
    return name


def _changed(name: str, content: bytes, random: Random) -> bytes:
    """A value of the file in place of another, the rest as it was."""
    if name.endswith(".json"):
        return json.dumps(_exchanged(json.loads(content), random)).encode()
    if name.endswith(".jsonl"):
        lines = content.decode().splitlines()
        at = random.randrange(len(lines))
        lines[at] = json.dumps(_exchanged(json.loads(lines[at]), random))
        return ("\n".join(lines) + "\n").encode()
    if name.endswith(".safetensors"):
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        if random.random() < 0.5:  # without the digest, what the numbers are is seen by themselves
            header["__metadata__"].pop("sha256", None)
        about = header["__metadata__"].get("elman")
        if about is not None and random.random() < 0.5:
            header["__metadata__"]["elman"] = json.dumps(_exchanged(json.loads(about), random))
        else:
            header = _exchanged(header, random)
        data = content[8 + size :]
        if random.random() < 0.3:
            at = 4 * random.randrange(max(1, len(data) // 4))
            data = data[:at] + b"\x00\x00\xc0\x7f" + data[at + 4 :]
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + data
    lines = content.decode().splitlines()
    places = [k for k, line in enumerate(lines) if " = " in line] or [0]
    at = random.choice(places)
    value = json.dumps(random.choice(HOSTILE))
    values = ["nan", "inf", "-inf", "[" * 5000, "{a.b = 1}", "1979-05-27", value, value, value]
    lines[at] = f"{lines[at].partition(' = ')[0]} = {random.choice(values)}"
    if random.random() < 0.1:
        lines.insert(at, ".".join(["a"] * random.choice([3, 20, 50_000])) + " = 1")
    return "\n".join(lines).encode()


def _exchanged(value: Any, random: Random) -> Any:
    """The value with one of those within it exchanged, lost or there twice."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice(list(value))
        if random.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if random.random() < 0.05:
            return {**value, str(random.choice(HOSTILE)): value[key]}
        return {**value, key: _exchanged(value[key], random)}
    if isinstance(value, list) and value and random.random() < 0.9:
        at = random.randrange(len(value))
        if random.random() < 0.1:
            return value[:at] + value[at + 1 :]
        if random.random() < 0.1:
            return [*value, value[at]]
        return [*value[:at], _exchanged(value[at], random), *value[at + 1 :]]
    return random.choice(HOSTILE)


def said_of(run: Path, name: str, task_name: str, weights: dict[str, Any]) -> str:
    """What is said when a damaged run is loaded, asked and gone on with; "" if nothing is wrong.

    Anything but a sentence, and another answer than the run had, is an ``AssertionError``.
    """
    task = TASKS[task_name]
    try:
        model = elman.load(run)
        for key, value in model.model.state_dict().items():
            assert key not in weights or value.equal(weights[key]), f"{key} has changed"
        if name == "run.toml":
            _ask(model, task_name, run)
        elif name in ("history.jsonl", "resume/checkpoint.safetensors"):
            folder = run.parent
            data = Data(folder / task.train_file, folder / task.valid_file)
            train(task, data, run, {"epochs": 1}, resume=True, progress=Silence())
    except ElmanError as error:
        said = str(error)
        assert said, "a sentence"
        assert "\n" not in said, said
        assert len(said) < 1500, said
        return said
    return ""


def _ask(model: Any, task_name: str, run: Path) -> None:
    if TASKS[task_name].input_kind == "nothing":
        model(None, seconds=2.0)
    elif TASKS[task_name].input_kind == "text":
        model(["A text ."])
    else:
        file = run.parent / TASKS[task_name].valid_file
        model.task.score(model.fitted, [row.value for row in model.task.read(file, model.options)],
                         model.task.PredictOptions())  # fmt: skip


def main(count: int, tasks: list[str]) -> int:
    faults = 0
    for task_name in tasks:
        with tempfile.TemporaryDirectory() as place:
            original = small_run(task_name, Path(place))
            shutil.move(original, Path(place) / "original")
            weights, _ = read_tensors(Path(place) / "original" / "model.safetensors")
            found: Counter[str] = Counter()
            slowest = (0.0, -1, "")
            for seed in range(count):
                run = Path(place) / "run"
                shutil.rmtree(run, ignore_errors=True)
                shutil.copytree(Path(place) / "original", run)
                name = damage(run, Random(seed))
                began = time.perf_counter()
                try:
                    said = said_of(run, name, task_name, weights)
                    found["refused" if said else "read"] += 1
                except BaseException:
                    found["neither"] += 1
                    print(
                        f"{task_name}, seed {seed}, {name}:\n{traceback.format_exc()}", flush=True
                    )
                slowest = max(slowest, (time.perf_counter() - began, seed, name))
            faults += found["neither"]
            print(f"{task_name}: {dict(found)}, slowest {slowest}", flush=True)
    return faults


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:] or list(TASKS)) > 0)
