"""A search on a database: a real PostgreSQL server, which the test starts."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from elman.errors import OptionError, RunError
from elman.selection import RunConfig, Search, read_space, select
from elman.selection.storage import one_at_a_time
from elman.tasks import TASKS, Data
from tasks.conftest import samples

TASK = TASKS["sentiment"]
SPACE = read_space(TASK, 'cell = ["rnn", "gru"]\nhidden_size = { low = 2, high = 6 }', "space")
SETTINGS = {"epochs": 1, "embedding_size": 4, "min_count": 1, "bidirectional": False}


def programs():
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    return folders[-1] if folders else found and Path(found).resolve().parent


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The URL of an empty database."""
    pytest.importorskip("pg8000", reason="the extra postgresql is not installed")
    bin = programs()
    if bin is None or not (bin / "initdb").exists():
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = tmp_path_factory.mktemp("postgres")
    who = {}
    if os.getuid() == 0:  # the server refuses to run as root
        who = {"user": "postgres", "group": "postgres"}
        for each in (folder, *list(folder.parents)[:3]):
            if each != Path("/tmp"):
                os.chmod(each, 0o755)
        shutil.chown(folder, "postgres", "postgres")
    data = folder / "data"

    def run(program, *arguments):
        subprocess.run(
            [bin / program, *arguments], check=True, capture_output=True, cwd=folder, **who
        )

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run("initdb", "-D", data, "-U", "elman", "-A", "trust", "--no-sync")
    where = ["-h", "127.0.0.1", "-p", str(port)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [bin / "postgres", "-D", data, "-F", *where, "-k", folder],
            stdout=log, stderr=log, cwd=folder, **who,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while subprocess.run([bin / "pg_isready", *where], capture_output=True).returncode:
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        run("createdb", *where, "-U", "elman", "search")
        yield f"postgresql://elman@127.0.0.1:{port}/search"
    finally:
        server.send_signal(signal.SIGQUIT)  # stops at once; nothing is kept
        server.wait(60)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = samples(tmp_path_factory.mktemp("reviews"), "sentiment")
    return Data(folder / TASK.valid_file, folder / TASK.valid_file)


@pytest.mark.thorough
def test_two_machines_share_a_search_by_a_database_alone(server, data, tmp_path):
    config = RunConfig(data, SPACE, SETTINGS, trials=4, storage=server)
    first = Search(TASK, config, tmp_path / "one")
    trial = first._next()  # this machine is at work on the first trial
    select(
        TASK, RunConfig(data, SPACE, SETTINGS, trials=4, storage=server), tmp_path / "two", tell=str
    )
    assert len(first.finished()) == 3
    assert first._try(trial, float("inf"), str)
    assert first._next() is None
    assert sorted(each.number for each in first.finished()) == [0, 1, 2, 3]
    assert not (tmp_path / "one" / "journal.log").exists()
    runs = [
        sorted(p.name for p in (tmp_path / name / "trials").iterdir()) for name in ("one", "two")
    ]
    assert runs == [["0000"], ["0001", "0002", "0003"]]
    best = first.best().user_attrs["folder"]
    here, there = ("one", "two") if best == "0000" else ("two", "one")
    kept = Search(TASK, config, tmp_path / here).keep_best(str)
    assert json.loads((kept / "best.json").read_text())["value"] == first.best().value
    with pytest.raises(RunError, match=r"the best run, trials/\d+, is on "):
        Search(TASK, config, tmp_path / there).keep_best(str)


@pytest.mark.thorough
def test_another_search_in_the_database_is_another_study(server, data, tmp_path):
    config = RunConfig(data, SPACE, {**SETTINGS, "epochs": 2}, trials=1, storage=server)
    search = select(TASK, config, tmp_path / "s", tell=str)
    assert len(search.study.trials) == 1
    again = Search(TASK, config, tmp_path / "s")
    assert len(again.study.trials) == 1
    anew = Search(TASK, config, tmp_path / "s", overwrite=True)
    assert anew.study.trials == []
    with pytest.raises(RunError, match="this search was started with storage 'postgresql://elman@"):
        Search(TASK, RunConfig(data, SPACE, {**SETTINGS, "epochs": 2}, trials=1), tmp_path / "s")


def test_only_one_worker_chooses_at_a_time(server, data, tmp_path):
    config = RunConfig(data, SPACE, SETTINGS, trials=1, storage=server)
    search = Search(TASK, config, tmp_path / "s")
    inside = threading.Event()

    def enter():
        with one_at_a_time(search.storage, tmp_path / "other", search.name):
            inside.set()

    other = threading.Thread(target=enter)
    with one_at_a_time(search.storage, tmp_path, search.name):
        other.start()
        assert not inside.wait(0.5)
    other.join(30)
    assert inside.is_set()


def test_a_database_that_does_not_answer_is_one_sentence(data, tmp_path):
    pytest.importorskip("pg8000", reason="the extra postgresql is not installed")
    url = "postgresql://ann:secret@127.0.0.1:9/none"
    config = RunConfig(data, SPACE, SETTINGS, trials=1, storage=url)
    with pytest.raises(
        OptionError, match=r"storage: the database postgresql://ann:\*\*\*@127"
    ) as found:
        Search(TASK, config, tmp_path / "s")
    assert "secret" not in str(found.value)
