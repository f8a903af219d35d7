import json
from pathlib import Path

import pytest
import torch

import elman
from elman.cli import app, main

KERAS = Path(__file__).parent / "keras" / "layers.keras"


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["elman", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_every_layer_of_a_file_becomes_a_file(tmp_path, monkeypatch, capsys):
    assert app
    status, out, _ = run(monkeypatch, capsys, "import", KERAS, "--out", tmp_path / "d", "--json")
    assert status == 0
    written = json.loads(out)["layers"]
    assert sorted(map(str, (tmp_path / "d").iterdir())) == sorted(written)
    assert len(written) == 17
    path = tmp_path / "d" / "both_gru.safetensors"
    assert written[str(path)] == "Recurrent(gru_reset_after, 3, 4, bidirectional, batch_first)"
    x = torch.randn(2, 5, 3)
    expected = elman.import_weights(KERAS, layer="both_gru")(x)[0]
    assert torch.equal(elman.import_weights(path)(x)[0], expected)


def test_a_layer_inside_a_model_of_torch_has_a_name_that_files_can_have(
    tmp_path, monkeypatch, capsys
):
    model = torch.nn.Sequential(torch.nn.RNN(2, 3), torch.nn.RNN(2, 3, bias=False))
    torch.save(model.state_dict(), tmp_path / "a.pt")
    arguments = ("import", tmp_path / "a.pt", "--out", tmp_path / "d", "--cell", "relu_rnn")
    status, out, _ = run(monkeypatch, capsys, *arguments, "--batch-first")
    assert status == 0
    first, second = out.splitlines()
    assert first.endswith("0.safetensors: Recurrent(relu_rnn, 2, 3, batch_first)")
    assert second.endswith("1.safetensors: Recurrent(relu_rnn, 2, 3, batch_first)")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--layer", "ltsm"), "no layer to import called 'ltsm'; the file has both_lstm, "),
        (("--cell", "lstn"), 'there is no cell "lstn"; choose from rnn, '),
    ],
)
def test_what_cannot_be_is_a_sentence_and_leaves_no_folder(
    arguments, sentence, tmp_path, monkeypatch, capsys
):
    status, _, said = run(monkeypatch, capsys, "import", KERAS, "--out", tmp_path / "d", *arguments)
    assert status == 1
    assert sentence in said
    assert not (tmp_path / "d").exists()


def test_one_layer_that_cannot_be_imported_leaves_no_file(tmp_path, monkeypatch, capsys):
    path = KERAS.with_name("others.keras")
    status, _, said = run(monkeypatch, capsys, "import", path, "--out", tmp_path / "d")
    assert status == 1
    assert "others.keras: summed: merge_mode is 'sum'" in said
    assert not (tmp_path / "d").exists()
