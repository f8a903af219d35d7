"""torch.func, forward-mode derivatives and higher ones: each is that of an independent loop.

The loop is the cell's NumPy-like step of ``independent``, in torch, one row at a time; padding and
directions are plain indexing in it.
"""

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

import elman
from elman.cells import CATALOGUE

TIME, BATCH, INPUT, HIDDEN = 3, 2, 3, 2
BACKENDS = ("native", "reference")
each_backend = pytest.mark.parametrize("backend", BACKENDS)


def lstm_loop(parameters, x, lengths=None, reverse=False):
    """The equations of Hochreiter and Schmidhuber, row by row: y and the last h and c."""
    time, batch, _ = x.shape
    rows, lasts = [], []
    for row in range(batch):
        length = time if lengths is None else lengths[row]
        h = c = x.new_zeros(HIDDEN)
        outputs = {}
        for t in reversed(range(length)) if reverse else range(length):
            both = torch.cat([h, x[t, row]])
            i, f, g, o = [parameters[f"W.{k}"] @ both + parameters[f"b.{k}"] for k in "ifgo"]
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs[t] = h
        zero = x.new_zeros(HIDDEN)
        rows.append(torch.stack([outputs.get(t, zero) for t in range(time)]))
        lasts.append((h, c))
    last = [torch.stack([state[k] for state in lasts]) for k in (0, 1)]
    return torch.stack(rows, 1), last


def gru_loop(parameters, x, lengths=None, reverse=False):
    """The equations of Cho et al. as ``elman.cells.gru`` has them."""
    time, batch, _ = x.shape
    rows, lasts = [], []
    for row in range(batch):
        length = time if lengths is None else lengths[row]
        h, outputs = x.new_zeros(HIDDEN), {}
        for t in reversed(range(length)) if reverse else range(length):
            both = torch.cat([h, x[t, row]])
            z, r = [torch.sigmoid(parameters[f"W.{k}"] @ both + parameters[f"b.{k}"]) for k in "zr"]
            inner = torch.cat([r * h, x[t, row]])
            new = torch.tanh(parameters["W.h"] @ inner + parameters["b.h"])
            h = (1 - z) * h + z * new
            outputs[t] = h
        rows.append(torch.stack([outputs.get(t, x.new_zeros(HIDDEN)) for t in range(time)]))
        lasts.append(h)
    return torch.stack(rows, 1), [torch.stack(lasts)]


LOOPS = {"lstm": lstm_loop, "gru": gru_loop}
CASES = [
    pytest.param(name, lengths, both, backend, id=f"{name}-{kind}-{backend}")
    for name, lengths, both, kind, backend in [
        ("lstm", None, False, "whole", "native"),
        ("lstm", (3, 1), True, "ragged both ways", "native"),
        ("gru", (3, 1), False, "ragged", "native"),
        ("lstm", (3, 1), True, "ragged both ways", "reference"),
    ]
]
each_case = pytest.mark.parametrize(("name", "lengths", "both", "backend"), CASES)


class Both:
    """A layer as a function of its parameters and x, and the loop as the same function."""

    def __init__(self, name, lengths, both, backend):
        torch.manual_seed(0)
        self.layer = elman.Recurrent(
            CATALOGUE[name], INPUT, HIDDEN, bidirectional=both, backend=backend,
            dtype=torch.float64,
        )  # fmt: skip
        self.loop, self.lengths = LOOPS[name], lengths
        self.parameters = {k: p.detach() for k, p in self.layer.named_parameters()}
        self.x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
        weights = torch.randn(TIME, BATCH, HIDDEN * (2 if both else 1), dtype=torch.float64)
        self.weights = weights

    def ours(self, parameters, x):
        lengths = None if self.lengths is None else torch.tensor(self.lengths)
        y, state = functional_call(self.layer, parameters, (x,), {"lengths": lengths})
        return self._number(y, state)

    def theirs(self, parameters, x):
        outputs, lasts = [], []
        for d in range(2 if self.layer.bidirectional else 1):
            prefix = f"layers.0.{d}."
            own = {k.removeprefix(prefix): p for k, p in parameters.items() if k.startswith(prefix)}
            y, last = self.loop(own, x, self.lengths, d == 1)
            outputs.append(y)
            lasts.append(last)
        states = [torch.stack(states) for states in zip(*lasts, strict=True)]
        return self._number(torch.cat(outputs, -1), states)

    def _number(self, y, states):
        return (y * self.weights).sum() + sum([(s**3).sum() for s in states])


