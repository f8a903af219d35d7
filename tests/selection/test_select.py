"""A search on the reviews of `elman new`: small trainings, the real optuna, the real folders."""

import csv
import io
import json
import math
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

import elman
from elman.errors import ElmanError, OptionError, RunError
from elman.files import write_whole
from elman.options import with_settings
from elman.selection import RunConfig, Search, default_space, read_space, select
from elman.selection.show import importance, picture, table, time_left
from elman.tasks import TASKS, Data, train
from elman.training import LoopOptions
from elman.training.progress import Silence
from elman.training.run_lock import run_lock

TASK = TASKS["sentiment"]
SPACE = read_space(
    TASK,
    """
    cell = ["gru", "rnn"]
    hidden_size = { low = 2, high = 12, log = true }
    learning_rate = { low = 1e-3, high = 3e-2, log = true }
    """,
    "test",
)
SETTINGS = {"epochs": 2, "embedding_size": 6, "min_count": 1, "bidirectional": False, "phrases": 0}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reviews")
    for name, text in TASK.samples().items():
        write_whole(folder / name, text)
    return Data(folder / "train.csv", folder / "valid.csv")


def rows(search):
    return list(csv.DictReader(io.StringIO(table(search))))


def test_the_best_trial_is_the_best_run_and_a_run_like_any_other(data, tmp_path):
    told = []
    search = select(
        TASK, RunConfig(data, SPACE, SETTINGS, trials=4), tmp_path / "s", tell=told.append
    )
    assert [line.split(":")[0] for line in told] == [f"trial {k}" for k in (1, 2, 3, 4)]
    values = {}
    for row in rows(search):
        run = elman.load(tmp_path / "s" / "trials" / row["folder"])
        assert run.options.cell == row["cell"]
        assert run.options.hidden_size == int(row["hidden_size"])
        assert run.training.learning_rate == float(row["learning_rate"])
        values[run.folder.path.name] = run.evaluate(data.valid)["accuracy"]
        assert float(row["accuracy"]) == pytest.approx(values[run.folder.path.name], abs=1e-6)
    best = elman.load(search.keep_best(told.append))
    assert best.evaluate(data.valid)["accuracy"] == max(values.values())


def test_the_same_command_goes_on_and_does_not_try_more_than_asked(data, tmp_path):
    config = RunConfig(data, SPACE, SETTINGS, trials=2)
    select(TASK, config, tmp_path / "s", tell=str)
    search = select(TASK, replace(config, trials=3), tmp_path / "s", tell=str)
    assert len(search.study.trials) == 3
    told = []
    select(TASK, replace(config, trials=3), tmp_path / "s", tell=told.append)
    assert told == []


def test_the_first_trial_has_the_defaults_as_far_as_they_are_in_the_space(data, tmp_path):
    space = read_space(
        TASK,
        """
        cell = ["rnn", "lstm"]
        hidden_size = { low = 2, high = 12 }
        learning_rate = { low = 1e-3, high = 3e-2, log = true }
        """,
        "test",
    )
    search = select(TASK, RunConfig(data, space, SETTINGS, trials=2), tmp_path / "s", tell=str)
    first, second = search.study.trials
    assert first.params["learning_rate"] == TASK.training.learning_rate
    assert 2 <= first.params["hidden_size"] <= 12 < TASK.Options().hidden_size
    assert second.params["learning_rate"] != TASK.training.learning_rate


@pytest.mark.parametrize("task_name", TASKS)
def test_a_tasks_own_space_holds_its_defaults(task_name):
    space = default_space(TASKS[task_name])
    assert space.defaults(TASKS[task_name]).keys() == space.parts.keys()


def test_the_time_that_is_left_is_no_longer_than_the_hours(data, tmp_path):
    search = select(TASK, RunConfig(data, SPACE, SETTINGS, trials=1), tmp_path / "s", tell=str)
    search.config = replace(search.config, trials=1_000_000)
    search.until = time.time() + 3600
    assert time_left(search) in {"59 min", "60 min"}


