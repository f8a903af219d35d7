"""A layer as one torch operator: opcheck, gradcheck, compile, export, second derivatives."""

import copy
import subprocess
import sys

import pytest
import torch

import elman
from elman.cells import CATALOGUE, WITH_INPUTS
from elman.graph.sizes import Sizes
from elman.passes.separate import separate
from engines import ANY_CELL
from graph.kinds import KINDS

each_cell = pytest.mark.parametrize("name", CATALOGUE)
BACKENDS = ANY_CELL
RAGGED = torch.tensor([3, 0, 2])


def layer_of(name, inputs=3, hidden=4, **options):
    torch.manual_seed(0)
    return elman.Recurrent(CATALOGUE[name], inputs, hidden, dtype=torch.float64, **options)


def arguments(name, *, lengths, reverse, backend, keep=True, inputs=3, hidden=4):
    cell = CATALOGUE[name]
    layer = layer_of(name, inputs, hidden)
    torch.manual_seed(1)
    x = torch.randn(3, 3, inputs, dtype=torch.float64, requires_grad=True)
    states = [torch.randn(3, hidden, dtype=torch.float64, requires_grad=True) for _ in cell.states]
    parameters = list(layer.parameters())
    return (x, states, parameters, lengths, cell.text, reverse, keep, backend, [])


@pytest.mark.thinned(2)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["whole", "ragged"])
@pytest.mark.parametrize("name", KINDS)
def test_torch_finds_nothing_wrong_with_the_operator(name, lengths, backend):
    reverse = lengths is not None
    given = arguments(name, lengths=lengths, reverse=reverse, backend=backend)
    torch.library.opcheck(torch.ops.elman.recurrent.default, given)


@pytest.mark.thinned(2)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", WITH_INPUTS)
def test_torch_finds_nothing_wrong_with_side_inputs(name, backend):
    core = separate(WITH_INPUTS[name]).core
    torch.manual_seed(1)
    x = torch.randn(3, 3, 3, dtype=torch.float64, requires_grad=True)
    states = [torch.randn(3, 4, dtype=torch.float64, requires_grad=True) for _ in core.states]
    parameters = [
        torch.randn(p.shape(Sizes(3, 4)), dtype=torch.float64, requires_grad=True)
        for p in core.parameters
    ]
    sides = [torch.randn(3, 3, 4, dtype=torch.float64, requires_grad=True) for _ in core.inputs]
    given = (x, states, parameters, RAGGED, core.text, False, True, backend, [], sides)
    torch.library.opcheck(torch.ops.elman.recurrent.default, given)


# second derivatives are those of the reference on every engine, first ones are checked for each
@pytest.mark.thinned(2)
@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["whole", "ragged"])
@pytest.mark.parametrize(
    ("name", "backend"),
    [
        *[pytest.param(n, "reference", marks=pytest.mark.thorough) for n in CATALOGUE],
        *[(n, "native") for n in KINDS],
    ],
)
def test_first_and_second_derivatives_are_those_of_differences(name, lengths, backend):
    x, states, parameters, _, text, *_ = arguments(
        name, lengths=lengths, reverse=False, backend=backend, inputs=2, hidden=2
    )

    def outputs(x, *rest):
        given, weights = list(rest[: len(states)]), list(rest[len(states) :])
        made = torch.ops.elman.recurrent(x, given, weights, lengths, text, False, True, backend, [])
        return tuple(made[: 1 + len(states)])

    leaves = (x, *states, *parameters)
    assert torch.autograd.gradcheck(outputs, leaves)
    # all entries would take ten times as long: random projections of the second derivatives
    assert torch.autograd.gradgradcheck(outputs, leaves, fast_mode=True)


@pytest.mark.parametrize("lengths", [None, (3, 1)], ids=["whole", "ragged"])
def test_compile_has_one_graph_forward_and_backward(lengths):
    layer = layer_of("lstm", num_layers=2, bidirectional=True)
    x = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)

    def loss(x):
        y, state = layer(x, lengths=None if lengths is None else torch.tensor(lengths))
        return (y * y).sum() + sum(s.sum() for s in state)

    expected = torch.autograd.grad(loss(x), [x, *layer.parameters()])
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    found = torch.autograd.grad(compiled(x), [x, *layer.parameters()])
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_an_exported_program_computes_the_same(dynamic):
    layer = layer_of("gru", bidirectional=True).eval()
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    shapes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC} if dynamic else None
    options = {"dynamic_shapes": {"x": shapes}} if dynamic else {}
    program = torch.export.export(layer, (x,), **options).module()
    for other in (x, torch.randn(7, 5, 3, dtype=torch.float64)) if dynamic else (x,):
        torch.testing.assert_close(program(other)[0], layer(other)[0])


def test_an_exported_program_runs_in_a_process_of_its_own(tmp_path):
    """The cell travels as text: nothing of the user's code is needed to run it."""
    names = {"cell": elman.cell, "tanh": elman.tanh}
    exec("def mine(x, h, *, W): return tanh(W.a @ [h, x]) - 0.1 * h", names)
    torch.manual_seed(0)
    layer = elman.Recurrent(elman.cell(names["mine"]), 3, 4)
    x = torch.randn(5, 2, 3)
    torch.export.save(torch.export.export(layer, (x,)), tmp_path / "layer.pt2")
    torch.save({"x": x, "y": layer(x)[0].detach()}, tmp_path / "numbers.pt")
    program = (
        "import torch, elman, sys\n"
        "numbers = torch.load('numbers.pt')\n"
        "y, _ = torch.export.load('layer.pt2').module()(numbers['x'])\n"
        "torch.testing.assert_close(y, numbers['y'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_copies_and_functional_calls_compute_the_same():
    layer = layer_of("peephole_lstm")
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    y, _ = layer(x)
    torch.testing.assert_close(copy.deepcopy(layer)(x)[0], y)
    doubled = {name: 2 * value for name, value in layer.named_parameters()}
    found, _ = torch.func.functional_call(layer, doubled, (x,))
    layer.load_state_dict(doubled)
    torch.testing.assert_close(found, layer(x)[0])
    assert not torch.allclose(found, y)


def test_what_needs_no_gradient_gets_none_and_the_rest_accumulates():
    layer = layer_of("lstm")
    layer.layers[0][0].W.f.requires_grad_(False)
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    layer(x)[0].sum().backward()
    once = {name: p.grad for name, p in layer.named_parameters()}
    assert once["layers.0.0.W.f"] is None
    once = {name: g.clone() for name, g in once.items() if g is not None}
    layer(x)[0].sum().backward()
    for name, p in layer.named_parameters():
        if name in once:
            torch.testing.assert_close(p.grad, 2 * once[name])
