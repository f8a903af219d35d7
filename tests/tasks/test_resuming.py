"""Nothing that was trained is lost, and a run goes on as what it was begun as."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import elman
from elman.cli import train as train_command
from elman.errors import OptionError, RunError
from elman.tasks import TASKS, Data, train
from elman.tasks.run_file import RunConfig
from elman.training import RunFolder
from elman.training.progress import Silence
from elman.training.weights import read_tensors
from tasks.conftest import SMALL, needs, samples

TASK = TASKS["sentiment"]
ONE_EPOCH = {**SMALL, "epochs": 1}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture
def begun(tmp_path, trained):
    """A copy of a trained run, and its data."""
    shutil.copytree(trained["sentiment"], tmp_path / "run")
    folder = trained["sentiment"].parent
    return tmp_path / "run", Data(folder / TASK.train_file, folder / TASK.valid_file)


def test_resuming_a_model_without_a_checkpoint_is_refused_and_nothing_is_lost(begun, command):
    run, data = begun
    shutil.rmtree(run / "resume")
    before = contents(run)
    status, _, err = command("train", "sentiment", "--train", data.train, "--out", run, "--resume")
    assert status == 1
    assert f"{run}: this folder holds a trained model, but no checkpoint to resume from (res" in err
    assert f"start a run in another folder with --init-from {run}." in err
    (run / "run.toml").unlink()  # and without it
    del before["run.toml"]
    status, _, err = command("train", "sentiment", "--train", data.train, "--out", run, "--resume")
    assert status == 1
    assert "this folder already holds a trained model, which is left untouched" in err
    (run / "model.safetensors").unlink()  # and of the weights only the history is left
    del before["model.safetensors"]
    with pytest.raises(RunError, match="left untouched"):
        train(TASK, data, run, ONE_EPOCH, progress=Silence())
    assert contents(run) == before


def test_overwrite_removes_the_run_and_nothing_else(begun, command):
    run, data = begun
    (run / "notes.txt").write_text("mine")
    (run / "resume" / "notes.txt").write_text("mine too")
    before = contents(run)
    arguments = ("train", "sentiment", "--train", data.train, "--out", run, "--epochs", 1)
    sizes = ("--hidden-size", 4, "--threads", 1)
    assert command(*arguments, *sizes)[0] == 1
    status, _, err = command(*arguments, "--overwrite", "--resume")
    assert status == 1
    assert "resume continues a run and overwrite removes it" in err
    status, _, err = command(*arguments, "--overwrite", "--cell", "lstn")
    assert status == 1, "what is wrong with the new run is found while the old one is there"
    assert command(*arguments, "--overwrite", "--start", "sentiment", "--hidden-size", 3)[0] == 1
    wrong = ("train", "sentiment", "--train", data.train.parent / "absent.csv", "--out", run)
    assert command(*wrong, "--overwrite")[0] == 1
    assert contents(run) == before
    status, _, err = command(*arguments, *sizes, "--overwrite")
    assert status == 0, err
    assert elman.load(run).options.hidden_size == 4
    assert elman.load(run).folder.history()[-1]["epoch"] == 1
    assert (run / "notes.txt").read_text() == "mine"
    assert (run / "resume" / "notes.txt").read_text() == "mine too"
    status, _, err = command(*arguments[:4], "--overwrite")
    assert status == 1
    assert "--out is missing; --overwrite needs the folder" in err


def write_cell(file: Path, product: str = "1 - f") -> None:
    file.write_text(
        "from pathlib import Path\n"
        f"Path({str(file.parent / 'ran')!r}).touch()\n"
        "from elman import cell, sigmoid, tanh\n"
        "@cell(gates='f g')\n"
        "def mine(x, h, *, W, b):\n"
        "    f = sigmoid(W.f @ [h, x] + b.f)\n"
        "    g = tanh(W.g @ [h, x] + b.g)\n"
        f"    return ({product}) * h + f * g\n"
    )


def test_a_resumed_run_takes_its_own_cell_and_runs_no_code(tmp_path, command):
    folder, run, file = samples(tmp_path, "sentiment"), tmp_path / "run", tmp_path / "mine.py"
    write_cell(file)
    arguments = ("train", "sentiment", "--train", folder / "train.csv", "--out", run)
    flags = ("--hidden-size", 4, "--threads", 1, "--cell", f"{file}:mine")
    status, _, err = command(*arguments, *flags, "--epochs", 1)
    assert status == 0, err
    own, text = elman.load(run).cell, (run / "cell.json").read_text()
    (tmp_path / "ran").unlink()
    write_cell(file, "0.5 - f")
    status, _, err = command(*arguments, *flags, "--epochs", 2, "--resume")
    assert status == 0, err
    assert "epoch 2 of 2" in err
    assert elman.load(run).cell == own
    assert (run / "cell.json").read_text() == text
    file.unlink()
    status, _, err = command(*arguments, "--epochs", 3, "--resume")
    assert status == 0, err
    write_cell(tmp_path / "other.py")
    for other in (f"{tmp_path / 'other.py'}:mine", "lstm"):
        status, _, err = command(*arguments, "--epochs", 4, "--resume", "--cell", other)
        assert status == 1
        assert f"this run was started with cell '{file}:mine', and resuming cannot change it" in err
    assert not (tmp_path / "ran").exists(), "the file was run"


def test_symbols_that_are_not_the_runs_own_are_refused(begun):
    run, data = begun
    symbols = (run / "symbols.json").read_text()
    (run / "symbols.json").write_text(symbols.replace("negative", "rotten"))
    with pytest.raises(RunError, match=r"symbols\.json: the file does not match the data and opt"):
        train(TASK, data, run, {"epochs": 13}, resume=True, progress=Silence())


def test_resuming_needs_no_more_than_the_folder(tmp_path, command, monkeypatch):
    """Relative paths are seen from where the run was begun, vectors and a start too."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    samples(Path("d"), "sentiment")
    Path("words.txt").write_text("film 1 2 3 4\ngood 3 4 5 6\n")
    flags = ("--hidden-size", 4, "--embedding-size", 4, "--threads", 1)
    arguments = ("train", "sentiment", "--train", "d/train.csv", "--valid", "d/valid.csv")
    status, _, err = command(*arguments, *flags, "--epochs", 1, "--vectors", "words.txt",
                             "--out", "first")  # fmt: skip
    assert status == 0, err
    status, _, err = command(*arguments, "--init-from", "first", "--epochs", 1, "--out", "second")
    assert status == 0, err
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    for run in ("first", "second"):
        again = ("train", "sentiment", "--resume", "--out", f"../here/{run}", "--epochs", 2)
        status, _, err = command(*again)
        assert status == 0, err
        assert "epoch 2 of 2" in err
    status, _, err = command("train", "ner", "--resume", "--out", "../here/second")
    assert status == 1
    assert "this is a run of the task 'sentiment', not of ner." in err
    (tmp_path / "here" / "d" / "valid.csv").unlink()
    status, _, err = command(*again)
    assert status == 1
    assert (
        "../here/second: the data of this run are missing (d/valid.csv); name them with --valid."
        in err
    )
    status, _, err = command("train", "sentiment", "--resume", "--out", "nothing")
    assert status == 1
    assert "nothing: there is no run to resume" in err
    assert "or start one with --train." in err


