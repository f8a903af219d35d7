"""Steps with frozen weights of cells with side inputs: one call of compiled code, the same values."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import elman
from elman import cell, exp, layer_norm, matrix, sigmoid, softplus, tanh, where
from elman.backends.native import frozen_steps
from elman.backends.native.llvm.jit import compile_module
from elman.backends.native.llvm.row_values import text_of
from elman.backends.native.llvm.target import find_target
from elman.cells import CATALOGUE, WITH_MATRIX_STATES, gru_d
from elman.errors import OptionError, ShapeError
from graph.random_cells import quick, random_cells
from graph.random_memory_cells import random_memory_cell
from nn.test_matrix_states import everything
from nn.test_matrix_steps import sides_inside
from nn.test_side_inputs import CELLS

TIME = 5


@cell(inputs={"dt": "one", "u": "wide", "k": "input"}, sizes={"W.v": 1, "b.s": 1, "h": "hidden"})
def sized(x, h, dt, u, k, *, W, b, p):
    """Sides of a size of their own, and values of size one from products and functions."""
    gate = sigmoid(W.v @ [x, tanh(u), k] + b.s - dt)
    inner = layer_norm(W.u @ [softplus(u), x * k])
    chosen = where(gate > 0.5, inner, exp(-dt * softplus(p.h)))
    return tanh(W.h @ [h, x] + chosen * gate + b.h)


@cell(inputs={"u": "hidden"})
def masked(x, h, u, *, W, b):
    """A computed matrix that multiplies a side input, and functions of x in a product."""
    m = matrix(W.a) * matrix(W.b)
    return tanh(m @ u + W.h @ [h, tanh(x) * x] + b.h)


OWN = {**CELLS, "sized": sized, "masked": masked}


def layer_of(own, features, hidden, **options):
    torch.manual_seed(0)
    sizes = dict.fromkeys(own.own_sizes, 7)
    layer = elman.Recurrent(own, features, hidden, sizes=sizes or None, **options).eval()
    for p in layer.parameters():
        nn.init.normal_(p, std=0.5)
    return layer


def sides_of(layer, batch, dtype, time=TIME):
    sizes = layer._sizes(0)
    return {
        name: torch.rand(time, batch, sizes.width((size,)), dtype=dtype)
        for name, size in layer.cell.inputs
    }


def assert_same(layer, batch, dtype, near, **options):
    """A stepper's outputs and states are those of the whole sequence."""
    x = torch.randn(TIME, batch, layer.input_size, dtype=dtype)
    sides = sides_of(layer, batch, dtype)
    stepper = layer.stepper(batch, **options)
    with torch.no_grad():
        wanted, last = layer(x, **sides)
    for t in range(TIME):
        y = stepper(x[t], **{name: side[t] for name, side in sides.items()})
        scale = 1 + wanted[t].abs().max().item()
        torch.testing.assert_close(y, wanted[t], rtol=0, atol=near * scale)
    for ours, theirs in zip(stepper.state, last, strict=True):
        scale = 1 + theirs.abs().max().item()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=near * scale)
    return stepper


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    ("dtype", "near"), [(torch.float32, 2e-5), (torch.float64, 1e-13)], ids=["float32", "float64"]
)
@pytest.mark.parametrize(("features", "hidden"), [(4, 5), (16, 32), (17, 67)])
@pytest.mark.parametrize("name", OWN)
def test_steps_are_those_of_the_sequence(name, features, hidden, dtype, near):
    layer = layer_of(OWN[name], features, hidden, dtype=dtype)
    for batch in (1, 3):
        stepper = assert_same(layer, batch, dtype, near)
        assert isinstance(stepper._steps, frozen_steps.FrozenSteps)


@pytest.mark.parametrize("target", ["avx2", "x86-64"])
@pytest.mark.parametrize("name", OWN)
def test_other_processors_compute_the_same(name, target, monkeypatch):
    monkeypatch.setenv("ELMAN_TARGET", target)
    assert_same(layer_of(OWN[name], 9, 19), 2, torch.float32, 2e-5)


