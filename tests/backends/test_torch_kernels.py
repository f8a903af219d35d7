"""torch's own kernels for cells that torch has: the same numbers as the reference engine's."""

import pytest
import torch

import elman
from elman.backends.native.engine import NativeEngine
from elman.backends.torch_kernels.engine import kernel_of
from elman.cells import CATALOGUE, gru_reset_after, lstm, relu_rnn, rnn
from elman.errors import BackendError
from elman.graph import cell, sigmoid, tanh


@cell
def my_memory(x, out, store, *, W, b):
    """An LSTM in other words."""
    keep = sigmoid(b.keep + W.keep @ [x, out])
    shown = sigmoid(W.shown @ [x, out] + b.shown)
    written = sigmoid(W.written @ [x, out] + b.written)
    store = store * keep + written * tanh(W.new @ [x, out] + b.new)
    return tanh(store) * shown, store


CELLS = [lstm, gru_reset_after, rnn, relu_rnn, my_memory, lstm.without("b")]
LENGTHS = torch.tensor([7, 0, 3, 7, 1])


def two_layers(own, **options):
    """The same layer for torch's kernels and for the reference engine."""
    torch.manual_seed(0)
    layers = [
        elman.nn.Recurrent(own, 5, 6, 2, backend=name, **options).double()
        for name in ("torch", "reference")
    ]
    layers[1].load_state_dict(layers[0].state_dict())
    return layers


def numbers(layer, x, lengths=None):
    """Outputs, last states and all gradients."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    y, last = layer(x, lengths=lengths)
    (y.square().sum() + sum([state.sin().sum() for state in last])).backward()
    return [y, *last, x.grad, *[p.grad for p in layer.parameters()]]


def assert_same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("both", [False, True], ids=["forwards", "both"])
@pytest.mark.parametrize("own", CELLS, ids=lambda c: f"{c.name}{len(c.parameters)}")
def test_values_and_gradients_are_the_reference_engines(own, both, lengths):
    x = torch.randn(7, 5, 5, dtype=torch.float64)
    found = [numbers(layer, x, lengths) for layer in two_layers(own, bidirectional=both)]
    assert_same(*found)


def test_it_stores_nothing_for_backward_but_its_arguments():
    (layer, _) = two_layers(lstm)
    assert "Training saves 0 bytes" in layer.backend_report()


@pytest.mark.parametrize("shape", [(0, 3, 5), (4, 0, 5)])
def test_nothing_to_compute(shape):
    x = torch.randn(shape, dtype=torch.float64)
    assert_same(*[numbers(layer, x) for layer in two_layers(lstm)])


def test_second_derivatives_are_the_reference_engines():
    found, x = [], torch.randn(4, 2, 5, dtype=torch.float64)
    for layer in two_layers(gru_reset_after):
        own = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(layer(own)[0].square().sum(), own, create_graph=True)
        slope.square().sum().backward()
        found.append([own.grad, *[p.grad for p in layer.parameters()]])
    assert_same(*found)


def test_transforms_of_torch_still_work():
    layer, reference = two_layers(lstm)
    x = torch.randn(3, 4, 2, 5, dtype=torch.float64)
    found = [torch.func.vmap(lambda x, own=own: own(x)[0])(x) for own in (layer, reference)]
    torch.testing.assert_close(*found)


def test_only_cells_that_torch_has_are_taken():
    taken = {name for name, own in CATALOGUE.items() if kernel_of(own)}
    assert taken == {"lstm", "gru_reset_after", "rnn", "relu_rnn"}
    layer = elman.nn.Recurrent(CATALOGUE["gru"], 5, 6, backend="torch")
    with pytest.raises(BackendError, match="torch has no kernel for gru: it has those of LSTM"):
        layer(torch.randn(2, 1, 5))


def test_noise_inside_the_cell_goes_to_the_reference_engine(monkeypatch):
    monkeypatch.setattr(NativeEngine, "unsupported_reason", lambda *_: "it is on another device")
    layer = elman.nn.Recurrent(lstm, 5, 6, candidate_dropout=0.5)
    assert "reference engine" in layer.backend_report()
    layer(torch.randn(3, 2, 5))[0].sum().backward()
    assert "torch engine" in layer.eval().backend_report()


def test_torchs_cells_go_to_torch_where_the_native_engine_does_not(monkeypatch):
    monkeypatch.setattr(NativeEngine, "unsupported_reason", lambda *_: "it is on another device")
    x = torch.randn(4, 2, 5)
    for own, engine in ((lstm, "torch"), (CATALOGUE["gru"], "reference")):
        layer = elman.nn.Recurrent(own, 5, 6)
        layer(x)
        first = layer.backend_report().partition(".")[0]
        assert f"{engine} engine (it is on another device), which ran last" in first
    module = elman.nn.LSTM(5, 6, 2, bidirectional=True)
    theirs = torch.nn.LSTM(5, 6, 2, bidirectional=True)
    theirs.load_state_dict(module.state_dict())
    torch.testing.assert_close(module(x)[0], theirs(x)[0])
