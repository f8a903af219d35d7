"""What users bring to a layer, on the native engine in float32, against the reference in float64."""

import copy

import pytest
import torch

import elman
from backends.precision import assert_near, assert_same
from elman.backends.native.engine import NativeEngine
from elman.cells import CATALOGUE

INPUT, HIDDEN, TIME, BATCH = 5, 18, 6, 4
RAGGED = (3, 6, 0, 1)
NAMES = ("rnn", "lstm", "gru", "coupled_peephole_lstm")


def layers_of(name, **options):
    """The same layer on both engines."""
    torch.manual_seed(0)
    layer = elman.Recurrent(CATALOGUE[name], INPUT, HIDDEN, backend="native", **options)
    exact = elman.Recurrent(
        CATALOGUE[name], INPUT, HIDDEN, backend="reference", dtype=torch.float64, **options
    )
    exact.load_state_dict(layer.state_dict())
    return layer, exact


def inputs(layer, requires_grad=True):
    torch.manual_seed(1)
    x = torch.randn(TIME, BATCH, INPUT)
    places = layer.num_layers * layer.stack.directions
    state = [torch.randn(places, BATCH, HIDDEN) for _ in layer.cell.states]
    return [t.requires_grad_(requires_grad) for t in (x, *state)]


def twins(tensors):
    return [t.detach().double().requires_grad_(t.requires_grad) for t in tensors]


def loss_of(layer, x, *state, lengths=RAGGED):
    """Every output counts, each differently."""
    y, last = layer(x, state, lengths=lengths)
    y = y.transpose(0, 1) if layer.batch_first else y
    parts = [
        (t * torch.arange(t.numel(), dtype=t.dtype).view(t.shape).cos()).sum() for t in (y, *last)
    ]
    return sum(parts)


def gradients(layer, leaves, loss, **options):
    wanted = {f"input {k}": leaf for k, leaf in enumerate(leaves)} | dict(layer.named_parameters())
    wanted = {name: tensor for name, tensor in wanted.items() if tensor.requires_grad}
    return dict(zip(wanted, torch.autograd.grad(loss, [*wanted.values()], **options), strict=True))


def check(name, change=lambda x, *state: (x, *state), error=1e-5, freeze=(), **options):
    """Both engines, after the same change of what they are given."""
    found = []
    layer, exact = layers_of(name, **options)
    leaves = inputs(layer)
    for one, given in ((layer, leaves), (exact, twins(leaves))):
        for key, parameter in one.named_parameters():
            parameter.requires_grad_(not key.endswith(freeze) if freeze else True)
        loss = loss_of(one, *change(*given))
        found.append({"loss": loss} | gradients(one, given, loss))
    assert_near(*found, error)
    return found[0]


@pytest.mark.parametrize("name", NAMES)
def test_both_ways_and_two_layers(name):
    check(name, num_layers=2, bidirectional=True)


