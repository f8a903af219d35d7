"""``layer.step`` without gradients for cells with a matrix state: the engine's own steps."""

import copy

import pytest
import torch
from torch import nn

import elman
from elman import cell, outer, sigmoid, tanh, where
from elman.backends.native.matrix_stepping import MatrixStepper
from elman.cells import CATALOGUE, WITH_INPUTS, WITH_MATRIX_STATES
from elman.errors import ShapeError
from graph.random_memory_cells import random_memory_cell
from nn.test_matrix_states import deeper, everything, keys_alone


@cell(inputs={"dt": "one", "u": "hidden"}, sizes={"S": "memory", "W.k": "key", "W.q": "key"})
def sides_inside(x, h, S, dt, u, *, W):
    """A side input of size one that the core reads as it is."""
    S = sigmoid(dt) * S + outer(W.v @ x + u, W.k @ [u, x])
    return S @ (W.q @ [x, u]) * dt, S


CELLS = {
    **WITH_MATRIX_STATES,
    "sides": sides_inside,
    "deeper": deeper,
    "everything": everything,
    "keys": keys_alone,
}
TIME, INPUT = 6, 5


def layer_of(own, layers=2, **options):
    torch.manual_seed(0)
    options = {"dtype": torch.float64, "heads": 2, "key_size": 3, **options}
    layer = elman.Recurrent(own, INPUT, 10, layers, **options).eval()
    for p in layer.parameters():
        nn.init.normal_(p, std=0.4)
    return layer


def inputs_of(layer, batch=3, time=TIME):
    dtype = next(layer.parameters()).dtype
    sizes = layer._sizes(0)
    sides = {
        name: torch.rand(time, batch, sizes.width((size,)), dtype=dtype)
        for name, size in layer.cell.inputs
    }
    return torch.randn(time, batch, INPUT, dtype=dtype), sides


def steps_of(layer, x, sides, state=None):
    outputs, states = [], []
    for t, each in enumerate(x):
        y, state = layer.step(each, state, **{name: side[t] for name, side in sides.items()})
        outputs.append(y)
        states.append(state)
    return torch.stack(outputs), states


def assert_near(found, wanted, near):
    for a, b in zip(found, wanted, strict=True):
        scale = 1 + b.abs().max().item()
        torch.testing.assert_close(a, b, rtol=0, atol=near * scale)


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    ("dtype", "near"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=["float32", "float64"]
)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("name", CELLS)
@torch.no_grad()
def test_steps_see_every_change(name, layers, dtype, near):
    layer = layer_of(CELLS[name], layers, dtype=dtype)
    for change in (lambda p: None, lambda p: p.data.mul_(0.5), lambda p: p.add_(0.1)):
        for p in layer.parameters():
            change(p)
        x, sides = inputs_of(layer)
        y, states = steps_of(layer, x, sides)
        whole, last = layer(x, **sides)
        assert isinstance(layer._stepper, MatrixStepper)
        assert_near([y, *states[-1]], [whole, *last], near)


@cell(
    inputs={"dt": "one"},
    sizes={"S": "memory", "n": "key", "W.k": "key", "W.a": "one"},
)
def timed(x, y, S, n, dt, *, W):
    """A number for a row that the steps read for each head."""
    k = tanh(W.k @ x)
    S = sigmoid(W.a @ x) * S + outer(tanh(dt * (W.v @ x)), k)
    n = where(dt > 0.5, 0.5 * n + k, k)
    return tanh(S @ n), S, n


@pytest.mark.parametrize("heads", [1, 2, 5])
@torch.no_grad()
def test_a_number_for_a_row_is_read_by_every_head(heads):
    layer = layer_of(timed, heads=heads)
    x, sides = inputs_of(layer, batch=2)
    whole, last = layer(x, **sides)
    y, states = steps_of(layer, x, sides)
    assert isinstance(layer._stepper, MatrixStepper)
    assert_near([y, *states[-1]], [whole, *last], 1e-12)
    stepper = layer.stepper(2)
    for t in range(TIME):
        assert_near([stepper(x[t], dt=sides["dt"][t])], [whole[t]], 1e-12)


@pytest.mark.thinned(4)
@pytest.mark.parametrize("seed", range(40))
@torch.no_grad()
def test_random_cells(seed):
    source, own = random_memory_cell(seed)
    if not own.parameters:
        pytest.skip("without parameters, x is float32")
    layer = layer_of(own, 1 + seed % 2)
    x, sides = inputs_of(layer, 1 + seed % 3)
    y, states = steps_of(layer, x, sides)
    whole, last = layer(x, **sides)
    try:
        assert_near([y, *states[-1]], [whole, *last], 1e-10)
    except AssertionError as error:
        raise AssertionError(source) from error


@pytest.mark.parametrize("name", CELLS)
@torch.no_grad()
def test_what_was_returned_stays(name):
    layer = layer_of(CELLS[name])
    x, sides = inputs_of(layer, time=40)  # more than one block of memory
    outputs, states, kept, state = [], [], [], None
    for t, each in enumerate(x):
        y, state = layer.step(each, state, **{name: side[t] for name, side in sides.items()})
        outputs.append((y, y.clone()))
        states.append(state)
        kept.append([each.clone() for each in state])
    assert all([torch.equal(y, copied) for y, copied in outputs])
    for now, before in zip(states, kept, strict=True):
        assert all([torch.equal(a, b) for a, b in zip(now, before, strict=True)])
    # an earlier state is where another sequence begins
    again, _ = steps_of(layer, x[7:], {n: side[7:] for n, side in sides.items()}, states[6])
    assert_near(list(again), [y for y, _ in outputs[7:]], 1e-12)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("change", ["in place", "behind torch's back", "others"])
