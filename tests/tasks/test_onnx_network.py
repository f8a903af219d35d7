"""``elman.load`` and ``elman predict`` of an ONNX file give the answers of the run."""

import onnx
import pytest
import torch

import elman
from elman.errors import ExportError, RunError

TEXTS = {
    "sentiment": ["There is nothing to like in this movie.", "A warm and funny film.", "x"],
    "ner": ["Yesterday, Harry Potter met Hermione Granger.", "London", "to be or not to be"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_a_file_answers_as_its_run_does(name, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("export", name, "--to", "onnx", "--sequence")[0] == 0
    by_torch = command("predict", name, *TEXTS[name])
    by_onnx = command("predict", f"{name}.onnx", *TEXTS[name])
    assert by_onnx == by_torch
    assert by_onnx[0] == 0


@pytest.mark.slow
def test_the_network_of_the_file_is_onnx_runtime_s(command, tmp_path, monkeypatch):
    """Weights of the torch model, which are random, have no part in the answer."""
    monkeypatch.chdir(tmp_path)
    assert command("export", "sentiment", "--to", "onnx")[0] == 0
    model = elman.load("sentiment.onnx")
    words, lengths = torch.tensor([[5], [7], [9]]), torch.tensor([3])
    before = model.model(words=words, lengths=lengths)
    with torch.no_grad():
        for parameter in model.model.parameters():
            parameter.zero_()
    assert torch.equal(model.model(words=words, lengths=lengths), before)
    expected = elman.load("sentiment").model(words, lengths)
    torch.testing.assert_close(before, expected, rtol=1e-5, atol=1e-5)


def test_a_file_that_is_no_trained_model_is_a_sentence(tmp_path):
    elman.export.onnx(elman.Recurrent(elman.cells.gru, 3, 4), tmp_path / "layer.onnx")
    with pytest.raises(
        RunError, match=r"layer\.onnx: the metadata elman\.task are missing; give a file"
    ):
        elman.load(tmp_path / "layer.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ExportError, match=r"broken\.onnx: ONNX Runtime \S+ cannot load it"):
        elman.load(tmp_path / "broken.onnx")
    with pytest.raises(RunError, match=r"none\.onnx: there is no such file"):
        elman.load(tmp_path / "none.onnx")


@pytest.mark.parametrize(
    ("entry", "value", "sentence"),
    [
        ("elman.task", "poetry", "the task is 'poetry', and this installation has speech, "),
        ("elman.options", "{", "its options cannot be read .*; copy it again"),
    ],
)
def test_metadata_that_do_not_fit_are_a_sentence(entry, value, sentence, tmp_path):
    said = {
        "elman.task": "sentiment",
        "elman.symbols": "{}",
        "elman.options": "{}",
        "elman.cell_graph": "{}",
        entry: value,
    }
    layer = elman.Recurrent(elman.cells.gru, 3, 4)
    elman.export.onnx(layer, tmp_path / "a.onnx", metadata=said)
    model = onnx.load(tmp_path / "a.onnx")
    onnx.helper.set_model_props(model, said | {"elman.form": "sequence"})
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(RunError, match=sentence):
        elman.load(tmp_path / "a.onnx")