CHANGES = {
    "time reversed": lambda x, *state: (x.flip(0).contiguous().flip(0), *state),
    "other strides": lambda x, *state: (x.permute(2, 1, 0).contiguous().permute(2, 1, 0), *state),
    "each second": lambda x, *state: (torch.stack([x, -x], -1)[..., 0], *state),
    "one row for all": lambda x, *state: (x[:, :1].expand_as(x), *[s[:, :1].expand_as(s) for s in state]),
    "states with strides": lambda x, *state: (x, *[s.mT.contiguous().mT for s in state]),
    "one number for all": lambda x, *state: (x, *[s[..., :1].expand_as(s) for s in state]),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_any_strides_will_do(name, change):
    check(name, change)


def test_batch_first_is_only_another_order():
    def batch_first(x, *state):
        return x.transpose(0, 1), *state

    assert_same(check("lstm", batch_first, batch_first=True), check("lstm"))


def test_parameters_with_strides_and_shared_ones_will_do():
    layer, exact = layers_of("lstm")
    leaves = inputs(layer)
    found = []
    for one, given in ((layer, leaves), (exact, twins(leaves))):
        weights = dict(one.named_parameters())
        changed = {
            key: 2 * p.mT.contiguous().mT if p.dim() == 2 else p for key, p in weights.items()
        }
        changed["layers.0.0.W.f"] = changed["layers.0.0.W.i"]
        y, _ = torch.func.functional_call(one, changed, (given[0], tuple(given[1:])))
        used = {key: p for key, p in weights.items() if key != "layers.0.0.W.f"}
        grads = torch.autograd.grad(y.sin().sum(), [*used.values()])
        found.append({"y": y} | dict(zip(used, grads, strict=True)))
    assert_near(*found, 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_only_what_needs_a_gradient_gets_one_and_it_is_the_same(name):
    whole = check(name)
    frozen = check(name, freeze=(".W.f", ".W.z", ".W.a", ".b.o", ".b.i"))
    assert set(frozen) < set(whole)
    assert_same(frozen, {key: whole[key] for key in frozen})

    layer, _ = layers_of(name)
    x, *state = inputs(layer, requires_grad=False)
    found = gradients(layer, [], loss_of(layer, x, *state))
    assert_same(found, {key: whole[key] for key in found})
    assert len(found) == len([*layer.parameters()])

    layer.requires_grad_(False)
    leaves = inputs(layer)
    found = gradients(layer, leaves, loss_of(layer, *leaves))
    assert_same(found, {key: whole[key] for key in found})
    assert len(found) == len(leaves)


@pytest.mark.parametrize("name", NAMES)
def test_backward_twice_is_the_same_twice_and_adds_up(name):
    layer, _ = layers_of(name)
    leaves = inputs(layer)
    loss = loss_of(layer, *leaves)
    first = gradients(layer, leaves, loss, retain_graph=True)
    loss_of(layer, *inputs(layer)).backward()  # another call between the two
    layer.zero_grad()
    assert_same(gradients(layer, leaves, loss, retain_graph=True), first)
    loss.backward(retain_graph=True)
    loss.backward()
    for key, parameter in layer.named_parameters():
        assert torch.equal(parameter.grad, 2 * first[key])
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives_are_the_references(name):
    found = []
    layer, exact = layers_of(name)
    leaves = inputs(layer)
    for one, given in ((layer, leaves), (exact, twins(leaves))):
        first = gradients(one, given, loss_of(one, *given), create_graph=True)
        penalty = sum([(g * g).sum() for g in first.values()])
        found.append({"penalty": penalty} | gradients(one, given, penalty))
    assert_near(*found, 2e-5)  # two derivatives, and each rounds


def test_calls_may_be_backpropagated_in_any_order():
    layer, _ = layers_of("lstm")
    batches = [inputs(layer) for _ in range(3)]
    for k, batch in enumerate(batches):
        batch[0].data += k
    expected = [gradients(layer, batch, loss_of(layer, *batch)) for batch in batches]
    losses = [loss_of(layer, *batch) for batch in batches]
    for k in (1, 2, 0):
        assert_same(gradients(layer, batches[k], losses[k]), expected[k])


def test_weights_changed_in_place_are_seen_by_the_next_call():
    layer, exact = layers_of("gru")
    leaves = inputs(layer)
    loss_of(layer, *leaves)
    with torch.no_grad():
        for one in (layer, exact):
            for parameter in one.parameters():
                parameter.mul_(0.5)
    found = gradients(layer, leaves, loss_of(layer, *leaves))
    other = twins(leaves)
    assert_near(found, gradients(exact, other, loss_of(exact, *other)), 1e-5)


def test_steps_of_inference_are_those_of_the_whole():
    layer, _ = layers_of("lstm", num_layers=2)
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        x, *state = inputs(layer, requires_grad=False)
        y, last = layer(x, tuple(state))
        carried = tuple(state)
        for x_t, y_t in zip(x, y, strict=True):
            found, carried = twin.step(x_t, carried)
            assert torch.equal(found, y_t)
        for a, b in zip(carried, last, strict=True):
            assert torch.equal(a, b)


def test_the_native_engine_is_what_ran(monkeypatch):
    layer, exact = layers_of("lstm")
    calls, forward = [], NativeEngine.forward

    def counted(self, call):
        calls.append(call.save)
        return forward(self, call)

    monkeypatch.setattr(NativeEngine, "forward", counted)
    for one, dtype in ((layer, torch.float32), (exact, torch.float64)):
        one(torch.randn(3, 2, INPUT, dtype=dtype))
        with torch.no_grad():
            one(torch.randn(3, 2, INPUT, dtype=dtype))
    assert calls == [True, False]
