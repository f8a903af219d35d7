"""A path that no file can have, or that leads to no file, is a sentence in every task and command."""

import os
import signal
import socket
import subprocess
import sys
from functools import cache

import pytest

import elman
import elman.shipped
from elman.errors import DataError
from elman.tasks import TASKS

#: the models that ship, each loaded once
load = cache(elman.load)
GUARD_SECONDS = 60  # opening a pipe that nobody writes to would take for ever


@pytest.fixture(autouse=True)
def guarded():
    def stop(number, frame):
        raise AssertionError("it waits for ever")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(GUARD_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipe(folder):
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def pipe_with_suffix(folder):
    os.mkfifo(folder / "a.csv")
    return folder / "a.csv"


def plug(folder):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
    return folder / "s"


def circle(folder):
    (folder / "circle").symlink_to("circle")
    return folder / "circle"


def folder_of_pipes(folder):
    (folder / "all" / "label").mkdir(parents=True)
    os.mkfifo(folder / "all" / "label" / "a.txt")
    os.mkfifo(folder / "all" / "metadata.csv")
    return folder / "all"


PATHS = {
    "nothing": lambda folder: folder / "nothing",
    "a long name": lambda folder: folder / ("a" * 300),
    "a long path": lambda folder: folder.joinpath(*["b" * 200] * 30, "a.csv"),
    "a zero byte": lambda folder: folder / "a\0.csv",
    "a pipe": pipe,
    "a pipe called .csv": pipe_with_suffix,
    "a socket": plug,
    "a link to itself": circle,
    "below a file": lambda folder: (folder / "file").write_text("x") and folder / "file" / "a.csv",
    "an empty folder": lambda folder: (folder / "empty").mkdir() or folder / "empty",
    "a folder of pipes": folder_of_pipes,
}


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("job", TASKS)
def test_each_task_says_what_is_wrong_with_a_path(job, kind, tmp_path):
    task, path = TASKS[job], PATHS[kind](tmp_path)
    options = task.Options()
    [problem] = task.check(path, options).problems
    with pytest.raises(DataError) as caught:
        task.read(path, options)
    assert str(caught.value) == problem
    assert problem.startswith(str(tmp_path))
    assert "\n" not in problem
    if task.input_kind != "nothing" and job in elman.shipped.models():
        with pytest.raises(DataError) as caught:
            load(job).predict_file(path)
        assert str(caught.value).startswith(str(tmp_path))
        assert "\n" not in str(caught.value)


def test_the_folder_that_one_is_in_is_no_table_of_pairs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = TASKS["translation"].check(tmp_path.relative_to(tmp_path), None)
    assert "this is a folder" in report.problems[0]


COMMANDS = {
    "train": ("train", "sentiment", "--train", "{}", "--out", "run"),
    "valid": ("train", "sentiment", "--train", "a.csv", "--valid", "{}", "--out", "run"),
    "out": ("train", "sentiment", "--train", "a.csv", "--out", "{}"),
    "run file": ("train", "sentiment", "--run-file", "{}"),
    "cell": ("train", "sentiment", "--train", "a.csv", "--cell", "{}:mine", "--out", "run"),
    "vectors": (
        "train",
        "sentiment",
        "--train",
        "a.csv",
        "--valid",
        "a.csv",
        "--vectors",
        "{}",
        "--out",
        "run",
    ),
    "init": ("train", "sentiment", "--train", "a.csv", "--init-from", "{}", "--out", "run"),
    "space": ("select", "sentiment", "--train", "a.csv", "--space", "{}", "--out", "run"),
    "search": ("select", "sentiment", "--train", "a.csv", "--out", "{}"),
    "evaluate": ("evaluate", "{}", "a.csv"),
    "evaluate data": ("evaluate", "sentiment", "{}"),
    "predict": ("predict", "{}", "x"),
    "against": ("check", "sentiment", "a.csv", "--against", "{}"),
    "new": ("new", "sentiment", "{}"),
    "import": ("import", "{}", "--out", "x"),
    "export": ("export", "{}", "--to", "c"),
    "export to": ("export", "sentiment", "--to", "onnx", "--out", "{}"),
    "diagnose": ("diagnose", "{}", "a.csv"),
    "plot": ("diagnose", "--cell", "gru", "--steps", "4", "--plot", "{}"),
}


@pytest.mark.parametrize("name", ["a" * 300 + ".py", "/".join(["b" * 200] * 30) + "/c.onnx"])
@pytest.mark.parametrize("case", COMMANDS)
def test_each_command_says_what_is_wrong_with_a_name_that_is_too_long(
    case, name, command, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("text,label\ngood film,good\nbad film,bad\n" * 3)
    status, out, err = command(*[each.format(name) for each in COMMANDS[case]])
    assert status == 1, out
    assert err.startswith("elman: ")
    assert err.count("\n") == 1
    assert name[:40] in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def mine(x, h)\n", "mine.py, line 1: SyntaxError: expected ':'; correct"),
        ("\n1 / 0\n", "mine.py, line 2: ZeroDivisionError: division by zero; correct"),
        ("import no_such_package\n", "mine.py, line 1: ModuleNotFoundError: No module named"),
    ],
)
def test_a_mistake_in_the_file_of_a_cell_is_a_sentence(text, said, command, tmp_path):
    (tmp_path / "a.csv").write_text("text,label\ngood film,good\nbad film,bad\n" * 3)
    (tmp_path / "mine.py").write_text(text)
    status, _, err = command(
        "train", "sentiment", "--train", tmp_path / "a.csv", "--cell", tmp_path / "mine.py:mine",
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert status == 1
    assert said in err
    assert err.count("\n") == 1


def test_a_full_disk_behind_the_output_is_a_sentence(tmp_path):
    for arguments in (["check", "sentiment", str(tmp_path)], ["cells"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "elman.cli", *arguments], stdout=full,
                stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr == "elman: No space left on device.\n"