def test_a_folder_of_another_search_is_refused(data, tmp_path):
    select(TASK, RunConfig(data, SPACE, SETTINGS, trials=1), tmp_path / "s", tell=str)
    other = RunConfig(data, SPACE.without(["cell"]), SETTINGS, trials=1)
    with pytest.raises(RunError, match="this search was started with space"):
        Search(TASK, other, tmp_path / "s")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("Dear Ada")
    with pytest.raises(RunError, match="holds other files"):
        Search(TASK, other, tmp_path / "full")


def test_a_search_is_overwritten_only_when_asked_and_only_if_nobody_works_in_it(data, tmp_path):
    folder = tmp_path / "s"
    select(TASK, RunConfig(data, SPACE, SETTINGS, trials=1), folder, tell=str).keep_best(str)
    (folder / "notes.txt").write_text("mine")
    other = RunConfig(data, SPACE.without(["cell"]), SETTINGS, trials=1)
    with pytest.raises(RunError, match=r"started with space .* with --overwrite"):
        Search(TASK, other, folder)
    context = multiprocessing.get_context("spawn")
    held, end = context.Event(), context.Event()
    worker = context.Process(target=_hold, args=(folder / "trials" / "0000", held, end))
    worker.start()
    assert held.wait(60)
    with pytest.raises(RunError, match=f"0000: process {worker.pid} on .* trains here"):
        Search(TASK, other, folder, overwrite=True)
    assert (folder / "best" / "model.safetensors").exists()
    end.set()
    worker.join()
    search = Search(TASK, other, folder, overwrite=True)
    assert search.study.trials == []
    assert not (folder / "best").exists()
    assert (folder / "notes.txt").read_text() == "mine"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("Dear Ada")
    with pytest.raises(RunError, match="holds other files"):
        Search(TASK, other, tmp_path / "full", overwrite=True)


def _hold(folder, held, end):
    with run_lock(folder):
        held.set()
        end.wait(60)


def test_a_best_run_that_somebody_trained_further_is_not_lost(data, tmp_path):
    folder = tmp_path / "s"
    search = select(TASK, RunConfig(data, SPACE, SETTINGS, trials=1), folder, tell=str)
    best = search.keep_best(str)
    assert search.keep_best(str) == best
    with pytest.raises(RunError, match="no checkpoint to resume from"):
        train(TASK, data, best, {"epochs": 9}, resume=True)
    train(TASK, data, best, {"epochs": 1, "hidden_size": 3}, overwrite=True, progress=Silence())
    before = (best / "model.safetensors").read_bytes()
    with pytest.raises(RunError, match="best: this was not written by the search"):
        search.keep_best(str)
    assert (best / "model.safetensors").read_bytes() == before
    best.rename(tmp_path / "elsewhere")
    assert elman.load(search.keep_best(str)).options.hidden_size > 0


def test_a_search_knows_the_cells_of_a_file_that_has_changed(data, tmp_path):
    file = tmp_path / "mine.py"
    text = (
        "from elman import cell, tanh\n"
        "@cell(gates='a')\n"
        "def mine(x, h, *, W, b):\n"
        "    return tanh(W.a @ [h, x] + b.a)\n"
    )
    file.write_text(text)
    space = read_space(TASK, f"cell = ['{file}:mine', 'gru']", "test")
    Search(TASK, RunConfig(data, space, SETTINGS, trials=1), tmp_path / "s")
    Search(TASK, RunConfig(data, space, SETTINGS, trials=1), tmp_path / "s")
    file.write_text(text.replace("tanh(", "0.5 * tanh("))
    with pytest.raises(RunError, match="this search was started with cells"):
        Search(TASK, RunConfig(data, space, SETTINGS, trials=1), tmp_path / "s")


