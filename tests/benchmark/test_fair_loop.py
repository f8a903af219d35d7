"""The generated loop computes what the layer computes, whatever the cell."""

import pytest
import torch
from hypothesis import assume, given

import elman
from elman import cell, layer_norm, maximum, sigmoid, tanh
from elman.benchmark import eager_loop, fair_loop
from elman.benchmark.contest import difference
from elman.benchmark.contestants import elman_layer, parameters_of, rivals, torch_layer
from elman.cells import ALL, CATALOGUE
from elman.graph.sizes import Sizes
from graph.random_cells import cell_from_source, quick, random_cells
from graph.random_memory_cells import random_memory_cell


@cell
def without_biases(x, h, *, W):
    h = tanh(W.f @ [h, x])
    return h


@cell
def input_in_two_places(x, h, *, W, b):
    r = sigmoid(W.r @ x + b.r)
    h = tanh(W.h @ [r * h, x] + 0.5 * h)
    return h


@cell
def normalised(x, h, c, *, W, b, g):
    f = sigmoid(layer_norm(W.f @ [h, x]) * g.f + b.f)
    n = maximum(W.n @ h + b.n, 0.25)
    c = f * c + (1 - f) * n
    h = tanh(c)
    return h, c


@cell
def one_product_twice(x, h, *, W, b):
    shared = W.a @ h
    z = sigmoid(shared + b.z)
    h = z * tanh(shared + W.x @ x)
    return h


@cell(
    inputs={"dt": "one", "u": "context"},
    sizes={"s": "context", "W.s": "context", "b.s": "context", "q": 3, "W.q": 3, "b.t": 1},
)
def of_three_sizes(x, h, s, q, dt, u, *, W, b):
    q = tanh(W.q @ [h, s, x])
    s = sigmoid(W.s @ [h, s, q] + b.s) * s + dt * u
    h = sigmoid(W.f @ [h, s, x] + b.f) * h + tanh(W.h @ [q, x]) * b.t
    return h, s, q


OWN = [without_biases, input_in_two_places, normalised, one_product_twice, of_three_sizes]


def disagreement(chosen, dtype=torch.float64):
    options = {"sizes": {name: 2 + k for k, name in enumerate(chosen.own_sizes)}}
    options |= {"heads": 2, "key_size": 3} if chosen.has_memory else {}
    layer = elman.Recurrent(chosen, 3, 4, dtype=dtype, **options)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x, grad_y = [torch.randn(6, 2, n, dtype=dtype) for n in (3, layer.stack.output_size)]
    sizes = layer.stack.sizes(3)
    sides = {n: torch.rand(6, 2, sizes.width((s,)), dtype=dtype) for n, s in chosen.inputs}
    parameters = parameters_of(layer)
    expected = elman_layer(layer).gradients(x, grad_y, parameters, sides)
    worst = 0.0
    for rival in rivals(layer):
        found = rival.gradients(x, grad_y, parameters, sides)
        assert found.keys() == expected.keys() == {"y", "dx", *parameters}
        worst = max(worst, difference(expected, found))
    return worst


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("chosen", [*ALL.values(), *OWN], ids=lambda c: c.name)
def test_the_loop_agrees_with_the_layer_in_values_and_gradients(chosen):
    torch.manual_seed(1)
    # rounding in float64, over six steps
    assert disagreement(chosen) < 1e-12


@pytest.mark.parametrize("seed", range(20))
def test_the_loop_of_a_random_cell_with_a_matrix_state_has_the_values_of_its_layer(seed):
    torch.manual_seed(1)
    chosen = random_memory_cell(seed)[1]
    layer = elman.Recurrent(chosen, 3, 4, heads=2, key_size=3, dtype=torch.float64)
    x, sizes = torch.randn(5, 2, 3, dtype=torch.float64), layer.stack.sizes(3)
    sides = {n: torch.rand(5, 2, sizes.width((s,))).double() for n, s in chosen.inputs}
    # the kinks and steep slopes that a drawn cell may have enlarge rounding
    found, expected = [c(layer).values(x, sides) for c in (eager_loop, elman_layer)]
    assert difference(expected, found) < 1e-8


def test_numbers_have_the_type_of_what_they_are_compared_with():
    source = "def random_cell(x, h, *, W, b, p):\n    return maximum(tanh(h), 0.21) + b.h"
    assert disagreement(cell_from_source(source)) < 1e-12


@quick
@given(random_cells())
def test_the_loop_of_a_random_cell_has_the_values_of_its_layer(chosen):
    torch.manual_seed(1)
    layer = elman.Recurrent(chosen, 3, 4, dtype=torch.float64)
    # the loop takes its type from the parameters that it reads, and its constants theirs
    assume(eager_loop(layer).leaves)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    # the kinks and steep slopes that a drawn cell may have enlarge rounding
    assert difference(elman_layer(layer).values(x), eager_loop(layer).values(x)) < 1e-8


def test_products_with_x_are_one_and_gates_share_theirs():
    loop = fair_loop(elman.cells.lstm)
    assert [leaf.name for leaf in loop.leaves] == ["W_x", "b_x", "U_ifgo"]
    assert loop.source.count("addmm") == 1
    assert fair_loop(elman.cells.gru).pieces == (("hidden", "hidden"), ("hidden",))
    assert fair_loop(elman.cells.peephole_lstm).source.count("addmm") == 3


def test_the_leaves_hold_each_block_of_each_parameter():
    for chosen in CATALOGUE.values():
        layer = elman.Recurrent(chosen, 3, 4)
        leaves = fair_loop(chosen).stack(parameters_of(layer), Sizes(3, 4))
        assert sum([leaf.numel() for leaf in leaves]) == sum(
            [p.numel() for p in layer.parameters()]
        )


def test_torch_nn_stands_beside_its_own_cells_only():
    named = {name: torch_layer(elman.Recurrent(c, 3, 4)) for name, c in CATALOGUE.items()}
    assert {name: rival.name for name, rival in named.items() if rival} == {
        "rnn": "torch.nn.RNN",
        "relu_rnn": "torch.nn.RNN",
        "lstm": "torch.nn.LSTM",
        "gru_reset_after": "torch.nn.GRU",
    }