def assert_same(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@each_case
def test_each_transformation_is_that_of_the_loop(name, lengths, both, backend):
    case = Both(name, lengths, both, backend)
    x, parameters = case.x, case.parameters
    dx = torch.randn_like(x)
    dp = {k: torch.randn_like(p) for k, p in parameters.items()}
    found = []
    for f in (case.ours, case.theirs):
        found.append(
            {
                "grad": grad(f, (0, 1))(parameters, x),
                "vjp": vjp(f, parameters, x)[1](torch.tensor(2.0, dtype=torch.float64)),
                "jvp": jvp(f, (parameters, x), (dp, dx)),
                "jacrev": jacrev(f, 1)(parameters, x),
                "jacfwd": jacfwd(f, 1)(parameters, x),
                "jacfwd of parameters": jacfwd(f)(parameters, x),
                "hessian": hessian(f, 1)(parameters, x),
                "forward over forward": jacfwd(jacfwd(f, 1), 1)(parameters, x),
                "reverse over reverse": jacrev(jacrev(f, 1), 1)(parameters, x),
                "inputs": vmap(f, (None, 0))(parameters, torch.stack([x, 2 * x, -x])),
                "an ensemble": vmap(f, (0, None))(
                    {k: torch.stack([p, 2 * p]) for k, p in parameters.items()}, x
                ),
                "per sample": vmap(grad(f), (None, 0))(parameters, torch.stack([x, -x])),
            }
        )
    for key, ours in found[0].items():
        assert_same(ours, found[1][key])


@each_case
def test_tangents_outside_of_torch_func_are_those_of_the_loop(name, lengths, both, backend):
    case = Both(name, lengths, both, backend)
    tangents = [torch.randn_like(p) for p in case.parameters.values()]
    for requires_grad in (False, True):
        found = []
        for f in (case.ours, case.theirs):
            with forward_ad.dual_level(), torch.set_grad_enabled(requires_grad):
                x = case.x.clone().requires_grad_(requires_grad)
                dual = forward_ad.make_dual(x, torch.ones_like(x))
                parameters = {
                    k: forward_ad.make_dual(p, t)
                    for (k, p), t in zip(case.parameters.items(), tangents, strict=True)
                }
                tangent = forward_ad.unpack_dual(f(parameters, dual)).tangent
                assert tangent is not None
                found.append([tangent.detach()])
                if requires_grad:  # forward over reverse
                    found[-1].append(torch.autograd.grad(tangent, x)[0])
        assert_same(*found)


@each_backend
def test_a_step_carries_tangents(backend):
    case = Both("lstm", None, False, backend)
    layer, x = case.layer, case.x[0]
    with torch.no_grad():
        layer.step(x)  # the fast way is there
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(x, torch.ones_like(x))
            y, state = layer.step(dual)
            found = forward_ad.unpack_dual(y).tangent
            h, c = [forward_ad.unpack_dual(s).primal for s in state]
            state = forward_ad.make_dual(h, torch.ones_like(h)), c
            again = forward_ad.unpack_dual(layer.step(x, state)[0]).tangent
    expected = jvp(lambda x: lstm_loop(named(layer), x[None])[0][0], (x,), (torch.ones_like(x),))[1]
    assert_same(found, expected)
    assert again is not None
    assert again.abs().sum() > 0


def named(layer):
    return {k.removeprefix("layers.0.0."): p.detach() for k, p in layer.named_parameters()}


def test_a_step_can_be_transformed():
    case = Both("lstm", None, False, "native")
    layer, x = case.layer, case.x[0]
    with torch.no_grad():
        layer.step(x)
        ours = vmap(lambda x: layer.step(x)[0])(torch.stack([x, -x]))
        jacobian = jacfwd(lambda x: layer.step(x)[0])(x)
    expected = [lstm_loop(named(layer), x[None])[0][0] for x in (x, -x)]
    assert_same(ours, torch.stack(expected))
    assert_same(jacobian, jacfwd(lambda x: lstm_loop(named(layer), x[None])[0][0])(x))


@each_case
def test_third_derivatives_are_those_of_the_loop(name, lengths, both, backend):
    case = Both(name, lengths, both, backend)
    found = []
    for f in (case.ours, case.theirs):
        x = case.x.clone().requires_grad_()
        parameters = {k: p.clone().requires_grad_() for k, p in case.parameters.items()}
        value = f(parameters, x)
        for _ in range(2):
            (first,) = torch.autograd.grad(value, x, create_graph=True)
            value = (first**2).sum()
        found.append(torch.autograd.grad(value, [x, *parameters.values()]))
    assert_same(*found)


@each_backend
def test_many_gradients_at_once_are_each_on_its_own(backend):
    case = Both("lstm", (3, 1), True, backend)
    x = case.x.clone().requires_grad_()
    y = case.layer(x, lengths=torch.tensor([3, 1]))[0]
    directions = torch.randn(3, *y.shape, dtype=torch.float64)
    (together,) = torch.autograd.grad(
        y, x, directions, is_grads_batched=True, retain_graph=True
    )  # fmt: skip
    alone = [torch.autograd.grad(y, x, d, retain_graph=True)[0] for d in directions]
    assert_same(together, torch.stack(alone))
    f = lambda x: case.layer(x, lengths=torch.tensor([3, 1]))[0]  # noqa: E731
    fast = torch.autograd.functional.jacobian(f, case.x, vectorize=True)
    assert_same(fast, torch.autograd.functional.jacobian(f, case.x))
    forward = torch.autograd.functional.jacobian(
        f, case.x, vectorize=True, strategy="forward-mode"
    )  # fmt: skip
    assert_same(forward, fast)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_cell_has_the_same_derivative_forwards_and_backwards(name):
    torch.manual_seed(0)
    layer = elman.Recurrent(CATALOGUE[name], INPUT, 5, dtype=torch.float64)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)

    def f(x):
        return layer(x)[0]

    forwards, backwards = jacfwd(f)(x), jacrev(f)(x)
    assert_same(forwards, backwards)
    assert forwards.abs().sum() > 0
    assert_same(torch.autograd.functional.jacobian(f, x), backwards)


