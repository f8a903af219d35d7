"""Matrices computed from parameters: values and gradients agree with a loop in plain torch."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import elman
from elman import (
    cell,
    heads,
    lower_triangle,
    matrix,
    orthogonal,
    sigmoid,
    tanh,
    transpose,
    unit_rows,
    where,
)
from elman.cells import (
    CATALOGUE,
    WITH_INPUTS,
    WITH_MATRICES,
    WITH_MATRIX_STATES,
    WITH_SIZES,
)
from elman.errors import CellError, OptionError
from elman.export.traced import traced
from elman.graph import read_cell, read_equations
from elman.graph.ops import MATRICES
from elman.nn import chrono, hippo_
from elman.passes.separate import separate, separated
from graph.plain import Numbers, run

TIME, BATCH, INPUT, HIDDEN = 6, 3, 4, 8

EVERY_FUNCTION = '''
@cell(init={"b.z": 1.0})
def every_function(x, h, *, W, b, p):
    """Each function of a matrix, and arithmetic of matrices."""
    z = sigmoid(heads(W.z, 2) @ h + heads(W.y, 2) @ x + b.z)
    a = orthogonal(W.a) @ h + W.x @ x + skew(0.1 * matrix(W.s)) @ h
    c = sigmoid(p.c * (unit_rows(W.c) @ [h, x]) + W.t.T @ h)
    d = lower_triangle(W.d) @ h + householder(W.e) @ (h * z) + exp(-0.5 * matrix(W.t)) @ h
    return c * tanh(a + 0.3 * d) + (1 - c) * h
'''


@cell
def shared(x, h, s, *, W, b):
    """One matrix in three forms, and a computed one that multiplies x in two places."""
    a = tanh(W.h @ h + unit_rows(W.x) @ x + b.h)
    s = tanh(transpose(W.h) @ a + where(matrix(W.h) > 0, W.h, 0) @ s + unit_rows(W.x) @ x)
    return a + s, s


@cell(inputs={"u": "hidden", "v": "input"})
def beside_inputs(x, h, u, v, *, W, b):
    """Computed matrices that multiply inputs beside x."""
    return tanh(unit_rows(W.h) @ [h, u, x] + orthogonal(W.u) @ u + lower_triangle(W.v) @ v + b.h)


@cell(gates="i f z o")
def headed(x, h, c, *, W, R, b):
    """An LSTM whose units are in two heads."""
    i = sigmoid(W.i @ x + heads(R.i, 2) @ h + b.i)
    f = sigmoid(W.f @ x + heads(R.f, 2) @ h + b.f)
    z = tanh(W.z @ x + heads(R.z, 2) @ h + b.z)
    o = sigmoid(W.o @ x + heads(R.o, 2) @ h + b.o)
    c = f * c + i * z
    return o * tanh(c), c


every_function = read_equations(EVERY_FUNCTION)
CELLS = {c.name: c for c in (every_function, shared, headed, *WITH_MATRICES.values())}


def layer_of(own, **options):
    torch.manual_seed(0)
    layer = elman.Recurrent(own, INPUT, HIDDEN, **{"dtype": torch.float64, **options})
    for p in layer.parameters():
        nn.init.normal_(p, std=0.4)
    return layer


@pytest.mark.parametrize("lengths", [None, [4, 6, 1]], ids=["full", "ragged"])
@pytest.mark.parametrize("backend", ["reference", "native"])
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_agree_with_plain_torch(name, backend, lengths):
    own = CELLS[name]
    layer = layer_of(own, backend=backend)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64, requires_grad=True)
    given = None if lengths is None else torch.tensor(lengths)
    y, last = layer(x, lengths=given)
    parameters = layer._directions()[0].in_order(own)
    states = tuple([x.new_zeros(BATCH, HIDDEN) for _ in own.states])
    wanted, ends = run(own, Numbers(x, states, tuple(parameters), given))
    torch.testing.assert_close(y, wanted, rtol=1e-10, atol=1e-12)
    for state, end in zip(last, ends, strict=True):
        torch.testing.assert_close(state[0], end, rtol=1e-10, atol=1e-12)
    weights = torch.randn_like(y)
    found = torch.autograd.grad((y * weights).sum(), [x, *parameters])
    plain = torch.autograd.grad((wanted * weights).sum(), [x, *parameters])
    for a, b in zip(found, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_computed_matrices_multiply_inputs_beside_x(backend):
    layer = layer_of(beside_inputs, backend=backend)
    x, v = torch.randn(2, TIME, BATCH, INPUT, dtype=torch.float64)
    u = torch.randn(TIME, BATCH, HIDDEN, dtype=torch.float64)
    y, _ = layer(x, u=u, v=v)
    p = {name.removeprefix("layers.0.0."): w for name, w in layer.named_parameters()}
    rows = p["W.h"] / p["W.h"].norm(dim=1, keepdim=True)
    one = torch.eye(HIDDEN, dtype=torch.float64)
    turn = torch.linalg.inv(one + p["W.u"] - p["W.u"].T) @ (one - p["W.u"] + p["W.u"].T)
    h = x.new_zeros(BATCH, HIDDEN)
    for t in range(TIME):
        both = torch.cat([h, u[t], x[t]], 1)
        h = torch.tanh(both @ rows.T + u[t] @ turn.T + v[t] @ p["W.v"].tril().T + p["b.h"])
        torch.testing.assert_close(y[t], h)


def test_what_functions_of_matrices_promise():
    a = torch.randn(HIDDEN, HIDDEN, dtype=torch.float64)
    from elman.torch_mathematics import TorchMathematics as m

    for name in ("orthogonal", "householder"):
        q = getattr(m, name)(a)
        torch.testing.assert_close(q @ q.T, torch.eye(HIDDEN, dtype=torch.float64))
    torch.testing.assert_close(m.unit_rows(a).norm(dim=1), torch.ones(HIDDEN, dtype=torch.float64))
    blocks = m.heads(a[:, :2], 4)
    assert blocks.shape == (HIDDEN, HIDDEN)
    assert blocks[:2, 2:].abs().max() == 0
    torch.testing.assert_close(blocks[6:, 6:], a[6:, :2])


@pytest.mark.parametrize("name", CELLS)
def test_text_and_equations_are_read_back(name):
    own = CELLS[name]
    assert read_cell(own.text) == own
    assert copy.deepcopy(own) == own
    core = separate(own).core
    assert read_cell(core.text) == core
    assert not MATRICES & {node.operation for node in core.nodes}
    assert not core.inputs


def test_equations_as_text_and_latex():
    text = str(every_function)
    assert "z = σ(heads(W.z, 2) · h + heads(W.y, 2) · x + b.z)" in text
    assert "exp((-0.5) * W.t) · h" in text
    assert "W.tᵀ · h" in text
    antisymmetric = WITH_MATRICES["antisymmetric_rnn"]
    assert "(W.h - W.hᵀ) · h" in str(antisymmetric)
    assert r"(W_{h} - W_{h}^{\top}) \cdot h_{t-1}" in antisymmetric.latex()


def test_a_core_computes_nothing_from_its_matrices():
    parts = separate(shared)
    assert str(parts.core).splitlines() == [
        "a = tanh(W.h · h + W.x · x + b.h)",
        "s' = tanh(W.h_2 · a + W.h_3 · s + W.x · x)",
        "h' = a + s'",
    ]
    assert separated(CATALOGUE["lstm"].text) is None


@pytest.mark.parametrize("name", CELLS)
def test_steps_are_those_of_the_layer(name):
    layer = layer_of(CELLS[name], num_layers=2, dtype=torch.float32).eval()
    x = torch.randn(TIME, BATCH, INPUT)
    stepper, state = layer.stepper(BATCH), None
    with torch.no_grad():
        y, _ = layer(x)
        for now, wanted in zip(x, y, strict=True):
            one, state = layer.step(now, state)
            torch.testing.assert_close(one, wanted, rtol=1e-6, atol=1e-7)
            torch.testing.assert_close(stepper(now), wanted, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["every_function", "headed", "orthogonal_rnn"])
def test_exported_layers_compute_the_same(name, tmp_path):
    """Exporters run what they write beside the layer; the weights of the file are the computed."""
    layer = layer_of(CELLS[name], dtype=torch.float32).eval()
    assert elman.export.onnx(layer, tmp_path / "layer.onnx").difference < 1e-5
    assert elman.export.c(layer, tmp_path / "layer.c").difference < 1e-5
    assert elman.export.torch_program(layer, tmp_path / "layer.pt2").difference < 1e-5


def test_a_model_with_such_a_layer_is_exported_with_its_matrices_computed():
    model = _Last(layer_of(every_function, dtype=torch.float32)).eval()
    x = torch.randn(TIME, BATCH, INPUT)
    axes = [["time", "batch", INPUT]]
    program = traced(model, [x], axes)
    torch.testing.assert_close(program.module()(x), model(x))
    operators = {str(node.target) for node in program.graph.nodes}
    assert not any(["solve" in name or "householder" in name for name in operators])
    assert model.layer.cell == every_function  # the model itself is as it was


class _Last(nn.Module):
    """A layer, and a linear one on its outputs."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.output = layer, nn.Linear(HIDDEN, 2)

    def forward(self, x):
        return self.output(self.layer(x)[0])


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_transforms_of_torch(backend):
    layer = layer_of(every_function, backend=backend)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    parameters = dict(layer.named_parameters())

    def outputs(given):
        return torch.func.functional_call(layer, given, (x,))[0]

    found = torch.func.grad(lambda given: outputs(given).square().sum())(parameters)
    layer(x)[0].square().sum().backward()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, parameters[name].grad)
    two = {name: torch.stack([p.detach(), 0.9 * p.detach()]) for name, p in parameters.items()}
    both = torch.func.vmap(outputs)(two)
    torch.testing.assert_close(both[0], layer(x)[0])


