"""Weights are those of now, and are packed no oftener than they change, on every path."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import elman
from elman.backends.native import kernels
from elman.backends.native.llvm.fingerprint import Fingerprint

INPUT, HIDDEN = 5, 11


@pytest.fixture
def packs(monkeypatch):
    """How many times weights were packed."""
    calls, pack = [], kernels.CompiledProgram.pack

    def counted(self, *arguments, **options):
        calls.append(self)
        return pack(self, *arguments, **options)

    monkeypatch.setattr(kernels.CompiledProgram, "pack", counted)
    return calls


LAYERS = {
    "one": lambda: elman.Recurrent(elman.cells.lstm, INPUT, HIDDEN),
    "layers": lambda: elman.Recurrent(elman.cells.gru, INPUT, HIDDEN, 3),
    "both ways": lambda: elman.Recurrent(elman.cells.lstm, INPUT, HIDDEN, 2, bidirectional=True),
    "LSTM": lambda: elman.nn.LSTM(INPUT, HIDDEN),
    "GRU": lambda: elman.nn.GRU(INPUT, HIDDEN, 2),
    "RNN": lambda: elman.nn.RNN(INPUT, HIDDEN, 2, bidirectional=True),
}
each_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)


def made(make):
    torch.manual_seed(0)
    return make().eval()


def directions(layer):
    return layer.num_layers * (2 if layer.bidirectional else 1)


def fresh(layer, x):
    """What a layer of the same weights computes that has never computed before."""
    other = copy.deepcopy(layer)
    with torch.no_grad():
        return other(x)[0]


@each_layer
def test_inference_packs_once(make, packs):
    layer, x = made(make), torch.randn(6, 3, INPUT)
    with torch.no_grad():
        for _ in range(10):
            layer(x)
    assert len(packs) == directions(layer)


def test_many_layers_of_one_size_pack_once_each(packs):
    modules = [made(lambda: elman.nn.GRU(INPUT, HIDDEN, 3, bidirectional=True)) for _ in range(4)]
    x = torch.randn(6, 3, INPUT)
    with torch.no_grad():
        for k, module in enumerate(modules):
            for p in module.parameters():
                p.add_(k)
        for _ in range(3):
            for module in modules:
                module(x)
    assert len(packs) == 4 * 6


@each_layer
def test_a_copy_packs_once_more(make, packs):
    layer, x = made(make), torch.randn(6, 3, INPUT)
    with torch.no_grad():
        layer(x)
        twin = copy.deepcopy(layer)
        packs.clear()
        for _ in range(4):
            twin(x)
    assert len(packs) == directions(layer)


@pytest.mark.parametrize("name", LAYERS)
def test_calls_with_other_parameters_pack_them_once(name, packs):
    layer, x = made(LAYERS[name]), torch.randn(6, 3, INPUT)
    others = {name: 2 * p.detach() for name, p in layer.named_parameters()}
    with torch.no_grad():
        layer(x)
        packs.clear()
        for _ in range(4):
            y, _ = torch.func.functional_call(layer, others, (x,))
        assert len(packs) == directions(layer)
        doubled = copy.deepcopy(layer)
        doubled.load_state_dict(others)
        assert torch.equal(y, fresh(doubled, x))


def numpy_write(layer):
    for p in layer.parameters():
        p.detach().numpy()[...] *= 0.5


def one_word(layer):
    *_, last = layer.parameters()
    last.data.view(-1)[-1] += 1


def by_hand(layer):
    for p in layer.parameters():
        p.data.add_(torch.ones_like(p), alpha=-0.1)


def replace(layer):
    for module in layer.modules():
        for name, p in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(0.5 * p.detach()))


def swap(layer):
    """The same bytes in another order."""
    for p in layer.parameters():
        p.data.copy_(p.data.flip(0))


def train(layer):
    optimizer = torch.optim.SGD(layer.parameters(), 0.5)
    with torch.enable_grad():
        layer(torch.ones(3, 2, INPUT))[0].sum().backward()
    optimizer.step()


CHANGES = {
    "data in place": lambda layer: [p.data.mul_(0.5) for p in layer.parameters()],
    "turned": lambda layer: [p.data.neg_() for p in layer.parameters()],
    "one word": one_word,
    "by hand": by_hand,
    "NumPy": numpy_write,
    "replaced": replace,
    "swapped": swap,
    "an optimizer's step": train,
    "loaded": lambda layer: layer.load_state_dict(
        {name: 0.5 * value for name, value in layer.state_dict().items()}
    ),
    "in place": lambda layer: [p.mul_(0.5) for p in layer.parameters()],
    "other data": lambda layer: [
        setattr(p, "data", 0.5 * p.data) for p in layer.parameters()
    ],
}  # fmt: skip
each_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


@each_change
@each_layer
def test_a_change_is_seen_by_the_next_call_and_packed_once(make, change, packs):
    layer, x = made(make), torch.randn(6, 3, INPUT)
    with torch.no_grad():
        before, _ = layer(x)
        change(layer)
        packs.clear()
        after = [layer(x)[0] for _ in range(3)]
    assert 0 < len(packs) <= directions(layer)
    expected = fresh(layer, x)
    assert not torch.equal(expected, before)
    assert all([torch.equal(y, expected) for y in after])


@each_change
@pytest.mark.parametrize("num_layers", [1, 2])
def test_a_change_is_seen_by_the_next_step(change, num_layers, packs):
    layer = made(lambda: elman.Recurrent(elman.cells.lstm, INPUT, HIDDEN, num_layers))
    x = torch.randn(2, INPUT)
    with torch.no_grad():
        for _ in range(5):
            before, _ = layer.step(x)
        assert len(packs) == num_layers
        change(layer)
        packs.clear()
        after = [layer.step(x)[0] for _ in range(3)]
        assert len(packs) == num_layers
    expected = fresh(layer, x[None])[0]
    assert not torch.equal(expected, before)
    assert all([torch.equal(y, expected) for y in after])


COUNTED = ["replaced", "an optimizer's step", "loaded", "in place", "other data"]


@pytest.mark.parametrize("change", COUNTED)
def test_in_inference_mode_a_step_sees_what_torch_counts(change):
    layer = made(LAYERS["one"])
    x = torch.randn(2, INPUT)
    with torch.inference_mode():
        before, _ = layer.step(x)
        layer.step(x)
    with torch.no_grad():
        CHANGES[change](layer)
    with torch.inference_mode():
        after, _ = layer.step(x)
    assert torch.equal(after, fresh(layer, x[None])[0])
    assert not torch.equal(after, before)


def test_a_step_looks_no_less_after_inference_mode():
    layer = made(LAYERS["one"])
    x = torch.randn(2, INPUT)
    with torch.inference_mode():
        layer.step(x)
    CHANGES["data in place"](layer)
    with torch.no_grad():
        assert torch.equal(layer.step(x)[0], fresh(layer, x[None])[0])


def test_frozen_weights_are_not_looked_at_until_the_promise_ends(monkeypatch):
    layer, x = made(LAYERS["one"]), torch.randn(1, INPUT)
    looks, made_once = [], Fingerprint.__init__

    def counted(self, tensors):
        looks.append(tensors)
        made_once(self, tensors)

    monkeypatch.setattr(Fingerprint, "__init__", counted)
    assert layer.freeze() is layer
    with torch.no_grad():
        first, _ = layer.step(x)
        whole, _ = layer(x[None])
        looks.clear()
        CHANGES["data in place"](layer)  # against the promise, to see that nobody looks
        assert torch.equal(layer.step(x)[0], first)
        assert torch.equal(layer(x[None])[0], whole)
        assert not looks
        for end in (
            lambda: layer.freeze(False),
            lambda: layer.train().eval(),
            lambda: layer.load_state_dict(layer.state_dict()),
            lambda: layer.reset_parameters(),
            lambda: layer.double().float(),
        ):
            layer.freeze()
            layer.step(x)
            layer(x[None])
            end()
            CHANGES["data in place"](layer)
            assert torch.equal(layer.step(x)[0], fresh(layer, x[None])[0])
            assert torch.equal(layer(x[None])[0], fresh(layer, x[None]))


def test_a_frozen_layer_can_be_called_with_other_parameters():
    layer, x = made(LAYERS["both ways"]).freeze(), torch.randn(6, 3, INPUT)
    others = {name: 2 * p.detach() for name, p in layer.named_parameters()}
    with torch.no_grad():
        before, _ = layer(x)
        found, _ = torch.func.functional_call(layer, others, (x,))
        assert torch.equal(layer(x)[0], before)
        layer.load_state_dict(others)
    assert torch.equal(found, fresh(layer, x))


def test_a_module_that_is_replaced_is_seen_by_the_next_step():
    layer = made(LAYERS["one"])
    x = torch.randn(1, INPUT)
    with torch.no_grad():
        layer.step(x)
        layer.layers[0][0].W = copy.deepcopy(layer.layers[0][0].W)
        layer.layers[0][0].W["f"].data.zero_()
        assert torch.equal(layer.step(x)[0], fresh(layer, x[None])[0])


def test_a_wrapper_called_with_other_parameters_steps_by_them():
    class Streamed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = made(LAYERS["one"])

        def forward(self, x):
            return self.layer.step(x)[0]

    module, x = Streamed(), torch.randn(1, INPUT)
    with torch.no_grad():
        module(x)
        others = {name: 2 * p.detach() for name, p in module.named_parameters()}
        found = torch.func.functional_call(module, others, (x,))
        module.load_state_dict(others)
        assert torch.equal(found, fresh(module.layer, x[None])[0])


def test_a_parametrized_layer_computes_by_what_the_parametrization_makes():
    layer = made(LAYERS["one"])
    x = torch.randn(4, 2, INPUT)
    parametrizations.weight_norm(layer.layers[0][0].W, "f")
    with torch.no_grad():
        before, _ = layer(x)
        layer.layers[0][0].W.parametrizations.f.original0.data.mul_(3)
        after, _ = layer(x)
        assert torch.equal(layer.step(x[0])[0], after[0])
        plain = made(LAYERS["one"])
        plain.layers[0][0].W["f"] = nn.Parameter(layer.layers[0][0].W.f.detach().clone())
        assert torch.equal(after, plain(x)[0])
        assert not torch.equal(after, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("count", [1, 3, 15, 16, 17, 31, 64, 65, 127, 300])
def test_each_number_counts_in_a_fingerprint(count, dtype):
    numbers, after = torch.randn(count).to(dtype), torch.randn(7).to(dtype)
    seen = Fingerprint([numbers, after])
    whole = seen.value
    assert not seen.look(seen.address)
    for k in range(count):
        was = numbers[k].clone()
        numbers[k] = was + 1
        assert seen.look(seen.address)
        numbers[k] = was
        assert seen.look(seen.address)
        assert seen.value == whole
    for change in (turn_about, lambda t: t.copy_(t.roll(1))):
        change(numbers)
        assert bool(seen.look(seen.address)) == (change is turn_about or count > 1)


def turn_about(tensor):
    tensor.neg_()


def trained_twice(layer, run):
    """The answer after two steps of an optimiser."""
    optimiser, x = torch.optim.SGD(layer.parameters(), 0.1), torch.ones(4, 2, INPUT)
    for _ in range(2):
        optimiser.zero_grad()
        run(layer, x).sin().sum().backward()
        optimiser.step()
    with torch.no_grad():
        return run(layer, x)


def stepwise(layer, x):
    state, outputs = None, []
    for each in x:
        y, state = layer.step(each, state)
        outputs.append(y)
    return torch.stack(outputs)


@pytest.mark.parametrize("run", [lambda layer, x: layer(x)[0], stepwise], ids=["whole", "steps"])
def test_pruned_weights_are_those_of_now(run):
    layer = made(LAYERS["one"])
    run(layer, torch.ones(4, 2, INPUT)).sum().backward()
    layer.zero_grad()
    prune.random_unstructured(layer.layers[0][0].W, "f", amount=0.5)
    y = trained_twice(layer, run)
    family = layer.layers[0][0].W
    wanted = made(LAYERS["one"])
    prune.remove(family, "f")  # leaves f_orig * f_mask
    wanted.load_state_dict(layer.state_dict())
    with torch.no_grad():
        assert torch.equal(y, run(wanted, torch.ones(4, 2, INPUT)))


def test_a_weight_norm_with_hooks_computes_as_a_parametrization():
    old = made(LAYERS["one"])
    with pytest.warns(FutureWarning, match="weight_norm"):
        nn.utils.weight_norm(old.layers[0][0].W, "f")
    new = made(LAYERS["one"])
    parametrizations.weight_norm(new.layers[0][0].W, "f")
    answers = [trained_twice(layer, lambda layer, x: layer(x)[0]) for layer in (old, new)]
    torch.testing.assert_close(*answers)
