"""``elman export`` as a user calls it."""

import json
import shutil

import onnx
import pytest
import torch

import elman
from elman.export.c_source import check
from elman.export.importing.layer_file import save_layer
from elman.tasks import TASKS
from tasks.conftest import needs


@pytest.fixture
def music(command, tmp_path, monkeypatch):
    """A small model of frames whose pitches are independent, which has a step."""
    if "music" not in TASKS:
        pytest.skip("takes music as its example")
    monkeypatch.chdir(tmp_path)
    assert command("new", "music", "d")[0] == 0
    status, _, err = command(
        "train", "music", "--train", "d/train.json", "--out", "tunes", "--epochs", "1",
        "--prediction", "independent", "--hidden-size", "12",
    )  # fmt: skip
    assert status == 0, err
    return tmp_path / "tunes"


def test_a_run_becomes_a_file_and_its_header(music, command, tmp_path):
    status, out, err = command("export", music, "--to", "c", "--out", tmp_path / "c", "--json")
    assert status == 0, err
    said = json.loads(out)
    assert [*map(str, sorted((tmp_path / "c").iterdir()))] == said["files"]
    assert said["files"] == [str(tmp_path / "c" / f"tunes.{end}") for end in "ch"]
    if check.compiler() is not None:
        assert said["difference"] <= 1e-5


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_int8_and_the_sentence(music, command):
    status, out, _ = command("export", music, "--to", "c", "--quantize", "int8")
    assert status == 0
    assert out.startswith(
        "wrote tunes.c and tunes.h; largest difference from Elman over 256 random"
    )


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("sentiment", "--to", "c"), 1, "elman: Classifier: it reads in both directions"),
        (("sentiment", "--to", "onnx", "--step"), 1, "this model has no step, since its output"),
        (("nowhere", "--to", "c"), 1, "nowhere"),
        (("sentiment", "--to", "fortran"), 2, "fortran"),
    ],
)
def test_what_cannot_be_exported_is_a_sentence(
    arguments, status, sentence, command, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    found, out, err = command("export", *arguments)
    assert (found, out) == (status, "")
    assert sentence in err
    assert list(tmp_path.iterdir()) == []


# ONNX


@pytest.fixture
def layer(tmp_path):
    torch.manual_seed(0)
    save_layer(elman.Recurrent(elman.cells.gru, 3, 4), tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


def test_every_form_of_a_layer_becomes_a_file(layer, command, tmp_path):
    arguments = ("export", layer, "--to", "onnx", "--out", tmp_path / "d", "--opset", "19")
    status, out, err = command(*arguments, "--json")
    assert status == 0, err
    said = json.loads(out)
    assert said["files"] == [str(tmp_path / "d" / f) for f in ("mine.onnx", "mine.step.onnx")]
    assert said["difference"] < 1e-5
    assert onnx.load(tmp_path / "d" / "mine.step.onnx").opset_import[0].version == 19


def test_one_form_and_int8_where_they_are_asked_for(layer, command, tmp_path):
    arguments = ("export", layer, "--to", "onnx", "--out", tmp_path / "d")
    status, out, _ = command(*arguments, "--step", "--quantize", "int8")
    assert status == 0
    file = tmp_path / "d" / "mine.step.onnx"
    assert out.startswith(f"wrote {file}; largest difference from Elman over random steps")
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["mine.step.onnx"]
    assert command(*arguments, "--sequence")[0] == 0
    assert (tmp_path / "d" / "mine.onnx").exists()


@pytest.mark.slow
def test_a_trained_model_s_file_knows_its_task_and_symbols(command, tmp_path):
    status, _, err = command("export", "sentiment", "--to", "onnx", "--out", tmp_path)
    assert status == 0, err
    model = onnx.load(tmp_path / "sentiment.onnx")
    said = {entry.key: entry.value for entry in model.metadata_props}
    trained = elman.load("sentiment")
    assert said["elman.task"] == "sentiment"
    assert said["elman.symbols"] == trained.symbols.to_json()
    assert json.loads(said["elman.options"])["hidden_size"] == trained.options.hidden_size
    assert elman.graph.read_cell(said["elman.cell_graph"]) == trained.cell


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "files"),
    [
        pytest.param("dna", ["dna.onnx"], marks=needs("dna")),
        pytest.param("video", ["video.onnx", "video.step.onnx"], marks=needs("video")),
    ],
)
def test_models_that_are_one_task_s_own_are_exported(name, files, command, tmp_path):
    status, out, err = command("export", name, "--to", "onnx", "--out", tmp_path, "--json")
    assert status == 0, err
    assert json.loads(out)["files"] == [str(tmp_path / file) for file in files]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--to", "onnx", "--step", "--sequence"), "--step and --sequence exclude each other"),
        (("--to", "onnx", "--opset", "3"), "opset is 3; it must be an integer from 17"),
        (("--to", "onnx", "--valid", "d.csv"), "--valid is for trained models as ONNX files"),
        (("--to", "c", "--sequence"), "C code computes one time step; omit --sequence and --opset"),
    ],
)
def test_options_that_cannot_be_are_a_sentence(arguments, sentence, layer, command, tmp_path):
    status, _, said = command("export", layer, "--out", tmp_path / "d", *arguments)
    assert (status, sentence in said) == (1, True)
    assert not (tmp_path / "d").exists()


@pytest.mark.slow
def test_what_int8_costs_is_measured_on_data(command, tmp_path):
    data = tmp_path / "films.csv"
    data.write_text(
        "text,label\na warm and funny film,positive\ndull and far too long,negative\n"
        "a masterpiece,positive\nthere is nothing to like,negative\n"
    )
    arguments = ("export", "sentiment", "--to", "onnx", "--quantize", "int8", "--valid", data)
    status, out, err = command(*arguments, "--out", tmp_path / "d")
    assert status == 0, err
    assert f"accuracy on {data}: 1.0000, exported 1.0000 (+0.0000)" in out
    status, out, err = command(*arguments, "--out", tmp_path / "d", "--json")
    said = json.loads(out)
    assert said["elman"]["loss"] == elman.load("sentiment").evaluate(data)["loss"]
    assert said["exported"]["loss"] != said["elman"]["loss"]