def test_second_derivatives():
    layer = layer_of(headed, backend="native")
    x = torch.randn(2, 1, INPUT, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,))


def test_a_compiled_layer_computes_the_same():
    layer = layer_of(every_function, dtype=torch.float32)
    x = torch.randn(TIME, BATCH, INPUT)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x)[0], layer(x)[0], rtol=1e-5, atol=1e-6)


def test_bfloat16_and_noise():
    options = {"recurrent_dropout": 0.2, "drop_connect": 0.2, "zoneout": 0.1}
    layer = layer_of(headed, dtype=torch.float32, **options)
    x = torch.randn(TIME, BATCH, INPUT)
    layer.train()
    layer(x)[0].sum().backward()
    assert all([p.grad.isfinite().all() for p in layer.parameters()])
    half = layer_of(headed, dtype=torch.bfloat16)
    exact = layer_of(headed, dtype=torch.float32)
    torch.testing.assert_close(half(x.bfloat16())[0].float(), exact(x)[0], rtol=0.05, atol=0.05)


def test_heads_have_the_parameters_of_their_blocks():
    layer = elman.Recurrent(headed, INPUT, HIDDEN)
    shapes = {name: tuple(p.shape) for name, p in layer.named_parameters()}
    assert shapes["layers.0.0.R.i"] == (HIDDEN, HIDDEN // 2)
    blocks = layer.layers[0][0].R.i.detach().chunk(2)
    for block in blocks:  # each begins orthogonal
        torch.testing.assert_close(block @ block.T, torch.eye(HIDDEN // 2))
    with pytest.raises(OptionError, match=r"R\.i has 2 heads, but the hidden size 5 is not divis"):
        elman.Recurrent(headed, INPUT, 5)


def test_heads_do_not_read_one_another():
    layer = layer_of(headed)
    state = torch.zeros(1, 1, HIDDEN, dtype=torch.float64, requires_grad=True)
    x = torch.zeros(3, 1, INPUT, dtype=torch.float64)
    y, _ = layer(x, (state, torch.zeros_like(state)))
    (gradient,) = torch.autograd.grad(y[-1, 0, : HIDDEN // 2].sum(), state)
    assert (gradient[0, 0, : HIDDEN // 2] != 0).all()
    assert (gradient[0, 0, HIDDEN // 2 :] == 0).all()


def test_diagnose_takes_them():
    found = elman.diagnose(WITH_MATRICES["orthogonal_rnn"], steps=12, hidden_size=8)
    assert [*found] == ["orthogonal_rnn"]
    lengths = found["orthogonal_rnn"].gradient["h"]  # NaN beyond the sequence
    assert np.nanmin(lengths) > 0.999
    assert np.nanmax(lengths) < 1.001


def test_initial_values_of_a_parameter():
    start = {"b.f": chrono(50), "b.i": chrono(50, negative=True), "W.o": nn.init.zeros_, "b.o": 3}
    layer = elman.Recurrent(elman.cells.lstm, INPUT, HIDDEN, init=start)
    own = layer.layers[0][0]
    assert ((own.b.f >= 0) & (own.b.f <= np.log(49))).all()
    assert (own.b.i <= 0).all()
    assert (own.W.o == 0).all()
    assert (own.b.o == 3).all()
    with torch.no_grad():
        own.W.o.fill_(1)
    layer.reset_parameters()
    assert (own.W.o == 0).all()


def test_hippo_is_the_matrix_of_the_paper():
    n = 5
    wanted = np.zeros((n, n))
    for row in range(n):
        for column in range(n):
            if row > column:
                wanted[row, column] = -np.sqrt((2 * row + 1) * (2 * column + 1))
            elif row == column:
                wanted[row, column] = -(row + 1)
    np.testing.assert_allclose(hippo_(torch.empty(n, n, dtype=torch.float64)), wanted)
    with pytest.raises(OptionError, match="square matrix, but the parameter has the shape"):
        hippo_(torch.empty(2, 3))


@pytest.mark.parametrize(
    ("init", "said"),
    [
        ({"b.q": 1.0}, "init names b.q, which is not one of the cell's parameters"),
        ({"b.f": "chrono"}, "init gives b.f the value 'chrono'"),
    ],
)
def test_mistakes_in_initial_values(init, said):
    with pytest.raises(OptionError, match=said):
        elman.Recurrent(elman.cells.lstm, INPUT, HIDDEN, init=init)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "heads(W.h, 3) @ [h, x]",
            r"heads takes a matrix that multiplies one operand, not \[hidden, input\]; write",
        ),
        (
            "W.h.T @ x",
            "transpose takes a square matrix, which multiplies one operand of size hidden",
        ),
        ("heads(W.h, h) @ h", "the number of heads is state"),
        ("heads(W.h, 2.5) @ h", "the number of heads is 2.5; it must be a positive integer"),
        ("heads(W.h, 5000) @ h", "the number of heads must be an integer from 1 to 1,024"),
        ("heads(W.h.T, 2) @ h", "heads takes a matrix of learned parameters itself"),
        ("heads(W.h, 2) @ h + W.h @ h", "W.h has 2 heads in one place and 1 in another"),
        ("(W.h.T * h) @ h", "a matrix and a vector are not of one size"),
        ("layer_norm(matrix(W.h)) @ h", "a row's mean and variance are not those of a matrix"),
        ("matrix(W.h)", "the next h has size matrix"),
        ("exp(W.h) @ h", r"write a matrix that is computed from parameters with matrix\(W.f\)"),
        ("W.a @ matrix(W.b) @ h", "the product of two matrices is not available"),
        ("skew(h) @ h", "this takes a matrix of learned parameters"),
        ("h.T", "this takes a matrix of learned parameters"),
    ],
)
def test_mistakes_are_sentences(line, said):
    with pytest.raises(CellError, match=said):
        read_equations(f"def wrong(x, h, *, W, b):\n    return {line}")


def test_groups_of_the_catalogue_share_no_name():
    names = [*CATALOGUE, *WITH_INPUTS, *WITH_MATRICES, *WITH_MATRIX_STATES, *WITH_SIZES]
    assert len(names) == len(set(names)) == len(elman.cells.ALL)