def test_folds_part_the_examples_and_the_mean_and_spread_are_theirs(data, tmp_path):
    config = RunConfig(Data(data.train), SPACE, SETTINGS, trials=1, folds=3, seeds=2)
    search = select(TASK, config, tmp_path / "s", tell=str)
    [row] = rows(search)
    runs = [float(value) for value in row["runs"].split()]
    assert len(runs) == 6
    assert float(row["accuracy"]) == pytest.approx(sum(runs) / 6, abs=1e-6)
    assert float(row["spread"]) > 0
    folders = sorted((tmp_path / "s" / "trials" / row["folder"]).glob("fold-*"))
    records = [elman.load(folder).folder.settings()["data"] for folder in folders]
    for seed in (0, 1):
        held = [
            r["valid_examples"]
            for r, f in zip(records, folders, strict=True)
            if f.name.endswith(str(seed))
        ]
        assert sum(held) == records[0]["train_examples"] + records[0]["valid_examples"]
    best = elman.load(search.keep_best(str))
    assert best.folder.settings()["data"]["held_out"] == [0, 10]


def test_examples_of_a_group_are_never_parted(tmp_path):
    file = tmp_path / "twice.csv"
    lines = [f"sentence {k % 20},{'good' if k % 2 else 'bad'}" for k in range(60)]
    file.write_text("text,label\n" + "\n".join(lines))
    examples = TASK.read(file, TASK.Options())
    seen = []
    for part in range(4):
        train, held = TASK.hold_out(examples, part, 4)
        assert not {row.value.text for row in train} & {row.value.text for row in held}
        assert {row.value.label for row in held} == {"good", "bad"}, "labels that take turns"
        seen += [row.value.text for row in held]
    assert sorted(seen) == sorted([row.value.text for row in examples])


def test_a_trial_that_fails_is_written_down_and_the_search_goes_on(data, tmp_path, monkeypatch):
    import elman.selection.search as module

    real = module.train

    def train(task, data, folder, settings, **rest):
        if settings["cell"] == "rnn":
            raise OptionError("this cell is out of order.")
        return real(task, data, folder, settings, **rest)

    monkeypatch.setattr(module, "train", train)
    search = select(TASK, RunConfig(data, SPACE, SETTINGS, trials=6), tmp_path / "s", tell=str)
    found = rows(search)
    assert {(row["cell"], row["state"]) for row in found} == {("rnn", "fail"), ("gru", "complete")}
    assert {row["error"] for row in found if row["cell"] == "rnn"} == {"this cell is out of order."}


def test_a_fault_of_the_data_ends_the_search_with_its_sentence(tmp_path):
    file = tmp_path / "empty.csv"
    file.write_text("text,label\n")
    with pytest.raises(ElmanError, match=r"empty\.csv"):
        select(TASK, RunConfig(Data(file), SPACE, SETTINGS, trials=9), tmp_path / "s", tell=str)


def _select(config, folder):
    select(TASK, config, folder, tell=str)


def test_a_killed_training_goes_on_in_its_folder(data, tmp_path):
    folder = tmp_path / "s"
    endless = {"epochs": 10**6, "patience": 10**6, "schedule": "constant"}
    settings = {**SETTINGS, **endless, "checkpoint_seconds": 0}
    config = RunConfig(data, SPACE, settings, trials=1)
    worker = multiprocessing.get_context("spawn").Process(target=_select, args=(config, folder))
    worker.start()
    checkpoint = folder / "trials" / "0000" / "resume" / "checkpoint.safetensors"
    history = folder / "trials" / "0000" / "history.jsonl"
    end = time.time() + 60
    while time.time() < end and not (
        checkpoint.exists() and history.exists() and history.read_text()
    ):
        time.sleep(0.05)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    done = len(history.read_text().splitlines())
    assert done > 0
    search = Search(TASK, config, folder)
    before = search.study.trials[0].params
    [dead] = search._dead()
    search._requeue(dead)
    again = search._next()
    assert again.user_attrs["folder"] == "0000"
    assert SPACE.suggest(again) == before


@pytest.mark.thorough
def test_a_training_that_goes_badly_is_given_up(data, tmp_path, monkeypatch):
    import elman.selection.search as module

    monkeypatch.setattr(module, "STARTUP_TRIALS", 3)
    space = read_space(TASK, "learning_rate = [1e-9, 0.02]", "test")
    settings = {**SETTINGS, "epochs": 6, "cell": "gru", "hidden_size": 8}
    search = select(TASK, RunConfig(data, space, settings, trials=12), tmp_path / "s", tell=str)
    states = {(row["learning_rate"], row["state"]) for row in rows(search)}
    assert ("1e-09", "pruned") in states
    assert ("0.02", "complete") in states


