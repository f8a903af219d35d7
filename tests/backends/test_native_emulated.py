"""The kernels for ARM, run by an emulator: every cell's values, gradients and steps."""

from dataclasses import replace

import pytest
import torch

import elman
from backends.emulated import arm, needs_emulator
from backends.precision import assert_near, draw, results, truth
from elman.cells import CATALOGUE, WITH_MATRIX_STATES
from thorough import few

pytestmark = needs_emulator
__all__ = ["arm"]


#: cells with each kind of program: several gates, means over a row, products in turn, many states
FIRST = {"lstm", "layer_norm_lstm", "rhn", "slstm"}


@pytest.mark.parametrize("name", few(CATALOGUE, keep=lambda name: name in FIRST))
def test_a_cell_computes_the_same_on_arm(name, arm):
    cell = CATALOGUE[name]
    numbers = replace(draw(cell, 5, 11), lengths=torch.tensor((6, 0, 3, 6, 1)))
    assert_near(results(cell, numbers), truth(cell, numbers), 1e-5)
    assert any([kernel.calls["outer"] for kernel in arm.values()])


def two_layers(cell, input_size, hidden_size, **options):
    """The same layer for the reference engine, and for the native one."""
    torch.manual_seed(0)
    reference, native = [
        elman.nn.Recurrent(cell, input_size, hidden_size, backend=backend, **options)
        for backend in ("reference", "native")
    ]
    native.load_state_dict(reference.state_dict())
    return reference, native


@pytest.mark.parametrize("name", ["lstm", "gru_reset_after", "layer_norm_lstm"])
def test_steps_are_those_of_the_whole_sequence(name, arm):
    reference, native = two_layers(CATALOGUE[name], 5, 11, num_layers=2)
    x, state = torch.randn(4, 3, 5), None
    with torch.no_grad():
        expected, _ = reference(x)
        for t, at in enumerate(x):
            y, state = native.step(at, state)
            torch.testing.assert_close(y, expected[t], rtol=1e-5, atol=1e-6)
    assert any([kernel.calls["step"] for kernel in arm.values()])


@pytest.mark.parametrize("name", WITH_MATRIX_STATES)
def test_a_matrix_state_is_the_same_on_arm(name, arm):
    layers = two_layers(WITH_MATRIX_STATES[name], 5, 8, heads=2, key_size=3)
    x = torch.randn(19, 2, 5, dtype=torch.float64)
    found = []
    for layer in layers:
        y, _ = layer.double()(x)
        y.square().mean().backward()
        found.append([y.detach(), *[p.grad for p in layer.parameters()]])
    for expected, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-11)
    assert any([kernel.calls["backward"] for kernel in arm.values()])
