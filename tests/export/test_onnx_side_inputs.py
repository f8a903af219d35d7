"""Layers with side inputs or a matrix state in ONNX Runtime, beside the layers."""

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import elman
from elman import cell, heads, outer, sigmoid, tanh, where
from elman.cells import WITH_INPUTS, WITH_MATRIX_STATES
from elman.errors import ExportError
from elman.export.check import largest_difference
from elman.export.layers import layers_of
from elman.export.onnx_format import exporter
from elman.models.classifier import Classifier
from elman.nn.embedding import WordEmbedding
from export.test_onnx_layers import run, session_of
from graph.random_cells import quick, random_cells
from graph.random_memory_cells import random_memory_cell

TIME, BATCH, INPUT, HIDDEN = 6, 4, 3, 6
LENGTHS = (4, 6, 0, 1)


@cell(inputs={"dt": "one", "u": "hidden"}, sizes={"w.x": "input"})
def everything_beside(x, y, c, dt, u, *, W, R, b, w):
    """Side inputs in products and conditions, a vector of x's size, a computed matrix."""
    seen = w.x * x
    kept = where(dt > 0.5, y, 0.5 * y + u)
    c = sigmoid(W.f @ [kept, seen] + b.f) * c + tanh(W.g @ [y, u, x]) + heads(R.h, 2) @ y
    return where(u > 0.5, c, tanh(c)), c


@cell(inputs={"y": "one", "running": "hidden"})
def with_names_of_the_file(x, h, y, running, *, W):
    return tanh(W.y @ [h, x] + y * running)


@cell(
    inputs={"dt": "one", "u": "hidden"},
    sizes={"S": "memory", "W.k": "key", "V.k": "key", "p.d": "head", "n": "key", "m": "head"},
)
def matrix_and_inputs(x, y, S, n, m, dt, u, *, W, V, R, p):
    """A computed matrix, products of computed values, and sums, before and in the steps."""
    k = V.k @ [tanh(W.a @ x), u]
    S = sigmoid(p.d) * S + outer(heads(R.v, 2) @ u + dt * (W.v @ x), k)
    n = where(dt > 0.5, n + k, k)
    return S @ (W.k @ x) + m, S, n, elman.head_sum(n * k)


CELLS = {
    cell.name: cell
    for cell in (
        *WITH_INPUTS.values(),
        *WITH_MATRIX_STATES.values(),
        everything_beside,
        with_names_of_the_file,
        matrix_and_inputs,
    )
}
OPTIONS = {
    "plain": {},
    "both-2": {"bidirectional": True, "num_layers": 2},
    "both-batch-first": {"bidirectional": True, "batch_first": True},
}


def layer_of(chosen, **options):
    torch.manual_seed(0)
    if chosen.has_memory:
        options = {"heads": 2, "key_size": 5, **options}
    if any(p.columns == ("input",) for p in chosen.parameters if p.kind == "vector"):
        options.pop("num_layers", None)
    layer = elman.Recurrent(chosen, INPUT, HIDDEN, **options).eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter))
    return layer


def sides_of(layer, *axes):
    sizes = layer.stack.sizes(INPUT)
    return {name: torch.rand(*axes, sizes.width((size,))) for name, size in layer.cell.inputs}


def named(inputs):
    return {f"input.{name}": side for name, side in inputs.items()}


def state_of(layer):
    """A state that the layer can be in: some steps after zeros."""
    order = (BATCH, 3) if layer.batch_first else (3, BATCH)
    return layer(torch.randn(*order, INPUT), **sides_of(layer, *order))[1]


def check(found, wanted):
    """Values of a matrix state may be large, so differences are fractions of the largest."""
    assert largest_difference(found, wanted) < 1e-5


