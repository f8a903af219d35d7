"""Diagnoses of layers with side inputs or a matrix state, against torch's own gradients."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import elman
from elman.cells import WITH_INPUTS, WITH_MATRIX_STATES
from elman.diagnose import gradient_terms
from elman.diagnose.examination import _directions
from elman.diagnose.flow import follow_back, losses_of
from elman.diagnose.inside import visits
from elman.diagnose.table import tables
from elman.errors import ShapeError

TIME, BATCH, INPUT, HIDDEN = 6, 3, 3, 4
LENGTHS = (6, 3, 0)
CELLS = {**WITH_INPUTS, **WITH_MATRIX_STATES}
each_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)


def layer_of(cell, **options):
    torch.manual_seed(0)
    if cell.has_memory:
        options |= {"heads": 2, "key_size": 3}
    layer = elman.Recurrent(cell, INPUT, HIDDEN, dtype=torch.float64, **options)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.6)
    return layer


def normal(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sides_of(layer, *axes):
    sizes = layer.stack.sizes(INPUT)
    return {
        name: torch.rand(*axes, sizes.width((size,)), dtype=torch.float64)
        for name, size in layer.cell.inputs
    }


@each_cell
def test_the_gradient_of_every_state_at_every_distance_is_torchs(cell):
    layer, x, direction = layer_of(cell), normal(TIME, BATCH, INPUT), normal(TIME, BATCH, HIDDEN)
    inputs = sides_of(layer, TIME, BATCH)
    found = elman.diagnose(
        layer, x=x, inputs=inputs, output_gradient=direction, losses=None, exact=0
    )[cell.name]
    zeros = [torch.zeros(layer.stack.state_shape(n, BATCH)).double() for n in cell.states]
    state, entering, outputs = tuple([zero.requires_grad_() for zero in zeros]), [], []
    for t in range(TIME):
        entering.append(state)
        y, state = layer.step(x[t], state, **{name: side[t] for name, side in inputs.items()})
        outputs.append(y)
    for loss, (t, b) in enumerate(zip(found.steps, found.sequences, strict=True)):
        output = (direction[t, b] * outputs[t][b]).sum()
        for s, name in enumerate(cell.states):
            values = found.gradient[name][:, loss]
            expected = torch.autograd.grad(
                output, [states[s] for states in reversed(entering[: t + 1])],
                retain_graph=True, allow_unused=True, materialize_grads=True,
            )  # fmt: skip
            norms = [g[0, b].norm() / direction[t, b].norm() for g in expected]
            np.testing.assert_allclose(values[1 : t + 2], norms, rtol=1e-9, atol=1e-12)
            assert np.isnan(values[t + 2 :]).all()


@each_cell
def test_the_terms_by_distance_add_up_to_the_gradient_of_every_parameter(cell):
    layer, x, weights = layer_of(cell), normal(TIME, BATCH, INPUT), normal(TIME, BATCH, HIDDEN)
    inputs = sides_of(layer, TIME, BATCH)
    (weights * layer(x, lengths=LENGTHS, **inputs)[0]).sum().backward()
    terms = gradient_terms(layer, x, weights, lengths=LENGTHS, inputs=inputs)
    for p in cell.parameters:
        expected = layer.get_parameter(f"layers.0.0.{p.key}").grad
        torch.testing.assert_close(terms[p.key].sum(0), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["cfc", "mlstm"])
def test_in_a_model_the_terms_of_all_layers_and_directions_are_its_gradients(name):
    layer = layer_of(CELLS[name], num_layers=2, bidirectional=True, batch_first=True)
    x, inputs = normal(BATCH, TIME, INPUT), sides_of(layer, BATCH, TIME)
    model = nn.ModuleDict({"layer": layer, "output": nn.Linear(2 * HIDDEN, 1).double()})

    def loss():
        return model["output"](layer(x, lengths=LENGTHS, **inputs)[0]).square().sum()

    [visit] = visits(model, loss).values()
    loss().backward()
    for k, (_, trajectory, gradient) in enumerate(_directions(visit)):
        starts = losses_of(trajectory, gradient, None, 0)
        sums = [0.0 for _ in layer.cell.parameters]
        for arrival in follow_back(trajectory, starts, TIME - 1):
            if arrival.parameters is not None:
                sums = [a + b for a, b in zip(sums, arrival.parameters, strict=True)]
        for p, total in zip(layer.cell.parameters, sums, strict=True):
            expected = layer.get_parameter(f"layers.{k // 2}.{k % 2}.{p.key}").grad
            torch.testing.assert_close(total, expected, rtol=1e-9, atol=1e-9)


def test_steps_of_a_model_are_read_with_their_inputs():
    layer = layer_of(CELLS["cfc"])
    x, gaps = normal(TIME, BATCH, INPUT), sides_of(layer, TIME, BATCH)["dt"]

    def loss():
        state, total = None, 0.0
        for t in range(TIME):
            y, state = layer.step(x[t], state, dt=gaps[t])
            total = total + y.square().sum()
        return total

    [visit] = visits(nn.Sequential(layer), loss).values()
    torch.testing.assert_close(visit.sides["dt"], gaps)
    torch.testing.assert_close(visit.x, x)


@pytest.mark.parametrize("name", ["gru_d", "gated_delta_net"])
def test_jacobians_bound_the_gradients_and_gates_are_read(name):
    layer = layer_of(CELLS[name])
    comparison = elman.diagnose(layer, steps=8, batch=2)
    found = comparison[name]
    first = layer.cell.states[0]
    assert found.jacobians is not None
    assert np.isfinite(found.jacobians.largest).all()
    total = np.sqrt(np.sum([found.gradient[s] ** 2 for s in layer.cell.states], axis=0))
    longest = total[found.jacobians.distances][:, found.sequences == 0][:, 0]
    assert (longest <= found.jacobians.largest[:, 0] * (1 + 1e-9)).all()
    assert found.gates
    assert found.units[first].mean.shape == (HIDDEN,)
    assert comparison.words
    assert tables(comparison)
    assert comparison.record()["layers"][name]["states"]


def test_wide_states_have_no_jacobians():
    found = elman.diagnose(CELLS["delta_net"], steps=4, batch=1, hidden_size=64)["delta_net"]
    assert found.jacobians is None
    assert np.isfinite(found.gradient["S"][0]).all()


def test_the_command_takes_such_cells(command):
    status, out, said = command(
        "diagnose", "--cell", "cfc", "--cell", "mlstm", "--steps", 6, "--hidden-size", 4, "--json"
    )
    assert status == 0, said
    assert list(json.loads(out)["layers"]) == ["cfc", "mlstm"]


def test_what_does_not_fit_is_said():
    with pytest.raises(ShapeError, match="dt has the shape"):
        elman.diagnose(CELLS["cfc"], steps=4, inputs={"dt": torch.ones(3, 1)})
    with pytest.raises(ShapeError, match="the cell needs the input dt"):
        gradient_terms(layer_of(CELLS["cfc"]), normal(4, 1, INPUT), normal(4, 1, HIDDEN))


class WithInputsOfItsOwn(elman.Recurrent):
    def forward(self, x, state=None, **options):
        return super().forward(x, state, dt=torch.ones_like(x[..., :1]), **options)


def test_a_layer_that_makes_its_inputs_is_diagnosed_with_them():
    layer = WithInputsOfItsOwn(CELLS["cfc"], INPUT, HIDDEN).double()
    x, stack = normal(TIME, BATCH, INPUT), layer.stack
    [visit] = visits(nn.Sequential(layer), lambda: layer(x)[0].square().sum()).values()
    torch.testing.assert_close(visit.sides["dt"], torch.ones(TIME, BATCH, 1).double())
    assert layer.stack is stack
    found = elman.diagnose(nn.Sequential(layer), loss=lambda: layer(x)[0].square().sum())
    assert np.isfinite(found["0"].gradient["h"][0]).all()
