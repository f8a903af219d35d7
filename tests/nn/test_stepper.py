"""Steps with frozen weights give the bits of ``layer.step``, in memory that is used again."""

import copy
import pickle

import pytest
import torch

import elman
from cells.variants import EDGES, VARIANTS
from elman.cells import CATALOGUE
from elman.errors import OptionError, ShapeError

INPUT, HIDDEN = 5, 11
CELLS = {**CATALOGUE, **VARIANTS, **EDGES}


def layer_of(name, *arguments, **options):
    torch.manual_seed(0)
    return elman.Recurrent(CELLS[name], INPUT, HIDDEN, *arguments, **options).eval()


def assert_steps_alike(layer, stepper, x, state=None):
    for x_t in x:
        with torch.no_grad():
            y, state = layer.step(x_t, state)
        assert torch.equal(stepper(x_t), y)
        for ours, theirs in zip(stepper.state, state, strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.thinned(2)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CELLS)
def test_every_cell_steps_as_its_layer(name, batch):
    layer = layer_of(name, 2)
    assert_steps_alike(layer, layer.stepper(batch), torch.randn(4, batch, INPUT))


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": torch.float64},
        {"dtype": torch.bfloat16},
        {"backend": "reference"},
        {"bias": False},
        {"num_layers": 3},
        {"zoneout": 0.5, "dropout": 0.5, "num_layers": 2},
    ],
    ids=str,
)
def test_options_of_a_layer_are_its_steppers(options):
    layer = layer_of("gru", **options)
    x = torch.randn(4, 2, INPUT, dtype=options.get("dtype", torch.float32))
    assert_steps_alike(layer, layer.stepper(2), x)


def test_a_layer_in_training_has_a_stepper_without_noise():
    layer = layer_of("lstm", 2, dropout=0.5)
    x = torch.randn(4, 1, INPUT)
    stepper = layer.train().stepper()
    assert_steps_alike(layer.eval(), stepper, x)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_layers_with_the_names_of_torch_step_as_they_run(name):
    layer = getattr(elman.nn, name)(INPUT, HIDDEN, 2)
    x = torch.randn(6, 1, INPUT)
    stepper = layer.stepper()
    found = torch.stack([stepper(x_t).clone() for x_t in x])
    torch.testing.assert_close(found, layer(x)[0].detach())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_an_output_layer_is_part_of_the_step(bias, backend):
    layer, output = layer_of("lstm", 2, backend=backend), torch.nn.Linear(HIDDEN, 3, bias=bias)
    x = torch.randn(6, 2, INPUT)
    stepper = layer.stepper(2, output=output)
    found = torch.stack([stepper(x_t).clone() for x_t in x])
    with torch.no_grad():
        y, last = layer(x)
        torch.testing.assert_close(found, output(y))
    assert [state.shape for state in stepper.state] == [state.shape for state in last]


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_state_can_be_set_read_and_reset(backend):
    layer = layer_of("lstm", 2, backend=backend)
    x, stepper = torch.randn(3, 1, INPUT), layer.stepper()
    first = stepper(x[0]).clone()
    state = stepper.state
    second = stepper(x[1]).clone()
    assert not torch.equal(stepper.state[0], state[0])  # what was read is a copy
    stepper.state = state
    assert torch.equal(stepper(x[1]), second)
    stepper.reset()
    assert torch.equal(stepper(x[0]), first)
    given = tuple([torch.randn(2, 1, HIDDEN) for _ in state])
    stepper.state = given
    assert_steps_alike(layer, stepper, x, given)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_weights_are_copied_and_outputs_overwritten(backend):
    layer, output = layer_of("gru", backend=backend), torch.nn.Linear(HIDDEN, 3)
    x, stepper = torch.randn(1, INPUT), layer.stepper(output=output)
    y = stepper(x)
    first = y.clone()
    with torch.no_grad():
        for parameter in [*layer.parameters(), *output.parameters()]:
            parameter.zero_()
    stepper.reset()
    assert torch.equal(stepper(x), first)
    assert stepper(x) is y
    assert not torch.equal(y, first)


def test_any_memory_and_mode_of_the_input_is_read_right():
    layer = layer_of("lstm")
    x = torch.randn(6, 1, INPUT)
    with torch.inference_mode():
        stepper = layer.stepper()
    assert_steps_alike(layer, stepper, x[:2])
    strided = torch.randn(1, 2 * INPUT)[:, ::2]
    with torch.no_grad():
        expected, _ = layer.step(strided, stepper.state)
    assert torch.equal(stepper(strided), expected)
    with torch.inference_mode():
        expected, _ = layer.step(x[3], stepper.state)
        assert torch.equal(stepper(x[3].clone()), expected)
    with torch.no_grad():
        expected, _ = layer.step(-x[4], stepper.state)
    assert torch.equal(stepper(torch._neg_view(x[4].clone())), expected)
    stepper.state = stepper.state
    leaf = x[5].clone().requires_grad_()
    with torch.no_grad():
        expected, _ = layer.step(x[5], stepper.state)
        assert torch.equal(stepper(leaf), expected)


def test_wrong_inputs_are_refused_in_a_sentence():
    layer = layer_of("lstm")
    stepper = layer.stepper()
    with pytest.raises(ShapeError, match=r"x has the shape \(2, 5\), but this stepper's"):
        stepper(torch.randn(2, INPUT))
    with pytest.raises(ShapeError, match="float64"):
        stepper(torch.randn(1, INPUT, dtype=torch.float64))
    with pytest.raises(ShapeError, match="list"):
        stepper([1.0])
    with pytest.raises(OptionError, match="x requires gradients"):
        stepper(torch.randn(1, INPUT, requires_grad=True))
    with pytest.raises(ShapeError, match="a tuple of 2 tensors"):
        stepper.state = torch.randn(1, 1, HIDDEN)
    with pytest.raises(ShapeError, match="a tuple of 2 tensors"):
        stepper.state = None
    with pytest.raises(ShapeError, match=r"state 1 has the shape \(1, 1, 4\)"):
        stepper.state = (torch.randn(1, 1, HIDDEN), torch.randn(1, 1, 4))
    for batch in (0, True):
        with pytest.raises(OptionError, match=f"batch is {batch}"):
            layer.stepper(batch)
    with pytest.raises(OptionError, match="in_features 11"):
        layer.stepper(output=torch.nn.Linear(INPUT, 3))
    with pytest.raises(OptionError, match="later steps"):
        layer_of("lstm", bidirectional=True).stepper()
    for copied in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="make another from its layer"):
            copied(stepper)


def test_parametrized_weights_are_read_when_the_stepper_is_made():
    layer = layer_of("lstm")
    torch.nn.utils.parametrizations.weight_norm(layer.layers[0][0].W, "f")
    assert_steps_alike(layer, layer.stepper(), torch.randn(4, 1, INPUT))