def test_time_that_is_up_cuts_off_and_a_later_search_goes_on(data, tmp_path):
    endless = {**SETTINGS, "epochs": 10**6, "patience": 10**6, "schedule": "constant"}
    config = RunConfig(data, SPACE, endless, trials=1)
    search = select(TASK, replace(config, hours=1.5 / 3600), tmp_path / "s", tell=str)
    assert [trial.state.name for trial in search.study.trials] == ["FAIL", "WAITING"]
    assert search.study.trials[1].user_attrs["folder"] == "0000"


def test_two_workers_share_a_search(data, tmp_path):
    config = RunConfig(data, SPACE, SETTINGS, trials=5)
    Search(TASK, config, tmp_path / "s")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_select, args=(config, tmp_path / "s")) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    search = Search(TASK, config, tmp_path / "s")
    assert [trial.state.name for trial in search.study.trials] == ["COMPLETE"] * 5


def test_what_mattered_is_found(data, tmp_path):
    text = "learning_rate = { low = 1e-4, high = 1e-2, log = true }\ndropout = { low = 0.0, high = 0.9 }"
    space = read_space(TASK, text, "test")
    search = Search(TASK, RunConfig(data, space, SETTINGS, trials=40), tmp_path / "s")
    assert importance(search) == {}
    for _ in range(40):  # what the trainings would say, without them
        trial = search.study.ask()
        rate = space.suggest(trial)["learning_rate"]
        search.study.tell(trial, -abs(math.log(rate / 2e-3)))
    parts = importance(search)
    assert parts["learning_rate"] > 0.8 > 0.2 > parts["dropout"]
    assert picture(search).startswith(b"\x89PNG")


@pytest.mark.parametrize("task_name", TASKS)
def test_every_option_of_a_default_space_is_one_of_the_job(task_name):
    task = TASKS[task_name]
    for name, part in default_space(task).parts.items():
        tried = part.values if hasattr(part, "values") else (part.low, part.high)
        for value in tried:
            changed = with_settings(with_settings(LoopOptions(), {name: value}), {})
            options = with_settings(task.Options(), {name: value})
            assert getattr(options, name, None) == value or getattr(changed, name) == value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "there is nothing to try"),
        ("hiden_size = [3]", 'did you mean "hidden_size"?'),
        ("hidden_size = []", "hidden_size has no values"),
        ("hidden_size = 3", "hidden_size is 3; give a list of values"),
        ('hidden_size = ["many"]', "hidden_size is 'many'; it must be an integer"),
        ("dropout = { low = 0.5, high = 0.5 }", "low must be below high"),
        ("dropout = { low = 0.0, high = 0.5, log = true }", "with log it must be above 0"),
        ('cell = ["lstn"]', 'cell is "lstn", which is not in the catalogue'),
        ("dropout = ", "this is not TOML"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(text, sentence):
    with pytest.raises(OptionError) as caught:
        read_space(TASK, text, "my.toml")
    assert str(caught.value).startswith("my.toml")
    assert sentence in str(caught.value)


def test_folds_and_validation_data_exclude_each_other(data):
    with pytest.raises(OptionError, match="folds are made from the training data"):
        RunConfig(data, SPACE, folds=5)


def test_the_command_line_searches_and_prints_one_object(data, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = command(
        "select", "sentiment", "--train", data.train, "--valid", data.valid, "--trials", 2,
        "--cells", "gru", "--set", "epochs=1", "--set", "hidden_size=4", "--out", "s", "--json",
    )  # fmt: skip
    assert status == 0, err
    found = json.loads(out)
    assert found["options"]["cell"] == "gru"
    assert "hidden_size" not in found["options"]
    assert found["run"] == str(Path("s") / "best")
    assert {"trials.csv", "search.png", "best"} <= {path.name for path in Path("s").iterdir()}
    status, out, _ = command("select", "ner", "--print-space")
    assert "characters" in out
    status, _, err = command("select", "ner")
    assert status == 1
    assert "--train is missing" in err
