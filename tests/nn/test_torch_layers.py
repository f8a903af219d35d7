"""elman.nn's RNN, LSTM and GRU against torch.nn's: values, states, every gradient, weights."""

import itertools

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import elman
from elman.errors import OptionError

KINDS = {
    "RNN": {},
    "RNN relu": {"nonlinearity": "relu"},
    "LSTM": {},
    "GRU": {},
}


def pair(kind, seed=0, **options):
    made = []
    for module in (elman.nn, torch.nn):
        torch.manual_seed(seed)
        options = {"dtype": torch.float64, **KINDS[kind], **options}
        made.append(getattr(module, kind.split()[0])(3, 4, **options))
    return made


def flat(result):
    y, state = result
    states = state if isinstance(state, tuple) else (state,)
    y = y.data if isinstance(y, torch.nn.utils.rnn.PackedSequence) else y
    return [y, *states]


def assert_same(ours, theirs, call):
    """The same outputs and the same gradients of every parameter and input."""
    results = []
    for module in (ours, theirs):
        leaves, outputs = call(module)
        weights = [torch.arange(o.numel()).reshape(o.shape).double().cos() for o in outputs]
        inputs = [*leaves, *module.parameters()]
        results.append([*outputs, *torch.autograd.grad(outputs, inputs, weights)])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, atol=1e-11)


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    ("num_layers", "bidirectional", "batch_first", "bias"),
    list(itertools.product([1, 2], [False, True], [False, True], [True, False])),
)
@pytest.mark.parametrize("kind", KINDS)
def test_all_options_give_torchs_results_and_gradients(
    kind, num_layers, bidirectional, batch_first, bias
):
    ours, theirs = pair(
        kind, num_layers=num_layers, bidirectional=bidirectional, batch_first=batch_first, bias=bias
    )
    for (name, a), (other, b) in zip(
        ours.state_dict().items(), theirs.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(a, b), "one seed must give the same model"
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(5, 2, 3, generator=generator, dtype=torch.float64)
    places = num_layers * (2 if bidirectional else 1)
    batch = 5 if batch_first else 2
    state = torch.randn(places, batch, 4, generator=generator, dtype=torch.float64)

    def call(module):
        leaves = [x.clone().requires_grad_(), state.clone().requires_grad_()]
        hx = (leaves[1], 2 * leaves[1]) if kind == "LSTM" else leaves[1]
        return leaves, flat(module(leaves[0], hx))

    assert_same(ours, theirs, call)


@pytest.mark.parametrize("sort", [True, False], ids=["sorted", "any order"])
@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_go_in_and_come_out(kind, sort):
    ours, theirs = pair(kind, num_layers=2, bidirectional=True)
    x = torch.randn(5, 3, 3, dtype=torch.float64)
    lengths = torch.tensor([5, 3, 1] if sort else [1, 5, 3])

    def call(module):
        leaf = x.clone().requires_grad_()
        packed = pack_padded_sequence(leaf, lengths, enforce_sorted=sort)
        return [leaf], flat(module(packed))

    assert_same(ours, theirs, call)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=sort)
    assert torch.allclose(
        pad_packed_sequence(ours(packed)[0])[0], pad_packed_sequence(theirs(packed)[0])[0]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_one_sequence_without_a_batch(kind):
    ours, theirs = pair(kind)
    x = torch.randn(5, 3, dtype=torch.float64)
    for a, b in zip(flat(ours(x)), flat(theirs(x)), strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a, b)
    state = torch.randn(1, 4, dtype=torch.float64)
    hx = (state, state) if kind == "LSTM" else state
    for a, b in zip(flat(ours(x, hx)), flat(theirs(x, hx)), strict=True):
        assert torch.allclose(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_go_both_ways(kind):
    ours, _ = pair(kind, num_layers=2, bidirectional=True)
    _, theirs = pair(kind, seed=9, num_layers=2, bidirectional=True)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    assert not torch.allclose(ours(x)[0], theirs(x)[0])
    theirs.load_state_dict(ours.state_dict())
    assert torch.allclose(ours(x)[0], theirs(x)[0])
    _, third = pair(kind, seed=5, num_layers=2, bidirectional=True)
    ours.load_state_dict(third.state_dict())
    assert torch.allclose(ours(x)[0], third(x)[0])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_recurrent_layer_comes_from_torch_and_goes_there(kind, bias):
    _, theirs = pair(kind, num_layers=2, bidirectional=True, bias=bias, batch_first=True)
    layer = elman.nn.from_torch(theirs)
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    assert torch.allclose(layer(x)[0], theirs(x)[0], atol=1e-12)
    back = elman.nn.to_torch(layer)
    assert type(back) is type(theirs)
    assert torch.allclose(back(x)[0], theirs(x)[0], atol=1e-12)


def test_what_torch_has_not_is_said():
    with pytest.raises(OptionError, match=r"torch\.nn has no equivalent of coupled_lstm"):
        elman.nn.to_torch(elman.Recurrent(elman.cells.coupled_lstm, 3, 4))
    with pytest.raises(OptionError, match=r"is a Linear; it must be a torch\.nn RNN"):
        elman.nn.from_torch(torch.nn.Linear(3, 4))


def test_training_step_for_step_is_torchs():
    ours, theirs = pair("LSTM")
    for module in (ours, theirs):
        optimizer = torch.optim.Adam(module.parameters(), 0.01)
        x = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(3)).double()
        for _ in range(20):
            optimizer.zero_grad()
            module(x)[0].square().mean().backward()
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-9)


def test_it_prints_as_torch_does_and_has_its_methods():
    ours, theirs = pair("LSTM", num_layers=2, bidirectional=True)
    assert repr(ours) == repr(theirs)
    ours.flatten_parameters()
    assert [[p.shape for p in w] for w in ours.all_weights] == [
        [p.shape for p in w] for w in theirs.all_weights
    ]
