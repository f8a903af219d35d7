"""``--log``: validations in TensorBoard's event files and in MLflow."""

import json
import sys

import pytest

from elman.errors import OptionError
from elman.training import LoopOptions
from elman.training.loggers import check_logger

TRAIN = ("--train", "d/train.csv", "--valid", "d/valid.csv", "--hidden-size", "8", "--threads", "1")


@pytest.fixture
def train(command, tmp_path, monkeypatch):
    """Train a small model into ``run`` with more arguments."""
    monkeypatch.chdir(tmp_path)
    assert command("new", "sentiment", "d")[0] == 0

    def run(*arguments):
        status, _, err = command("train", "sentiment", *TRAIN, "--out", "run", *arguments)
        assert status == 0, err
        history = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
        return [json.loads(line) for line in history]

    return run


def events(folder, name):
    """(step, value) of a scalar in the event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return [(each.step, each.value) for each in found.Scalars(name)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_event_files_hold_what_history_does(train, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    train("--log", "tensorboard", "--epochs", "1")
    history = train("--log", "tensorboard", "--epochs", "3", "--resume")
    for name, key in (("valid/accuracy", "accuracy"), ("valid/loss", "loss")):
        expected = [(line["step"], pytest.approx(line["valid"][key])) for line in history]
        assert events(tmp_path / "run" / "tensorboard", name) == expected
    assert len(events(tmp_path / "run" / "tensorboard", "train/loss")) == 3
    history = train("--log", "tensorboard", "--epochs", "1", "--overwrite")
    assert len(events(tmp_path / "run" / "tensorboard", "train/loss")) == 1


class FakeMlflow:
    """The functions of MLflow that are used, in place of a server."""

    def __init__(self):
        self.runs, self.current = {}, None

    def start_run(self, *, run_id, run_name):
        self.current = run_id or f"id{len(self.runs)}"
        self.runs.setdefault(self.current, {"name": run_name, "metrics": []})

        class Info:
            info = type("Info", (), {"run_id": self.current})

        return Info

    def log_params(self, params):
        self.runs[self.current]["params"] = params

    def log_metrics(self, metrics, *, step):
        self.runs[self.current]["metrics"].append((step, metrics))

    def end_run(self):
        self.current = None


def test_mlflow_gets_options_and_validations_in_one_run(train, monkeypatch):
    fake = FakeMlflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    train("--log", "mlflow", "--epochs", "1")
    history = train("--log", "mlflow", "--epochs", "2", "--resume")
    (run,) = fake.runs.values()
    assert run["name"] == "run"
    assert run["params"]["epochs"] == 1
    assert [step for step, _ in run["metrics"]] == [line["step"] for line in history]
    assert run["metrics"][-1][1]["valid/accuracy"] == history[-1]["valid"]["accuracy"]
    assert fake.current is None


@pytest.mark.slow
def test_mlflow_s_own_library_takes_what_is_logged(train, tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="mlflow is large and not installed for the tests")
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    history = train("--log", "mlflow", "--epochs", "2")
    (run,) = mlflow.search_runs(output_format="list")
    assert run.data.metrics["valid/accuracy"] == history[-1]["valid"]["accuracy"]


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_library_is_a_sentence_before_anything_is_written(
    name, command, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(OptionError, match=rf"--log {name} needs {name}, which .*elman\[{name}\]"):
        check_logger(LoopOptions(log=name))
    command("new", "sentiment", "d")
    status, _, err = command("train", "sentiment", *TRAIN, "--out", "run", "--log", name)
    assert (status, f"pip install 'elman[{name}]'" in err) == (1, True)
    assert not (tmp_path / "run").exists()
