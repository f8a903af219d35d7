"""Layers of torch.nn and nodes of ONNX as ``Recurrent``: the same values as theirs."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

import elman
from elman import cells
from elman.cells import CATALOGUE
from elman.errors import OptionError, RunError
from elman.export.importing.layer_file import save_layer
from elman.passes.recognise import recognise
from nn.onnx_nodes import Node
from nn.test_onnx_runtime import HIDDEN, KINDS, random_node

TORCH = {
    "lstm": (torch.nn.LSTM, {}),
    "gru": (torch.nn.GRU, {}),
    "tanh": (torch.nn.RNN, {}),
    "relu": (torch.nn.RNN, {"nonlinearity": "relu"}),
}
CELL = {"tanh": cells.rnn, "relu": cells.relu_rnn}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("name", TORCH)
def test_a_state_dict_gives_the_same_layer(name, bidirectional, bias):
    torch.manual_seed(0)
    make, options = TORCH[name]
    theirs = make(3, 4, 2, bidirectional=bidirectional, bias=bias, batch_first=True, **options)
    ours = elman.import_weights(theirs.state_dict(), cell=CELL.get(name), batch_first=True)
    x = torch.randn(2, 6, 3)
    y, state = theirs(x)
    found, last = ours(x)
    torch.testing.assert_close(found, y)
    for a, b in zip(last, state if name == "lstm" else (state,), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_holds_a_model_with_layers_by_their_names(suffix, tmp_path):
    torch.manual_seed(0)
    model = torch.nn.ModuleDict(
        {
            "embedding": torch.nn.Embedding(5, 3),
            "encoder": torch.nn.GRU(3, 4, 2),
            "parts": torch.nn.ModuleList([torch.nn.LSTMCell(4, 6)]),
        }
    ).double()
    path = tmp_path / f"model{suffix}"
    state = model.state_dict()
    if suffix == ".pt":
        torch.save({"epoch": 3, "state_dict": state}, path)
    else:
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    layer = elman.import_weights(path, layer="encoder")
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(layer(x)[0], model["encoder"](x)[0])
    single = elman.import_weights(path, layer="parts.0")
    h, _ = model["parts"][0](y := torch.randn(2, 4, dtype=torch.float64))
    torch.testing.assert_close(single.step(y)[0], h)


def test_a_plain_rnn_does_not_tell_its_nonlinearity():
    with pytest.raises(OptionError, match=r"whose nonlinearity is not in its weights; pass cell="):
        elman.import_weights(torch.nn.RNN(2, 3).state_dict())


def test_what_torch_s_weights_lack_or_have_too_much_is_a_sentence():
    state = torch.nn.LSTM(3, 4, 2, bidirectional=True).state_dict()
    without = {key: tensor for key, tensor in state.items() if "l1_reverse" not in key}
    with pytest.raises(RunError, match="some of its layers or directions have no weights"):
        elman.import_weights(without)
    with pytest.raises(RunError, match=r"weight_hh_l1 has the shape \(2, 2\), not \(16, 4\)"):
        elman.import_weights({**state, "weight_hh_l1": torch.zeros(2, 2)})
    with pytest.raises(RunError, match="it has weight_ih; it needs weight_ih, weight_hh"):
        elman.import_weights({"weight_ih_l0": torch.zeros(8, 2)})
    with pytest.raises(RunError, match="are those of no RNN, LSTM or GRU"):
        elman.import_weights({"weight_ih_l0": torch.zeros(4, 2), "weight_hh_l0": torch.zeros(4, 2)})
    with pytest.raises(OptionError, match="an LSTM with projections"):
        elman.import_weights(torch.nn.LSTM(3, 4, proj_size=2).state_dict())
    with pytest.raises(OptionError, match="there is no RNN, LSTM or GRU layer in it"):
        elman.import_weights(torch.nn.Linear(2, 2).state_dict())


class Payload:
    def __reduce__(self):
        return exec, ("raise SystemExit('code ran')",)


@pytest.mark.parametrize("content", [b"", b"no model", "code"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".onnx"])
def test_a_foreign_file_is_a_sentence_and_runs_no_code(suffix, content, tmp_path):
    path = tmp_path / f"a{suffix}"
    if content == "code":
        torch.save(Payload(), path)
    else:
        path.write_bytes(content)
    with pytest.raises((RunError, OptionError), match=r"a\.\w+: th(is|ere) is no "):
        elman.import_weights(path)


def test_a_file_that_is_not_there_or_of_another_kind_is_named(tmp_path):
    with pytest.raises(RunError, match=r"none\.pt: there is no such file"):
        elman.import_weights(tmp_path / "none.pt")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(OptionError, match=r"a\.txt: weights are read from files that end in \.pt"):
        elman.import_weights(tmp_path / "a.txt")


def write_node(node, path):
    """The node with its weights stored in the file; X and what else it reads are inputs."""
    model = node.model()
    stored = [name for name in node.arrays if name in ("W", "R", "B", "P")]
    tensors = [onnx.numpy_helper.from_array(node.arrays[name], name) for name in stored]
    model.graph.initializer.extend(tensors)
    kept = [value for value in model.graph.input if value.name not in stored]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    onnx.save(model, path)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_node_of_onnx_gives_the_same_layer(kind, direction, tmp_path):
    node = random_node(kind, direction, seed=len(kind))
    write_node(node, tmp_path / "a.onnx")
    layer = elman.import_weights(tmp_path / "a.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    feeds = {value.name: node.arrays[value.name] for value in session.get_inputs()}
    expected = session.run(None, feeds)
    states = [torch.from_numpy(node.arrays[k]) for k in ("initial_h", "initial_c") if k in feeds]
    y, last = layer(torch.from_numpy(node.arrays["X"]), tuple(states))
    y = y.unflatten(-1, (node.directions, HIDDEN)).transpose(1, 2)
    for ours, theirs in zip([y, *last], expected, strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-5, atol=1e-6)


NATIVE = [name for name in CATALOGUE if recognise(CATALOGUE[name])]


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("name", NATIVE)
def test_what_was_exported_comes_back(name, both, tmp_path):
    torch.manual_seed(0)
    layer = elman.Recurrent(cells.CATALOGUE[name], 3, 4, bidirectional=both)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter))
    elman.export.onnx(layer, tmp_path / "a.onnx")
    again = elman.import_weights(tmp_path / "a.onnx")
    x = torch.randn(5, 2, 3)
    # ONNX writes MGU as a GRU whose gates have the same weights
    assert again.cell == (cells.gru if name == "mgu" else layer.cell)
    torch.testing.assert_close(again(x)[0], layer(x)[0], rtol=1e-5, atol=1e-6)


def test_nodes_have_the_names_of_the_file_or_numbers(tmp_path):
    layer = elman.Recurrent(cells.lstm, 3, 4, num_layers=2)
    elman.export.onnx(layer, tmp_path / "a.onnx")
    with pytest.raises(OptionError, match=r"pass layer=, one of LSTM_1, LSTM_2\."):
        elman.import_weights(tmp_path / "a.onnx")
    assert elman.import_weights(tmp_path / "a.onnx", layer="LSTM_2").input_size == 4


@pytest.mark.parametrize(
    ("kind", "attributes", "sentence"),
    [
        ("LSTM", {"clip": 3.0}, r"it clips what its activations see"),
        ("LSTM", {"activations": ["HardSigmoid", "Tanh", "Tanh"]}, "activations Hardsigmoid, Tanh"),
        ("GRU reset before", {"activations": ["Sigmoid", "Relu"]}, "activations Sigmoid, Relu, a"),
        ("RNN tanh", {"activations": ["Affine"]}, "it has the activations Affine"),
    ],
)
def test_a_node_that_no_cell_computes_is_a_sentence(kind, attributes, sentence, tmp_path):
    node = random_node(kind, "forward", seed=0)
    node = Node(node.operator, node.arrays, {**node.attributes, **attributes})
    write_node(node, tmp_path / "a.onnx")
    with pytest.raises(OptionError, match=sentence):
        elman.import_weights(tmp_path / "a.onnx")


def test_a_node_in_reverse_or_with_a_state_of_its_own_is_a_sentence(tmp_path):
    node = random_node("LSTM", "forward", seed=0)
    write_node(Node("LSTM", node.arrays, {"direction": "reverse"}), tmp_path / "a.onnx")
    with pytest.raises(OptionError, match="it runs in reverse only"):
        elman.import_weights(tmp_path / "a.onnx")
    write_node(node, tmp_path / "b.onnx")
    model = onnx.load(tmp_path / "b.onnx")
    start = onnx.numpy_helper.from_array(node.arrays["initial_c"], "initial_c")
    model.graph.initializer.append(start)
    onnx.save(model, tmp_path / "b.onnx")
    with pytest.raises(OptionError, match=r"it begins with a state of its own \(initial_c\)"):
        elman.import_weights(tmp_path / "b.onnx")


def test_weights_that_are_computed_in_the_file_are_a_sentence(tmp_path):
    onnx.save(random_node("LSTM", "forward", seed=0).model(), tmp_path / "a.onnx")
    with pytest.raises(OptionError, match="its W is not stored in the file but computed"):
        elman.import_weights(tmp_path / "a.onnx")


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2, "bias": False}])
def test_a_layer_is_saved_and_read_with_its_equations(options, tmp_path):
    torch.manual_seed(0)
    layer = elman.Recurrent(cells.peephole_lstm, 3, 4, batch_first=True, **options)
    save_layer(layer, tmp_path / "mine.safetensors")
    again = elman.import_weights(tmp_path / "mine.safetensors")
    assert repr(again) == repr(layer)
    x = torch.randn(2, 5, 3)
    assert torch.equal(again(x)[0], layer(x)[0])