@needs("translation")
def test_a_run_of_two_files_with_a_comma_is_resumed_from_elsewhere(tmp_path, command, monkeypatch):
    folder = samples(tmp_path / "d", "translation")
    rows = [line.split("\t") for line in (folder / "train.tsv").read_text().splitlines()]
    for k, name in enumerate(("a.fr", "a.en")):
        (folder / name).write_text("\n".join([row[k] for row in rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    flags = ("--hidden-size", 4, "--embedding-size", 4, "--threads", 1, "--out", "run")
    status, _, err = command(
        "train", "translation", "--train", "d/a.fr,d/a.en", "--epochs", 1, *flags
    )
    assert status == 0, err
    monkeypatch.chdir(tmp_path / "d")
    status, _, err = command("train", "translation", "--resume", "--out", "../run", "--epochs", 2)
    assert status == 0, err
    assert "epoch 2 of 2" in err


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_with_resume(begun):
    run, data = begun
    shutil.rmtree(run / "resume")
    (run / "model.safetensors").unlink()
    (run / "history.jsonl").write_text("")
    train(TASK, data, run, {}, resume=True, progress=Silence())
    assert elman.load(run).folder.history()


def test_a_second_process_is_refused_before_it_reads_its_data(begun, tmp_path):
    run, data = begun
    program = (
        "import sys, time\nfrom pathlib import Path\n"
        "from elman.training.run_lock import run_lock\n"
        "with run_lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    owner = subprocess.Popen(
        [sys.executable, "-c", program, run], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert owner.stdout.readline() == "held\n"
        nowhere = Data(tmp_path / "absent.csv")
        for how in ({"resume": True}, {"overwrite": True}, {}):
            with pytest.raises(RunError, match=f"{run}: process {owner.pid} on .* trains here"):
                train(TASK, nowhere, run, {}, progress=Silence(), **how)
    finally:
        owner.kill()
        owner.communicate()
    train(TASK, data, run, {"epochs": 13}, resume=True, progress=Silence())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (os.fsdecode(b"run-\xff"), "the name is not UTF-8 text"),
        ("x" * 300, "the name is longer than 255 bytes"),
        ("a\0b", "the name holds a zero byte"),
    ],
)
def test_a_folder_that_could_not_be_loaded_is_refused_before_training(
    begun, tmp_path, name, sentence
):
    with pytest.raises(RunError, match=sentence):
        train(TASK, begun[1], tmp_path / name, ONE_EPOCH, progress=Silence())
    with pytest.raises(RunError, match=sentence):
        elman.load(tmp_path / name)
    with pytest.raises(RunError, match=sentence):
        RunFolder.create(tmp_path / name, {})
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_resumed_run_has_the_weights_of_one_that_never_stopped(begun, tmp_path):
    run, data = begun
    train(TASK, data, run, {"epochs": 14}, resume=True, progress=Silence())
    train(TASK, data, tmp_path / "whole", {**SMALL, "epochs": 14}, progress=Silence())
    tensors, _ = read_tensors(run / "resume" / "checkpoint.safetensors")
    whole, _ = read_tensors(tmp_path / "whole" / "resume" / "checkpoint.safetensors")
    assert tensors.keys() == whole.keys()
    assert all(tensors[name].equal(whole[name]) for name in whole)


def test_options_that_are_not_there_are_still_told(begun):
    with pytest.raises(OptionError, match="epoch"):
        train(TASK, begun[1], begun[0], {"epoch": 3}, resume=True)


def test_the_first_sentence_of_resuming_from_a_copy_says_where_the_run_comes_from(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    url, task = "memory://runs/told", TASKS["sentiment"]
    config = RunConfig(out=Path("b"), settings={"copy_to": url})

    def data():
        train_command._fetch(task, config, Path("b"))
        return train_command._data(config, Path("b"), True)

    with pytest.raises(OptionError) as refused:
        data()
    assert str(refused.value) == (
        f"b: there is no run to resume, and no copy of one at {url}; name the folder of a run "
        "with --out, or start one with --train."
    )
    folder = samples(tmp_path, "sentiment")
    given = Data(folder / "train.csv", folder / "valid.csv")
    train(task, given, tmp_path / "a", {"epochs": 1, "hidden_size": 4, "copy_to": url})
    capsys.readouterr()
    assert data().train == given.train
    assert capsys.readouterr().err == f"b: fetched the run that was copied to {url}.\n"
