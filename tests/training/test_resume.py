"""Whatever ends a training, it can be gone on with, and comes to the same bits."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from small_task import SmallTask, small_model, train, without_times

from elman.errors import RunError
from elman.training import interruption
from elman.training.loop import TrainingResult
from elman.training.options import LoopOptions
from elman.training.progress import BatchInfo, Silence
from elman.training.run_folder import RunFolder
from elman.training.weights import read_tensors

HERE = Path(__file__).parent


def options(**changes: Any) -> LoopOptions:
    return LoopOptions(**{"batch_size": 8, "epochs": 3, "threads": 1, **changes})


def run_driver(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, HERE / "kill_driver.py", *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def state_of(path: Path) -> tuple[Any, ...]:
    """The last weights and optimiser, the position, the best weights, the history: no times."""
    folder = RunFolder.open(path)
    tensors, notes = read_tensors(folder.checkpoint_path)
    position = json.loads(notes["elman"])["position"]
    del position["seconds"]
    return (
        {name: value.numpy().tobytes() for name, value in tensors.items()},
        position,
        folder.model_path.read_bytes(),
        without_times(folder.history()),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """The state that a run which nothing interrupts ends with."""
    path = tmp_path_factory.mktemp("whole")
    train(path, options())
    return state_of(path)


@pytest.mark.thorough
@pytest.mark.timeout(1800)  # each death costs the start of a process, seconds on a busy machine
def test_a_run_that_is_killed_again_and_again_comes_to_the_same_bits(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert json.loads(run_driver(whole, 0)) == {}
    deaths = json.loads(run_driver(parts, 1))
    assert len(deaths) == 4  # each kind, at least once
    tensors, position, model, history = state_of(parts)
    expected_tensors, expected_position, expected_model, expected_history = state_of(whole)
    assert position == expected_position
    assert history == expected_history
    assert model == expected_model
    assert tensors == expected_tensors
    assert list(parts.rglob(".*")) == []  # no half-written files stay behind


@pytest.mark.parametrize("schedule", ["plateau", "cosine", "linear"])
def test_a_run_that_dies_in_a_validation_notes_the_same_learning_rates(
    tmp_path: Path, schedule: str
) -> None:
    task = SmallTask()
    settings = options(
        epochs=6, schedule=schedule, plateau_patience=0, learning_rate=3.0, patience=9,
        checkpoint_seconds=1e-9,
    )  # fmt: skip
    train(tmp_path / "whole", settings, task=task)
    validations = 0

    def dies(model: Any) -> dict[str, float]:
        nonlocal validations
        validations += 1
        if validations % 2 == 0:
            raise RuntimeError("killed")
        return task.validate(model)

    parts, ended = tmp_path / "parts", False
    while not ended:
        try:
            train(
                parts, settings, task=task, resume=parts.exists(), validate=dies,
                model=small_model(),
            )  # fmt: skip
            ended = True
        except RuntimeError:
            pass
    assert validations > 6
    assert state_of(parts) == state_of(tmp_path / "whole")
    rates = {line["learning_rate"] for line in RunFolder.open(parts).history()}
    assert len(rates) > 1


class Pressing(Silence):
    """Presses Ctrl-C when batch ``at`` is done, and notes what is said."""

    def __init__(self, at: int, number: int = signal.SIGINT, times: int = 1) -> None:
        self.left = at
        self.number = number
        self.times = times
        self.said: list[str] = []

    def batch(self, info: BatchInfo) -> None:
        self.left -= 1
        if self.left == 0:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


@pytest.mark.thinned(2)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("at", [1, 4, 5, 7])  # of 5 batches in an epoch
def test_ctrl_c_saves_says_how_to_go_on_and_loses_nothing(
    tmp_path: Path, number: int, at: int, whole: tuple[Any, ...]
) -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    pressing = Pressing(at, number)
    path = tmp_path / "parts"
    _, outcome = train(path, options(checkpoint_seconds=1e9), progress=pressing)
    assert outcome.stopped_because == "interrupted"
    # The signal is looked at when the next batch's loss is known, or after the validation.
    epoch, batch = {1: (1, 2), 4: (1, 5), 5: (2, 0), 7: (2, 3)}[at]
    assert pressing.said[-1] == (
        f"Interrupted in epoch {epoch} after batch {batch}. The state is saved in {path}; "
        "repeat the command with --resume to continue."
    )
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    _, outcome = train(path, options(checkpoint_seconds=1e9), resume=True)
    assert outcome.stopped_because == "epochs"
    parts = state_of(path)
    assert parts == whole


def test_another_ctrl_c_ends_at_once_but_an_echo_of_the_first_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds_between = 0.5
    now = [0.0]

    def monotonic() -> float:
        now[0] += seconds_between
        return now[0]

    monkeypatch.setattr(interruption, "time", SimpleNamespace(monotonic=monotonic))
    _, outcome = train(tmp_path, options(), progress=Pressing(2, times=2))
    assert outcome.stopped_because == "interrupted"
    _, outcome = train(
        tmp_path, options(), resume=True, progress=Pressing(1, signal.SIGTERM, times=9)
    )
    assert outcome.stopped_because == "interrupted"
    seconds_between = 2.0
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, options(), resume=True, progress=Pressing(1, times=2))
    _, outcome = train(tmp_path, options(), resume=True)
    assert outcome.stopped_because == "epochs"


def test_an_interrupted_run_can_be_resumed_before_its_first_checkpoint(
    tmp_path: Path, whole: tuple[Any, ...]
) -> None:
    RunFolder.create(tmp_path / "parts", {"job": "small"})  # killed just after this
    train(tmp_path / "parts", options(), resume=True)
    assert state_of(tmp_path / "parts") == whole


def contents(path: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != "lock.json"
    }


@pytest.mark.parametrize("saving", range(8, 16))  # the checkpoint, the best weights, the history
def test_a_full_disk_while_saving_leaves_the_old_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saving: int, whole: tuple[Any, ...]
) -> None:
    before: dict[str, bytes] = {}
    fsync, left = os.fsync, [saving]

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            before.update(contents(tmp_path))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"could not be written \(No space left on device\)"):
        train(tmp_path, options(checkpoint_seconds=0.0))
    after = contents(tmp_path)
    half_written = set(before) - set(after)
    assert len(half_written) == 1
    assert half_written.pop().endswith(".part")
    assert after == {name: before[name] for name in after}
    monkeypatch.undo()
    _, outcome = train(tmp_path, options(checkpoint_seconds=0.0), resume=True)
    assert outcome.stopped_because == "epochs"
    assert state_of(tmp_path) == whole


def test_a_real_limit_of_the_system_is_told_and_survived(
    tmp_path: Path, whole: tuple[Any, ...]
) -> None:
    class Narrowing(Silence):
        """No file may grow over 1 kB from batch 7 on."""

        batches = 0

        def batch(self, info: BatchInfo) -> None:
            self.batches += 1
            if self.batches == 7:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))

    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(RunError, match=r"checkpoint.*could not be written \(File too large\)"):
            train(tmp_path, options(checkpoint_seconds=0.0), progress=Narrowing())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    outcome: TrainingResult
    _, outcome = train(tmp_path, options(checkpoint_seconds=0.0), resume=True)
    assert outcome.stopped_because == "epochs"
    assert state_of(tmp_path) == whole
