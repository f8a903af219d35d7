"""Of two processes that want to write into a run folder, one does, and the other is told why not."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from small_task import train

from elman.errors import RunError
from elman.training import run_lock as module
from elman.training.options import LoopOptions
from elman.training.progress import BatchInfo, Silence
from elman.training.run_lock import break_foreign_lock, heartbeat, run_lock, start_time

#: holds the lock of the folder until it is killed
OWNER = """
import signal, sys, time
from pathlib import Path
from elman.training.run_lock import run_lock
# a shell that runs the tests in the background has its children ignore Ctrl-C
signal.signal(signal.SIGINT, signal.default_int_handler)
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def owner_of(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "held\n"
    return owner


def record(**changes: object) -> str:
    return json.dumps({**module._this_process(), "since": "2026-01-01 12:00:00", **changes})


def test_a_second_process_is_told_who_trains_and_the_lock_of_a_killed_one_is_taken(
    tmp_path: Path,
) -> None:
    owner = owner_of(tmp_path)
    try:
        with pytest.raises(RunError) as caught, run_lock(tmp_path):
            pass
        assert f"{tmp_path}: process {owner.pid} on " in str(caught.value)
        assert "trains here; wait until it has finished, or choose another folder." in str(
            caught.value
        )
        with pytest.raises(RunError, match=f"process {owner.pid} on"):
            train(tmp_path, LoopOptions(epochs=1, threads=1))
        assert [path.name for path in tmp_path.iterdir()] == ["lock.json", "run.toml"]
    finally:
        owner.kill()
    # not yet waited for: a zombie has its number still
    while start_time(owner.pid) != "dead":
        time.sleep(0.01)
    with run_lock(tmp_path):
        assert json.loads((tmp_path / "lock.json").read_text())["pid"] == os.getpid()
    owner.communicate()
    assert not (tmp_path / "lock.json").exists()


def test_training_holds_the_lock_and_gives_it_back(tmp_path: Path) -> None:
    class Looking(Silence):
        seen = False

        def batch(self, info: BatchInfo) -> None:
            self.seen = (tmp_path / "lock.json").exists()

    looking = Looking()
    train(tmp_path, LoopOptions(epochs=1, threads=1), progress=looking)
    assert looking.seen
    assert not (tmp_path / "lock.json").exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"pid": ',
        "[" * 50_000,
        "[]",
        record(pid="1"),
        record(pid=-1),
        record(pid=10**30),
        record(began="0", pid=os.getppid()),  # another process has the number of one that is gone
        record(boot="before the machine was started anew", pid=os.getppid()),
    ],
)
def test_the_lock_of_a_process_that_is_gone_is_taken_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "lock.json").write_text(content)
    with run_lock(tmp_path):
        assert json.loads((tmp_path / "lock.json").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "lock.json").exists()


def test_another_machine_has_the_lock_while_it_gives_signs_of_life(tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    lock.write_text(record(host="elsewhere", pid=7))
    with (
        pytest.raises(RunError, match=r"process 7 on elsewhere \(since 2026-01-01"),
        run_lock(tmp_path),
    ):
        pass
    an_hour_ago = time.time() - module.SILENT_SECONDS - 1
    os.utime(lock, (an_hour_ago, an_hour_ago))
    with run_lock(tmp_path):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
    lock.write_text(record(host="elsewhere"))
    break_foreign_lock(tmp_path)
    assert not lock.exists()
    lock.write_text(record())
    break_foreign_lock(tmp_path)
    assert lock.exists()


def test_a_heartbeat_is_the_modification_time_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat(tmp_path)  # no lock, no heartbeat
    with run_lock(tmp_path):
        lock = tmp_path / "lock.json"
        os.utime(lock, (1, 1))
        heartbeat(tmp_path)
        assert lock.stat().st_mtime == 1
        monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.0)
        heartbeat(tmp_path)
        assert lock.stat().st_mtime > 1


def test_a_thread_may_take_its_lock_again_and_another_may_not(tmp_path: Path) -> None:
    refusals: list[str] = []

    def other() -> None:
        try:
            with run_lock(tmp_path):
                pass
        except RunError as error:
            refusals.append(str(error))

    with run_lock(tmp_path):
        with run_lock(tmp_path):
            pass
        assert (tmp_path / "lock.json").exists()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert refusals == [
        f"{tmp_path}: another thread of this process trains here; wait until it has finished, or choose "
        "another folder."
    ]
    assert not (tmp_path / "lock.json").exists()


def test_a_forked_child_does_not_have_its_parents_lock(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        child = os.fork()
        if child == 0:
            try:
                with run_lock(tmp_path):
                    os._exit(1)
            except RunError:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert (tmp_path / "lock.json").exists()


def _count(folder: Path, times: int) -> None:
    for _ in range(times):
        with run_lock(folder, wait=True):
            counter = folder / "counter"
            counter.write_text(str(int(counter.read_text()) + 1))


def test_of_many_that_want_a_stale_lock_one_has_it_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    (tmp_path / "lock.json").write_text(record(began="0", pid=os.getppid()))
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_count, args=(tmp_path, 5)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert (tmp_path / "counter").read_text() == "20"


def test_folders_that_were_made_for_nothing_are_removed(tmp_path: Path) -> None:
    with run_lock(tmp_path / "a" / "b"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunError, match="file/run: nothing can be written there"),
        run_lock(tmp_path / "file" / "run"),
    ):
        pass


def test_ctrl_c_gives_the_lock_back(tmp_path: Path) -> None:
    owner = owner_of(tmp_path)
    owner.send_signal(signal.SIGINT)
    owner.communicate()
    assert not (tmp_path / "lock.json").exists()
