"""Layers of Keras 3 as ``Recurrent``: its files, and what it computed with them.

``keras/make.py`` made both.
"""

import json
import zipfile
from pathlib import Path

import pytest
import torch

import elman
from elman import cells
from elman.errors import OptionError, RunError
from elman.export.importing import keras_file
from elman.export.importing.importer import layers_in

HERE = Path(__file__).parent / "keras"
OUTPUTS = json.loads((HERE / "outputs.json").read_text())
CELLS = {
    "lstm": cells.lstm,
    "lstm_without_bias": cells.lstm.without("b"),
    "gru": cells.gru_reset_after,
    "gru_reset_before": cells.gru,
    "gru_without_bias": cells.gru_reset_after.without("b"),
    "gru_before_without_bias": cells.gru.without("b"),
    "tanh": cells.rnn,
    "relu": cells.relu_rnn,
}
NAMES = [name for name in OUTPUTS if name != "x"]


@pytest.fixture
def weights_file(tmp_path):
    """The file of weights alone, as ``save_weights`` writes it."""
    with zipfile.ZipFile(HERE / "layers.keras") as archive:
        content = archive.read("model.weights.h5")
    (tmp_path / "layers.weights.h5").write_bytes(content)
    return tmp_path / "layers.weights.h5"


def check(layer, name):
    assert layer.cell == CELLS[name.removeprefix("both_")]
    assert layer.batch_first
    assert layer.bidirectional == name.startswith("both_")
    y, _ = layer(torch.tensor(OUTPUTS["x"]))
    torch.testing.assert_close(y, torch.tensor(OUTPUTS[name]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_computes_what_keras_computed(name):
    check(elman.import_weights(HERE / "layers.keras", layer=name), name)


def test_weights_alone_are_enough_where_they_tell(weights_file):
    for name in NAMES:
        chosen = CELLS[name.removeprefix("both_")]
        if "relu" in name:
            chosen = cells.relu_rnn
        elif "before" in name:
            chosen = cells.gru
        elif "gru" in name:
            chosen = cells.gru_reset_after
        check(elman.import_weights(weights_file, layer=name, cell=chosen), name)
    for name in ("lstm", "both_gru", "gru_reset_before", "tanh"):
        check(elman.import_weights(weights_file, layer=name), name)


def test_a_layer_of_a_model_in_a_model_is_found():
    layer = elman.import_weights(HERE / "layers.keras", layer="inside")
    assert (layer.cell, layer.input_size, layer.hidden_size) == (cells.lstm, 3, 2)


def test_weights_that_do_not_tell_where_a_gru_resets_ask(weights_file):
    with pytest.raises(OptionError, match=r"gru_without_bias: a GRU without biases does not say"):
        elman.import_weights(weights_file, layer="gru_without_bias")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("hard_gates", "the activations 'tanh' and 'hard_sigmoid', and the catalogue has LSTM"),
        ("softsign", "the activations 'softsign'"),
        ("backwards", "it is a layer backwards"),
        ("summed", r"merge_mode is 'sum'; a Recurrent puts"),
        ("around_a_cell", "it is an RNN around a cell"),
    ],
)
def test_what_cannot_be_imported_says_why(name, sentence):
    with pytest.raises(OptionError, match=rf"others\.keras: {name}: .*{sentence}"):
        elman.import_weights(HERE / "others.keras", layer=name)


def test_which_layer_is_meant_is_asked():
    with pytest.raises(
        OptionError, match=r"several recurrent layers; pass layer=, one of both_lstm, "
    ):
        elman.import_weights(HERE / "layers.keras")
    with pytest.raises(OptionError, match=r"no recurrent layer called 'ltsm'; it has both_lstm, "):
        elman.import_weights(HERE / "layers.keras", layer="ltsm")


@pytest.mark.parametrize("end", [0, 100, 5000, -1000])
@pytest.mark.parametrize("which", ["layers.keras", "layers.weights.h5"])
def test_a_damaged_file_is_a_sentence(which, end, weights_file, tmp_path):
    content = (HERE / which if which.endswith("keras") else weights_file).read_bytes()
    broken = tmp_path / f"broken_{which}"
    broken.write_bytes(content[:end])
    with pytest.raises(RunError, match="this is no file of Keras 3, or it is damaged"):
        layers_in(broken)


def test_a_file_of_keras_2_is_named(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.create_group("model_weights")
    with pytest.raises(RunError, match=r"saved by Keras 2; load it with Keras 3"):
        elman.import_weights(tmp_path / "old.h5")


def test_a_missing_library_is_a_sentence(monkeypatch):
    def refuse(name):
        raise ImportError(name)

    monkeypatch.setattr(keras_file, "import_module", refuse)
    with pytest.raises(RunError, match=r"need the library h5py, .*pip install 'elman\[keras\]'"):
        elman.import_weights(HERE / "layers.keras", layer="lstm")