@pytest.mark.parametrize("name", OWN)
def test_kernels_compile_for_arm(name, monkeypatch):
    texts = []

    def noted(layout, target):
        texts.append(text_of(layout, find_target("aarch64")))
        return text_of(layout, target)

    monkeypatch.setattr("elman.backends.native.row_values.text_of", noted)
    layer_of(OWN[name], 9, 19).stepper()
    for text in texts:
        assert compile_module(text, find_target("aarch64"))


@quick
@given(random_cells(most_lines=5, sides=True), st.sampled_from([1, 3]))
def test_random_cells(own, batch):
    assert_same(layer_of(own, 5, 11, dtype=torch.float64), batch, torch.float64, 1e-9)


@pytest.mark.thinned(4)
@pytest.mark.parametrize("seed", range(40))
def test_random_cells_with_a_matrix_state(seed):
    source, own = random_memory_cell(seed)
    if not own.parameters:
        pytest.skip("without parameters, x is float32")
    torch.manual_seed(seed)
    layer = elman.Recurrent(own, 3, 6, heads=2, key_size=5, dtype=torch.float64).eval()
    for p in layer.parameters():
        nn.init.normal_(p, std=0.5)
    try:
        assert_same(layer, 1 + seed % 3, torch.float64, 1e-10)
    except AssertionError as error:
        raise AssertionError(source) from error


@pytest.mark.parametrize("own", [everything, sides_inside], ids=lambda own: own.name)
def test_the_steps_of_a_matrix_state_with_side_inputs_are_compiled(own):
    layer = elman.Recurrent(own, 3, 6, heads=2, key_size=5, dtype=torch.float64).eval()
    stepper = assert_same(layer, 2, torch.float64, 1e-12)
    assert isinstance(stepper._steps, frozen_steps.FrozenSteps)


@pytest.mark.parametrize("options", [{"num_layers": 3}, {"backend": "reference"}], ids=str)
def test_layers_above_take_the_same_inputs(options):
    layer = layer_of(OWN["around"], 6, 9, dtype=torch.float64, **options)
    assert_same(layer, 2, torch.float64, 1e-12)


def test_residuals_and_norms_of_layers_with_side_inputs():
    layer = layer_of(
        OWN["around"], 9, 9, num_layers=3, residual=True, norm=True, learned_state=True,
        dtype=torch.float64,
    )  # fmt: skip
    stepper = assert_same(layer, 2, torch.float64, 1e-12)
    assert isinstance(stepper._steps, frozen_steps.FrozenSteps)


def test_int8_weights_stay_near():
    layer = layer_of(gru_d, 24, 48)
    x, sides = torch.randn(TIME, 1, 24), sides_of(layer, 1, torch.float32)
    stepper = layer.stepper(quantize="int8")
    with torch.no_grad():
        wanted, _ = layer(x, **sides)
    for t in range(TIME):
        y = stepper(x[t], **{name: side[t] for name, side in sides.items()})
        assert 0 < (y - wanted[t]).abs().max() < 0.1


def test_any_memory_of_the_inputs_is_read_right():
    layer = layer_of(OWN["cfc"], 4, 5)
    sides = sides_of(layer, 3, torch.float32, 1)
    x, dt = torch.randn(3, 4), sides["dt"][0]
    wanted = layer.stepper(3)(x, dt=dt).clone()
    spread = torch.stack([x, x], -1)[..., 0], torch.stack([dt, dt], -1)[..., 0]
    stepper = layer.stepper(3)
    torch.testing.assert_close(stepper(spread[0], dt=spread[1]), wanted)
    stepper.reset()
    torch.testing.assert_close(stepper(x, dt=dt), wanted)
    stepper.reset()
    with torch.inference_mode():
        torch.testing.assert_close(stepper(x.clone(), dt=dt.clone()), wanted)
    stepper.reset()
    repeated = dt[:1].expand(3, 1)
    torch.testing.assert_close(stepper(x, dt=repeated), layer.stepper(3)(x, dt=repeated.clone()))


