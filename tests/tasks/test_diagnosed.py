"""`elman diagnose`: trained models of every task, and cells by name."""

import json

import pytest

from elman.options import with_settings
from elman.tasks import TASKS
from elman.tasks.diagnosed import diagnose_run
from elman.tasks.train import find_cell
from elman.tasks.trained import Trained
from tasks.conftest import samples
from tasks.test_bad_input import fails


@pytest.mark.parametrize("task_name", ["sentiment", "ner"])
def test_a_trained_model_is_diagnosed_on_data(task_name, trained, command, tmp_path):
    run = trained[task_name]
    data = run.parent / TASKS[task_name].valid_file
    status, out, _ = command("diagnose", run, data, "--plot", tmp_path / "p.png", "--examples", 4)
    assert status == 0
    assert "encoder forward" in out
    assert "The gradient of encoder reverse" in out
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"
    status, out, _ = command("diagnose", run, data, "--json", "--exact", 0, "--distance", 5)
    layers = json.loads(out)["layers"]
    assert {"encoder forward", "encoder reverse"} <= set(layers)
    assert len(layers["encoder forward"]["gradient"]) == 6
    # the characters' layers of the tagger are found too
    assert any("characters" in name for name in layers) == (task_name == "ner")


def test_cells_are_diagnosed_by_name(command, tmp_path):
    (tmp_path / "own.py").write_text(
        "from elman import cell, tanh\n\n@cell(gates='a')\ndef mine(x, h, *, W):\n"
        "    h = tanh(W.a @ [h, x])\n    return h\n"
    )
    status, out, _ = command(
        "diagnose", "--cell", "gru", "--cell", f"{tmp_path}/own.py:mine", "--steps", 12,
        "--hidden-size", 8, "--examples", 2,
    )  # fmt: skip
    assert status == 0
    assert "The gradient of gru" in out
    assert "The gradient of mine" in out


def test_mistakes_are_sentences(trained, command, tmp_path):
    run = trained["sentiment"]
    assert "DATA is missing" in fails(command, "diagnose", run)
    assert "no such run" in fails(command, "diagnose", "nowhere", "x.csv")
    assert "not in the catalogue" in fails(command, "diagnose", "--cell", "lstn")
    assert "give a trained model with its data, or cells" in fails(
        command, "diagnose", run, "x.csv", "--cell", "gru"
    )
    assert "x.csv" in fails(command, "diagnose", run, tmp_path / "x.csv")


def test_cells_are_trained_side_by_side_on_a_problem(command, tmp_path):
    arguments = ("diagnose", "--tasks", "--problem", "copying-20", "--updates", 2, "--workers", 1,
                 "--out", tmp_path / "kept")  # fmt: skip
    status, out, err = command(*arguments, "--plot", tmp_path / "p.png")
    assert status == 0
    assert "rnn: solves 0 of 1 problems." in out
    assert "5 of 5: copying-20, gru, chrono: not solved" in err
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"
    status, out, err = command(*arguments, "--json")
    assert err == ""  # nothing was trained again
    assert len(json.loads(out)["trainings"]) == 5
    assert "omit RUN and --cell" in fails(command, "diagnose", "--tasks", "--cell", "gru")
    assert 'unknown problem "x"; choose from' in fails(
        command, "diagnose", "--tasks", "--problem", "x"
    )


@pytest.mark.parametrize("task_name", TASKS)
def test_models_of_every_task_are_diagnosed_on_their_samples(task_name, tmp_path):
    task = TASKS[task_name]
    folder = samples(tmp_path, task_name)
    rows = task.read(folder / task.train_file, task.Options())
    options = with_settings(task.Options(), {"hidden_size": 8, "min_count": 1})
    examples = task.cut([row.value for row in rows], options.longest)
    learned = task.build_vocab(examples, options, 0)
    model = task.build(options, find_cell(options.cell), learned)
    run = Trained(
        task_name, task, options, task.training, None, learned.symbols, model.eval(), None
    )
    found = diagnose_run(run, folder / task.valid_file, examples=2, distance=6, exact=0)
    assert found
    for each in found.values():
        assert each.distance >= 1
        assert (each.median()[:2] > 0).all()