def check_sequence(layer, path, lengths):
    order = (BATCH, TIME) if layer.batch_first else (TIME, BATCH)
    x, inputs = torch.randn(*order, INPUT), sides_of(layer, *order)
    with torch.no_grad():
        state = None if lengths is None else state_of(layer)
        y, last = layer(x, state, lengths=lengths, **inputs)
    feeds = {"x": x, **named(inputs)}
    if lengths is not None:
        feeds["lengths"] = torch.tensor(lengths)
        feeds |= {f"state.{n}": s for n, s in zip(layer.cell.states, state, strict=True)}
    found = run(session_of(path), feeds)
    wanted = {f"next_state.{n}": s.numpy() for n, s in zip(layer.cell.states, last, strict=True)}
    check(found, {"y": y.numpy(), **wanted})


@pytest.mark.thinned(3)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", CELLS)
def test_whole_sequences_are_those_of_the_layer(name, options, lengths, tmp_path):
    layer = layer_of(CELLS[name], **options)
    done = elman.export.onnx(layer, tmp_path / "a.onnx")
    assert done.difference < 1e-5
    check_sequence(layer, tmp_path / "a.onnx", lengths)


@pytest.mark.parametrize("name", CELLS)
def test_steps_from_the_state_that_the_last_one_left_are_those_of_the_layer(name, tmp_path):
    layer = layer_of(CELLS[name], num_layers=2)
    elman.export.onnx(layer, tmp_path / "a.onnx", step=True)
    session = session_of(tmp_path / "a.onnx")
    zeros = [np.zeros(layer.stack.state_shape(n, BATCH), np.float32) for n in layer.cell.states]
    state = {f"state.{name}": zero for name, zero in zip(layer.cell.states, zeros, strict=True)}
    x, inputs = torch.randn(TIME, BATCH, INPUT), sides_of(layer, TIME, BATCH)
    outputs = []
    for t in range(TIME):
        sides = named({name: side[t] for name, side in inputs.items()})
        found = run(session, {"x": x[t], **sides, **state})
        outputs.append(found["y"])
        state = {name: found[f"next_{name}"] for name in state}
    with torch.no_grad():
        y, last = layer(x, **inputs)
    wanted = {f"state.{n}": s.numpy() for n, s in zip(layer.cell.states, last, strict=True)}
    check({"y": np.stack(outputs), **state}, {"y": y.numpy(), **wanted})


@quick
@given(random_cells(sides=True), st.booleans(), st.booleans())
def test_a_random_cell_with_side_inputs_comes_out_as_it_is(
    tmp_path_factory, chosen, bidirectional, step
):
    path = tmp_path_factory.mktemp("random") / "a.onnx"
    layer = layer_of(chosen, bidirectional=bidirectional and not step)
    elman.export.onnx(layer, path, step=step)
    if not step:
        check_sequence(layer, path, LENGTHS)


@pytest.mark.thinned(4)
@pytest.mark.parametrize("seed", range(40))
def test_a_random_cell_with_a_matrix_state_comes_out_as_it_is(seed, tmp_path):
    layer = layer_of(random_memory_cell(seed)[1], bidirectional=seed % 3 == 0)
    elman.export.onnx(layer, tmp_path / "a.onnx")
    check_sequence(layer, tmp_path / "a.onnx", LENGTHS)
    if not layer.bidirectional:
        elman.export.onnx(layer, tmp_path / "step.onnx", step=True)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", ["cfc", "matrix_and_inputs"])
def test_an_input_may_be_the_same_at_all_steps(name, batch_first, tmp_path):
    layer = layer_of(CELLS[name], batch_first=batch_first)
    elman.export.onnx(layer, tmp_path / "a.onnx")
    x, inputs = torch.randn(TIME, BATCH, INPUT), sides_of(layer, BATCH)
    x = x.transpose(0, 1).contiguous() if batch_first else x
    axis = 1 if batch_first else 0
    feeds = named({name: side.unsqueeze(axis) for name, side in inputs.items()})
    found = run(session_of(tmp_path / "a.onnx"), {"x": x, **feeds})
    check(found, {"y": layer(x, **inputs)[0].detach().numpy()})