def test_wrong_inputs_are_refused_in_a_sentence():
    layer = layer_of(OWN["cfc"], 4, 5)
    stepper, x, dt = layer.stepper(2), torch.randn(2, 4), torch.rand(2, 1)
    for given_by_name, sentence in (
        ({}, "takes the side inputs dt, by name as in .* it was given only x"),
        ({"gap": dt}, "it was given x, gap"),
        ({"dt": dt, "gap": dt}, "it was given x, dt, gap"),
        (
            {"dt": dt[:1]},
            r"dt has the shape \(1, 1\), but this stepper's \(batch, size\) is \(2, 1",
        ),
        ({"dt": dt.double()}, "dt is torch.float64"),
        ({"dt": 0.5}, "dt is float; a stepper takes an ordinary torch.Tensor"),
        ({"dt": torch.nested.nested_tensor([dt[0], dt[1]], layout=torch.jagged)}, "dt is"),
    ):
        with pytest.raises(ShapeError, match=sentence):
            stepper(x, **given_by_name)
    with pytest.raises(OptionError, match="dt requires gradients"):
        stepper(x, dt=dt.clone().requires_grad_())
    with pytest.raises(ShapeError, match="a step takes only x"):
        layer_of(elman.cells.gru, 4, 5).stepper(2)(x, dt=dt)


@pytest.mark.parametrize("options", [{}, {"residual": True, "norm": True}], ids=str)
@pytest.mark.parametrize("name", ["lstm", "gru", "sru", "cfc", "around", "mlstm"])
@torch.no_grad()
def test_an_output_can_be_the_next_input(name, options):
    """The step overwrites y, also where it still reads it as x or a side input."""
    own = {**CATALOGUE, **WITH_MATRIX_STATES, **OWN}[name]
    for layers in (1, 2):
        layer = layer_of(own, 33, 33, num_layers=layers, dtype=torch.float64, **options)
        sides, last = sides_of(layer, 3, torch.float64), None
        stepper = layer.stepper(3)
        y = wanted = torch.randn(3, 33, dtype=torch.float64)
        for t in range(TIME):
            now = {name: side[t] for name, side in sides.items()}
            theirs = {"u": wanted} if "u" in now else {}
            ours = {"u": y} if "u" in now else {}
            wanted, last = layer(
                wanted[None], last, **{n: side[None] for n, side in {**now, **theirs}.items()}
            )
            wanted = wanted[0]
            y = stepper(y, **{**now, **ours})
            torch.testing.assert_close(y, wanted, rtol=1e-9, atol=1e-9)
        # a part of y, and rows of other lengths
        narrow = layer_of(own, 20, 33, dtype=torch.float64)
        stepper, again = narrow.stepper(3), narrow.stepper(3)
        first = torch.randn(3, 20, dtype=torch.float64)
        now = {name: side[0] for name, side in sides.items()}
        part = stepper(first, **now).flatten()[10:70].view(3, 20)
        again(first, **now)
        expected = again(part.clone(), **now)
        torch.testing.assert_close(stepper(part, **now), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["lstm", "cfc", "masked", "mlstm", "sides_inside"])
@torch.no_grad()
def test_the_default_device_does_not_matter(name):
    own = {**CATALOGUE, **WITH_MATRIX_STATES, **OWN, "sides_inside": sides_inside}[name]
    layer = layer_of(own, 6, 6, num_layers=2, dtype=torch.float64)
    x, sides = torch.randn(TIME, 2, 6, dtype=torch.float64), sides_of(layer, 2, torch.float64)
    whole, _ = layer(x, **sides)
    torch.set_default_device("meta")
    try:
        stepper, state = layer.stepper(2), None
        for t in range(TIME):
            now = {n: side[t] for n, side in sides.items()}
            y, state = layer.step(x[t], state, **now)
            for found in (y, stepper(x[t], **now)):
                torch.testing.assert_close(found, whole[t], rtol=1e-9, atol=1e-9)
        assert layer(x, **sides)[0].device.type == "cpu"
    finally:
        torch.set_default_device(None)