def test_an_exported_program_can_be_differentiated_by_torch_func():
    case = Both("lstm", None, False, "native")
    program = torch.export.export(case.layer, (case.x,)).module()
    f = lambda x: (program(x)[0] * case.weights).sum()  # noqa: E731
    x = case.x.clone().requires_grad_()
    (expected,) = torch.autograd.grad((case.layer(x)[0] * case.weights).sum(), x)
    assert_same(grad(f)(case.x), expected)
    assert_same(jacfwd(f)(case.x), expected)


def test_the_operator_alone_refuses_tangents():
    case = Both("lstm", None, False, "native")
    states = [torch.zeros(BATCH, HIDDEN, dtype=torch.float64)] * 2
    given = (list(case.parameters.values()), None, case.layer.cell.text, False, False, "native", [])
    with forward_ad.dual_level(), torch.no_grad():
        dual = forward_ad.make_dual(case.x, torch.ones_like(case.x))
        with pytest.raises(
            elman.errors.BackendError, match="does not support forward-mode differentiation"
        ):
            torch.ops.elman.recurrent(dual, states, *given)


def test_lengths_that_differ_within_vmap_are_refused():
    case = Both("lstm", None, False, "native")
    lengths = torch.tensor([[3, 2], [1, 3]])
    with pytest.raises(elman.errors.ShapeError, match=r"torch\.vmap cannot map over lengths"):
        vmap(lambda lengths: case.layer(case.x, lengths=lengths)[0])(lengths)


def test_a_drawn_mask_follows_vmaps_randomness():
    layer = elman.Recurrent(elman.cells.lstm, INPUT, HIDDEN, recurrent_dropout=0.5)
    x = torch.randn(3, TIME, BATCH, INPUT)
    with pytest.raises(RuntimeError, match="randomness"):
        vmap(lambda x: layer(x)[0])(x)
    y = vmap(lambda x: layer(x)[0], randomness="different")(torch.stack([x[0]] * 3))
    assert not torch.equal(y[0], y[1])


class Halved(torch.Tensor):
    """A tensor of a class of its own."""


def test_results_of_a_tensors_own_class_are_of_that_class():
    layer = elman.Recurrent(elman.cells.lstm, INPUT, HIDDEN)
    x = torch.randn(TIME, BATCH, INPUT)
    y, _ = layer(x.as_subclass(Halved))
    assert isinstance(y, Halved)
    assert torch.equal(y.as_subclass(torch.Tensor), layer(x)[0])


def test_a_parameter_of_a_class_of_its_own_is_a_parameter():
    class Own(nn.Parameter):
        pass

    layer = elman.Recurrent(elman.cells.lstm, INPUT, HIDDEN)
    x = torch.randn(TIME, BATCH, INPUT)
    expected = layer(x)[0]
    layer.layers[0][0].W["f"] = Own(layer.layers[0][0].W["f"].detach())
    y = layer(x)[0]
    assert torch.equal(y, expected)
    y.sum().backward()
    assert layer.layers[0][0].W["f"].grad is not None


@each_case
def test_second_derivatives_by_parameters_where_x_needs_none(name, lengths, both, backend):
    case, found = Both(name, lengths, both, backend), []
    for f in (case.ours, case.theirs):
        own = {k: p.clone().requires_grad_() for k, p in case.parameters.items()}
        first = torch.autograd.grad(f(own, case.x), [*own.values()], create_graph=True)
        total = sum([g.square().sum() for g in first])
        found.append(torch.autograd.grad(total, [*own.values()]))
    assert_same(*found)