@pytest.mark.parametrize("name", ["cfc", "delta_net", "matrix_and_inputs"])
def test_padding_changes_nothing(name, tmp_path):
    layer = layer_of(CELLS[name], bidirectional=True)
    elman.export.onnx(layer, tmp_path / "a.onnx")
    x, inputs = torch.randn(TIME, 2, INPUT), sides_of(layer, TIME, 2)
    feeds = {"x": x, "lengths": torch.tensor([3, TIME]), **named(inputs)}
    expected = run(session_of(tmp_path / "a.onnx"), feeds)
    for tensor in (x, *inputs.values()):
        tensor[3:, 0] = torch.nan
    found = run(session_of(tmp_path / "a.onnx"), feeds)
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value)


@cell
def remembered_as_y(x, y, *, W):
    return tanh(W.y @ [y, x]) * tanh(W.z @ x)


def test_a_state_may_have_the_name_of_an_output(tmp_path):
    layer = layer_of(remembered_as_y)
    elman.export.onnx(layer, tmp_path / "a.onnx")
    check_sequence(layer, tmp_path / "a.onnx", LENGTHS)


def test_what_needs_no_state_is_not_in_the_loop(tmp_path):
    elman.export.onnx(layer_of(CELLS["mlstm"]), tmp_path / "a.onnx")
    [scan] = [n for n in onnx.load(tmp_path / "a.onnx").graph.node if n.op_type == "Scan"]
    [body] = [a.g for a in scan.attribute if a.name == "body"]
    assert not {"MatMul", "Gemm", "Sigmoid"} & {node.op_type for node in body.node}


def test_a_file_says_its_inputs_heads_and_keys(tmp_path):
    layer = layer_of(CELLS["matrix_and_inputs"])
    elman.export.onnx(layer, tmp_path / "a.onnx")
    model = onnx.load(tmp_path / "a.onnx")
    states = [f"state.{name}" for name in layer.cell.states]
    names = [value.name for value in model.graph.input]
    assert names == ["x", "lengths", *states, "input.dt", "input.u"]
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert (said["elman.heads"], said["elman.key_size"]) == ("2", "5")
    assert elman.graph.read_cell(said["elman.cell_graph"]) == layer.cell


@pytest.mark.parametrize("name", ["mlstm", "delta_net"])
def test_a_model_of_such_layers_is_exported(name, tmp_path):
    torch.manual_seed(0)
    encoder = elman.Recurrent(
        CELLS[name], INPUT, HIDDEN, 2, bidirectional=True, heads=2, key_size=4
    )
    model = Classifier(WordEmbedding(11, INPUT), encoder, 3)
    done = elman.export.onnx(model, tmp_path / "model.onnx")
    assert done.difference < 1e-5
    words, lengths = torch.randint(0, 11, (TIME, BATCH)), torch.tensor([4, 6, 1, 2])
    found = run(session_of(tmp_path / "model.onnx"), {"words": words, "lengths": lengths})
    expected = model.eval()(words, lengths).detach().numpy()
    check(found, {"logits": expected})
    assert type(encoder.stack) is elman.nn.stack.Stack  # as it was before


def deep_mlstm():
    torch.manual_seed(0)
    options = {"bidirectional": True, "heads": 2, "key_size": 16}
    return elman.Recurrent(CELLS["mlstm"], 16, 64, 3, **options)


def test_a_layer_that_float32_itself_rounds_more_is_exported(tmp_path):
    layer = deep_mlstm()
    done = elman.export.onnx(layer, tmp_path / "a.onnx")
    assert 1e-5 < done.difference < min(0.01, 10 * layers_of(layer).rounding())


def test_another_value_is_still_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "sequence_difference", lambda *_: 0.011)
    with pytest.raises(ExportError, match=r"differ from Elman's by 0\.011, more than"):
        elman.export.onnx(deep_mlstm(), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["gru_d", "cfc", "retention", "gated_delta_net"])
def test_int8_weights_stay_near(name, tmp_path):
    torch.manual_seed(0)
    options = {"heads": 2, "key_size": 16} if CELLS[name].has_memory else {}
    layer = elman.Recurrent(CELLS[name], 32, 96, **options)
    done = elman.export.onnx(layer, tmp_path / "a.onnx", quantize="int8")
    assert 1e-5 < done.difference < 0.1
