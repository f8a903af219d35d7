"""``elman export`` as a user calls it."""

import json
import shutil

import pytest

from elman.export.c_source import check


@pytest.fixture
def music(command, tmp_path, monkeypatch):
    """A small model of frames whose pitches are independent, which has a step."""
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
        (("sentiment", "--to", "onnx", "--quantize", "int8"), 1, "--quantize int8 is for --to c"),
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