@torch.no_grad()
def test_changed_states_are_read(name, change):
    layer = layer_of(CELLS[name])
    x, sides = inputs_of(layer)
    first = {n: side[0] for n, side in sides.items()}
    _, state = layer.step(x[0], None, **first)
    _, state = layer.step(x[1], state, **first)
    wanted = tuple([0.5 * each for each in state])
    if change == "in place":
        for each in state:
            each.mul_(0.5)
    elif change == "behind torch's back":
        for each in state:
            each.data.numpy()[...] *= 0.5
    else:
        state = tuple([each * 0.5 for each in state])
    expected, last = layer(x[2:3], wanted, **{n: side[2:3] for n, side in sides.items()})
    y, after = layer.step(x[2], state, **{n: side[2] for n, side in sides.items()})
    assert_near([y, *after], [expected[0], *last], 1e-12)


@torch.no_grad()
def test_other_batches_types_and_modes():
    layer = layer_of(WITH_MATRIX_STATES["delta_net"])
    for batch in (3, 1, 3):
        x, sides = inputs_of(layer, batch)
        y, states = steps_of(layer, x, sides)
        whole, last = layer(x)
        assert_near([y, *states[-1]], [whole, *last], 1e-12)
    with torch.inference_mode():
        found, states = steps_of(layer, x, sides)
    assert_near([found, *states[-1]], [whole, *last], 1e-12)
    assert_near([steps_of(layer.freeze(), x, sides)[0]], [whole], 1e-12)
    copied = copy.deepcopy(layer)
    assert_near([steps_of(copied, x, sides)[0]], [whole], 1e-12)
    half = copy.deepcopy(layer).to(torch.bfloat16)
    y, _ = steps_of(half, x.to(torch.bfloat16), sides)
    assert_near([y.double()], [whole], 0.1)


def test_gradients_are_those_of_the_sequence():
    layer = layer_of(WITH_MATRIX_STATES["mlstm"])
    x, sides = inputs_of(layer)
    with torch.no_grad():
        _, state = layer.step(x[0])
    y, _ = steps_of(layer, x[1:], sides, state)
    whole, _ = layer(x[1:], state)
    found = torch.autograd.grad(y.sum(), [*layer.parameters()])
    wanted = torch.autograd.grad(whole.sum(), [*layer.parameters()])
    assert_near(found, wanted, 1e-10)


@torch.no_grad()
def test_wrong_states_are_refused():
    layer = layer_of(WITH_MATRIX_STATES["delta_net"])
    x, _ = inputs_of(layer)
    _, state = layer.step(x[0])
    sparse = state[0].to_sparse(), state[1]
    for wrong in (state[:1], (state[0], state[1][..., :1]), (state[0], 3.0), state[0], sparse):
        with pytest.raises(ShapeError, match=r"state|the initial"):
            layer.step(x[1], wrong)
    layer.layers[0][0].W["k"] = nn.Parameter(torch.zeros(3, 4, dtype=torch.float64))
    with pytest.raises(ShapeError, match=r"W.k has the shape \(3, 4\)"):
        layer.step(x[1], state)


@torch.no_grad()
def test_a_state_transposed_in_place_is_read_as_it_is():
    layer = layer_of(WITH_MATRIX_STATES["delta_net"], key_size=5)
    x, _ = inputs_of(layer)
    _, state = layer.step(x[0])
    y, state = layer.step(x[1], state)
    state[1].transpose_(-1, -2)
    expected, last = layer(x[2:3], tuple([each.clone() for each in state]))
    y, after = layer.step(x[2], state)
    assert_near([y, *after], [expected[0], *last], 1e-12)


@pytest.mark.parametrize("name", ["lstm", "cfc", "delta_net"])
def test_backward_does_not_mind_what_becomes_of_later_steps(name):
    """Each result of steps without gradients has a version of its own."""
    options = {} if name in WITH_MATRIX_STATES else {"heads": 1, "key_size": None}
    layer = layer_of({**CATALOGUE, **WITH_INPUTS, **WITH_MATRIX_STATES}[name], **options)
    x, sides = inputs_of(layer)
    at = [{n: side[t] for n, side in sides.items()} for t in range(TIME)]
    with torch.no_grad():
        _, before = layer.step(x[0], None, **at[0])
        below, state = layer.step(x[1], before, **at[1])
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    saved = scale * below.sum(), scale * below
    y, _ = layer.step(x[2], state, **at[2])
    with torch.no_grad():
        other = tuple([each.clone() for each in before])
        later, other = layer.step(x[3], other, **at[3])
        for each in (later, *other):
            each.zero_()
        layer.step(x[4], tuple([each + 1 for each in other]), **at[4])
    loss = y.sum() + sum([each.sum() for each in saved])
    found = torch.autograd.grad(loss, [*layer.parameters()], allow_unused=True)
    whole, _ = layer(x[2:3], state, **{n: side[2:3] for n, side in sides.items()})
    wanted = torch.autograd.grad(whole.sum(), [*layer.parameters()], allow_unused=True)
    given = [(a, b) for a, b in zip(found, wanted, strict=True) if b is not None]
    assert_near([a for a, _ in given], [b for _, b in given], 1e-10)
