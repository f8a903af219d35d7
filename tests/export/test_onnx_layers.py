"""Exported layers in ONNX Runtime beside Elman: every cell of the catalogue, and random ones."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import elman
from elman import cell, relu, sigmoid, tanh
from elman.cells import CATALOGUE
from elman.errors import ExportError, OptionError
from elman.export.onnx_format import exporter, libraries, runtime
from graph.random_cells import quick, random_cells

TIME, INPUT, HIDDEN = 6, 3, 5
LENGTHS = (4, 6, 0, 1)
#: float32 on both sides, sums in another order
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def layer_of(chosen, **options):
    torch.manual_seed(0)
    layer = elman.Recurrent(chosen, INPUT, HIDDEN, **options).eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(0.7 * torch.randn_like(parameter))
    return layer


def session_of(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of inputs that may be left out
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(session, feeds):
    found = session.run(None, {name: np.asarray(value) for name, value in feeds.items()})
    return dict(zip([output.name for output in session.get_outputs()], found, strict=True))


def operators(path):
    return {node.op_type for node in onnx.load(path).graph.node}


def check_sequence(layer, path, lengths):
    rows = layer.num_layers * (2 if layer.bidirectional else 1)
    x = torch.randn(TIME, len(LENGTHS), INPUT)
    x = x.transpose(0, 1).contiguous() if layer.batch_first else x
    state = tuple(torch.randn(rows, len(LENGTHS), HIDDEN) for _ in layer.cell.states)
    feeds = {"x": x}
    if lengths is not None:
        feeds["lengths"] = torch.tensor(lengths)
        feeds |= {f"state.{n}": s for n, s in zip(layer.cell.states, state, strict=True)}
    found = run(session_of(path), feeds)
    with torch.no_grad():
        y, last = layer(x, None if lengths is None else state, lengths=lengths)
    np.testing.assert_allclose(found["y"], y.numpy(), **CLOSE)
    for name, tensor in zip(layer.cell.states, last, strict=True):
        np.testing.assert_allclose(found[f"next_state.{name}"], tensor.numpy(), **CLOSE)


@pytest.mark.thinned(3)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bidirectional": True, "num_layers": 2},
        {"bidirectional": True, "batch_first": True},
        {"num_layers": 3, "batch_first": True},
    ],
    ids=["plain", "both-2", "both-batch-first", "layers-3"],
)
@pytest.mark.parametrize("name", CATALOGUE)
def test_whole_sequences_are_those_of_the_layer(name, options, lengths, tmp_path):
    layer = layer_of(CATALOGUE[name], **options)
    done = elman.export.onnx(layer, tmp_path / "a.onnx")
    assert done.difference < 1e-5
    check_sequence(layer, tmp_path / "a.onnx", lengths)


@pytest.mark.parametrize("name", [name for name in CATALOGUE if "layer_norm" not in name])
def test_a_layer_without_biases_is_exported(name, tmp_path):
    layer = layer_of(CATALOGUE[name], bias=False, bidirectional=True)
    elman.export.onnx(layer, tmp_path / "a.onnx")
    check_sequence(layer, tmp_path / "a.onnx", LENGTHS)


@pytest.mark.parametrize("name", CATALOGUE)
def test_steps_from_the_state_that_the_last_one_left_are_those_of_the_layer(name, tmp_path):
    layer = layer_of(CATALOGUE[name], num_layers=2)
    elman.export.onnx(layer, tmp_path / "a.onnx", step=True)
    session = session_of(tmp_path / "a.onnx")
    state = {f"state.{name}": np.zeros((2, 3, HIDDEN), np.float32) for name in layer.cell.states}
    x = torch.randn(TIME, 3, INPUT)
    outputs = []
    for x_t in x:
        found = run(session, {"x": x_t, **state})
        outputs.append(found["y"])
        state = {name: found[f"next_{name}"] for name in state}
    with torch.no_grad():
        y, last = layer(x)
    np.testing.assert_allclose(np.stack(outputs), y.numpy(), **CLOSE)
    np.testing.assert_allclose([*state.values()], [s.numpy() for s in last], **CLOSE)


@quick
@given(random_cells(), st.booleans(), st.booleans())
def test_a_random_cell_comes_out_as_it_is(tmp_path_factory, chosen, bidirectional, step):
    path = tmp_path_factory.mktemp("random") / "a.onnx"
    layer = layer_of(chosen, num_layers=2, bidirectional=bidirectional and not step)
    elman.export.onnx(layer, path, step=step)
    if not step:
        check_sequence(layer, path, LENGTHS)


@pytest.mark.parametrize(
    ("name", "operator"),
    [
        ("rnn", "RNN"),
        ("relu_rnn", "RNN"),
        ("lstm", "LSTM"),
        ("coupled_lstm", "LSTM"),
        ("diagonal_peephole_lstm", "LSTM"),
        ("gru", "GRU"),
        ("gru_reset_after", "GRU"),
        ("peephole_lstm", "Scan"),
        ("coupled_peephole_lstm", "Scan"),
        ("layer_norm_lstm", "Scan"),
        ("layer_norm_gru", "Scan"),
    ],
)
def test_onnx_s_own_operator_is_used_where_there_is_one(name, operator, tmp_path):
    elman.export.onnx(layer_of(CATALOGUE[name]), tmp_path / "a.onnx")
    assert operators(tmp_path / "a.onnx") & {"RNN", "LSTM", "GRU", "Scan"} == {operator}


# cells that somebody wrote in his own way: what computes the same is the same operator


@cell
def my_memory(u, out, store, *, A, B, d, k):
    """An LSTM with other names, its matrices apart, peepholes, sums in another order."""
    keep = sigmoid(d.keep + A.keep @ u + k.keep * store + B.keep @ out)
    write = sigmoid(2 * (A.write @ u + B.write @ out) + d.write + store * k.write + 0.5)
    new = tanh(B.new @ out + A.new @ u)
    following = new * write + store * keep
    show = sigmoid(A.show @ u - B.show @ out - d.show + k.show * following)
    return tanh(following) * show, following


@cell
def input_kept(x, h, c, *, W, b, p):
    """f = 1 - i, written as c + i (g - c)."""
    i = sigmoid(W.i @ [h, x] + b.i + p.i * c)
    g = relu(W.g @ [x, h] + b.g)
    c = c + i * (g - c)
    return sigmoid(W.o @ [h, x] + b.o + p.o * c) * relu(c), c


@cell
def forget_kept(x, h, c, *, W, b, p):
    f = sigmoid(W.f @ [h, x] + b.f + p.f * c)
    c = f * c + tanh(W.g @ [h, x] + b.g) * (1 - f)
    return tanh(c) * sigmoid(W.o @ [h, x] + b.o), c


@cell
def my_gru(x, h, *, W, V, b):
    """The new value is weighed, as a difference; the reset stands on the right."""
    z = sigmoid(W.z @ [x, h] + b.z)
    n = tanh(V.n @ (0.5 * x) + W.n @ (h * sigmoid(W.r @ [h, x])) - b.n)
    return h + z * (n - h)


@cell
def minimal_gate(x, h, *, W, b):
    """One gate both resets and updates."""
    f = sigmoid(W.f @ [h, x] + b.f)
    return (1 - f) * h + f * tanh(W.g @ [f * h, x] + b.g)


@cell
def after_with_two_biases(x, h, *, W, R, b, d):
    r = sigmoid(W.r @ x + R.r @ h + b.r)
    z = sigmoid(W.z @ x + R.z @ h + b.z)
    n = tanh(r * (R.n @ h + d.n - 0.25) + W.n @ x + b.n)
    return n - z * (n - h)


@cell
def logistic(x, h, *, W):
    return sigmoid(W.a @ x + W.b @ h)


# near misses, which are none of ONNX's operators


@cell
def output_gate_sees_the_old_memory(x, h, c, *, W, p):
    f, i = sigmoid(W.f @ [h, x]), sigmoid(W.i @ [h, x])
    o = sigmoid(W.o @ [h, x] + p.o * c)
    c = f * c + i * tanh(W.g @ [h, x])
    return o * tanh(c), c


@cell
def memory_first(x, c, h, *, W):
    f, i, o = sigmoid(W.f @ [h, x]), sigmoid(W.i @ [h, x]), sigmoid(W.o @ [h, x])
    c = f * c + i * tanh(W.g @ [h, x])
    return c, o * tanh(c)


@cell
def no_input_gate(x, h, c, *, W):
    c = sigmoid(W.f @ [h, x]) * c + tanh(W.g @ [h, x])
    return sigmoid(W.o @ [h, x]) * tanh(c), c


@cell
def weights_do_not_add_up(x, h, *, W):
    z, r = sigmoid(W.z @ [h, x]), sigmoid(W.r @ [h, x])
    return (1 - z) * h + 2 * z * tanh(W.n @ [r * h, x])


@cell
def reset_on_both_sides(x, h, *, W, R):
    z, r = sigmoid(W.z @ [h, x]), sigmoid(W.r @ [h, x])
    return (1 - z) * h + z * tanh(W.n @ [r * h, x] + r * (R.n @ h))


@cell
def reset_of_the_input(x, h, *, W):
    z, r = sigmoid(W.z @ [h, x]), sigmoid(W.r @ [h, x])
    return (1 - z) * h + z * tanh(W.n @ h + r * (W.m @ x))


@cell
def relu_gate_kept(x, h, c, *, W):
    """1 - relu(a) is no relu of anything."""
    f = relu(W.f @ [h, x])
    c = f * c + (1 - f) * tanh(W.g @ [h, x])
    return relu(W.o @ [h, x]) * tanh(c), c


@cell
def twice(x, h, *, W):
    return tanh(W.a @ [h, x]) + tanh(W.a @ [h, x])


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}], ids=["one", "both"])
@pytest.mark.parametrize(
    ("chosen", "operator"),
    [
        (my_memory, "LSTM"),
        (input_kept, "LSTM"),
        (forget_kept, "LSTM"),
        (my_gru, "GRU"),
        (minimal_gate, "GRU"),
        (after_with_two_biases, "GRU"),
        (logistic, "RNN"),
        (output_gate_sees_the_old_memory, "Scan"),
        (memory_first, "Scan"),
        (no_input_gate, "Scan"),
        (weights_do_not_add_up, "Scan"),
        (reset_on_both_sides, "Scan"),
        (reset_of_the_input, "Scan"),
        (relu_gate_kept, "Scan"),
        (twice, "Scan"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_cell_of_one_s_own_is_known_by_its_equations(chosen, operator, options, tmp_path):
    layer = layer_of(chosen, **options)
    elman.export.onnx(layer, tmp_path / "a.onnx")
    assert operators(tmp_path / "a.onnx") & {"RNN", "LSTM", "GRU", "Scan"} == {operator}
    check_sequence(layer, tmp_path / "a.onnx", LENGTHS)


@pytest.mark.parametrize("opset", [17, 18, 19, 20, 21, 22, 23])
@pytest.mark.parametrize("name", ["gru", "layer_norm_lstm"])
def test_every_version_of_the_operators_computes_the_same(name, opset, tmp_path):
    layer = layer_of(CATALOGUE[name])
    elman.export.onnx(layer, tmp_path / "a.onnx", opset=opset)
    assert [o.version for o in onnx.load(tmp_path / "a.onnx").opset_import] == [opset]
    check_sequence(layer, tmp_path / "a.onnx", LENGTHS)


def test_torch_s_layers_are_exported_with_their_own_weights(tmp_path):
    torch.manual_seed(0)
    layer = elman.nn.LSTM(INPUT, HIDDEN, 2, bidirectional=True, batch_first=True)
    elman.export.onnx(layer, tmp_path / "a.onnx")
    x = torch.randn(2, TIME, INPUT)
    found = run(session_of(tmp_path / "a.onnx"), {"x": x})
    y, (h, c) = layer(x)
    for name, tensor in (("y", y), ("next_state.h", h), ("next_state.c", c)):
        np.testing.assert_allclose(found[name], tensor.detach().numpy(), **CLOSE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_layer_of_another_type_is_exported_in_float32(dtype, tmp_path):
    layer = layer_of(CATALOGUE["lstm"]).to(dtype)
    elman.export.onnx(layer, tmp_path / "a.onnx")
    check_sequence(layer.float(), tmp_path / "a.onnx", LENGTHS)


def test_a_layer_in_training_is_exported_as_it_is_evaluated(tmp_path):
    layer = layer_of(CATALOGUE["lstm"], zoneout=0.3, recurrent_dropout=0.5, dropout=0.0).train()
    elman.export.onnx(layer, tmp_path / "a.onnx")
    check_sequence(layer.eval(), tmp_path / "a.onnx", LENGTHS)


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_no_step_at_all_leaves_the_state_as_it_was(name, tmp_path):
    # ONNX Runtime fails by itself on an empty batch of these, and on a Scan over no step
    layer = layer_of(CATALOGUE[name])
    elman.export.onnx(layer, tmp_path / "a.onnx")
    state = {f"state.{n}": np.ones((1, 2, HIDDEN), np.float32) for n in layer.cell.states}
    found = run(
        session_of(tmp_path / "a.onnx"), {"x": np.zeros((0, 2, INPUT), np.float32), **state}
    )
    assert found["y"].shape == (0, 2, HIDDEN)
    for key, value in state.items():
        np.testing.assert_array_equal(found[f"next_{key}"], value)


def test_a_file_explains_itself(tmp_path):
    elman.export.onnx(layer_of(my_gru), tmp_path / "a.onnx", metadata={"sample_rate": "8000"})
    model = onnx.load(tmp_path / "a.onnx")
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert said["elman.cell"] == "my_gru"
    assert said["elman.equations"] == str(my_gru)
    assert elman.graph.read_cell(said["elman.cell_graph"]) == my_gru
    assert (said["elman.form"], said["sample_rate"]) == ("sequence", "8000")
    assert [value.name for value in model.graph.input] == ["x", "lengths", "state.h"]
    assert [value.name for value in model.graph.output] == ["y", "next_state.h"]


# what a user can get wrong


def test_a_bidirectional_layer_says_that_it_has_no_step(tmp_path):
    with pytest.raises(OptionError, match=r"Recurrent\(gru\): a bidirectional layer has no step"):
        elman.export.onnx(
            layer_of(CATALOGUE["gru"], bidirectional=True), tmp_path / "a.onnx", step=True
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("opset", [16, 999, "new", True])
def test_an_opset_that_cannot_be_written_is_named(opset, tmp_path):
    with pytest.raises(OptionError, match=r"opset is .*; it must be an integer from 17 to \d+"):
        elman.export.onnx(layer_of(CATALOGUE["gru"]), tmp_path / "a.onnx", opset=opset)
    assert not list(tmp_path.iterdir())


def test_what_the_runtime_cannot_load_is_a_sentence(tmp_path):
    elman.export.onnx(layer_of(CATALOGUE["gru"]), tmp_path / "a.onnx")
    model = onnx.load(tmp_path / "a.onnx")
    model.opset_import[0].version = 999
    for content in (model.SerializeToString(), b"no model"):
        with pytest.raises(
            ExportError, match=r"^b\.onnx: ONNX Runtime \S+ cannot load it \(.*\)\.$"
        ):
            runtime.Session(content, "b.onnx")


def test_a_file_that_would_compute_something_else_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "BOUND", 1e-12)
    with pytest.raises(ExportError, match=r"a\.onnx: not written, since over random sequences"):
        elman.export.onnx(layer_of(CATALOGUE["gru"]), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_a_missing_library_is_a_sentence(library, tmp_path, monkeypatch):
    original = libraries.import_module

    def refuse(name):
        if name == library:
            raise ImportError(name)
        return original(name)

    monkeypatch.setattr(libraries, "import_module", refuse)
    with pytest.raises(
        ExportError, match=rf"need the library {library}, .*pip install 'elman\[onn"
    ):
        elman.export.onnx(layer_of(CATALOGUE["gru"]), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


# int8


@pytest.mark.parametrize("step", [False, True])
@pytest.mark.parametrize("name", ["rnn", "lstm", "coupled_lstm", "gru", "peephole_lstm"])
def test_int8_weights_take_a_quarter_and_stay_near(name, step, tmp_path):
    torch.manual_seed(0)
    layer = elman.Recurrent(CATALOGUE[name], 32, 96)
    elman.export.onnx(layer, tmp_path / "whole.onnx", step=step)
    done = elman.export.onnx(layer, tmp_path / "int8.onnx", step=step, quantize="int8")
    assert 1e-5 < done.difference < 0.1
    sizes = [(tmp_path / f"{which}.onnx").stat().st_size for which in ("int8", "whole")]
    assert sizes[0] < 0.4 * sizes[1]
    said = {e.key: e.value for e in onnx.load(tmp_path / "int8.onnx").metadata_props}
    assert (said["elman.quantized"], said["elman.cell"]) == ("int8", name)


def test_a_layer_has_no_forms(tmp_path):
    with pytest.raises(OptionError, match="form is 'encode', but a layer has none; use step=True"):
        elman.export.onnx(layer_of(CATALOGUE["gru"]), tmp_path / "a.onnx", form="encode")


def test_another_quantisation_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r'quantize is \'int4\'; it is "int8" or None'):
        elman.export.onnx(layer_of(CATALOGUE["gru"]), tmp_path / "a.onnx", quantize="int4")
