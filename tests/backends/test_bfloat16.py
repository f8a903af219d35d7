"""bfloat16 on the native engine, converted or by autocast, beside float32 with the same weights."""

import pytest
import torch

import elman
from elman.cells import CATALOGUE
from graph.kinds import KINDS

#: "host" has products of bfloat16 where the processor does, the other never
TARGETS = ("host", "avx2")
LENGTHS = {"whole": None, "ragged": [7, 0, 3, 6, 1]}


@pytest.fixture(autouse=True, params=TARGETS)
def target(request, monkeypatch):
    monkeypatch.setenv("ELMAN_TARGET", request.param)
    return request.param


def layers(name, inputs, hidden, **options):
    """A layer in float32 whose weights are numbers of bfloat16, and the same in bfloat16."""
    torch.manual_seed(0)
    small = elman.Recurrent(CATALOGUE[name], inputs, hidden, dtype=torch.bfloat16, **options)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    full = elman.Recurrent(CATALOGUE[name], inputs, hidden, **options)
    full.load_state_dict(small.state_dict())
    return full, small


def outcome(layer, x, lengths):
    """Outputs, last states and all gradients, with torch's autograd."""
    x = x.detach().requires_grad_()
    y, last = layer(x, lengths=lengths)
    outputs = [y, *last]
    loss = sum((o.float() * weights_for(o)).sum() for o in outputs)
    leaves = [x, *layer.parameters()]
    return outputs, torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)


def weights_for(output):
    return torch.randn(output.shape, generator=torch.Generator().manual_seed(1))


def assert_like(found, expected, allowed):
    """Within a part of the largest number, or of the terms of a sum that cancels."""
    for ours, theirs in zip(found, expected, strict=True):
        apart = (ours.float() - theirs.float()).abs().max() if theirs.numel() else 0.0
        scale = theirs.abs().max() if theirs.numel() else 1.0
        assert apart <= allowed * max(scale, 0.5), (apart, scale)


@pytest.mark.thinned(3)
@pytest.mark.parametrize("way", ["converted", "autocast"])
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize(
    ("name", "sizes"),
    [(n, (5, 19)) for n in CATALOGUE] + [(n, s) for n in KINDS for s in ((1, 1), (32, 48))],
    ids=str,
)
def test_values_and_gradients_are_those_of_float32(name, sizes, lengths, way):
    full, small = layers(name, *sizes, bidirectional=True)
    x = torch.randn(7, 5, sizes[0]).bfloat16()
    expected, expected_gradients = outcome(full, x.float(), LENGTHS[lengths])
    if way == "converted":
        found, gradients = outcome(small, x, LENGTHS[lengths])
    else:
        with torch.autocast("cpu", torch.bfloat16):
            found, gradients = outcome(full, x.float(), LENGTHS[lengths])
    assert {o.dtype for o in found} == {torch.bfloat16}
    inside = torch.bfloat16 if way == "converted" else torch.float32
    assert {g.dtype for g in gradients} == {inside}
    # a number of bfloat16 has 8 bits, so rounding is 2 ** -9 of it; errors of steps add up
    assert_like(found, expected, 0.015)
    # near a kink rounding moves a number over it, and its derivative from 0 to 1
    has_kinks = any(node.operation == "relu" for node in CATALOGUE[name].nodes)
    assert_like(gradients, expected_gradients, 0.15 if has_kinks else 0.03)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_autocast_gives_the_types_that_torchs_lstm_gives(kind):
    theirs, ours = torch.nn.LSTM(3, 4), getattr(elman.nn, kind)(3, 4)
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(5, 2, 3, dtype=dtype, requires_grad=True)
        with torch.autocast("cpu", torch.bfloat16):
            try:
                expected, (state, _) = theirs(x)
            except RuntimeError as error:
                if "primitive descriptor" not in str(error):
                    raise
                pytest.skip("torch has no bfloat16 LSTM for this processor")
            y, h = ours(x)
        h = h[0] if isinstance(h, tuple) else h
        assert (y.dtype, h.dtype) == (expected.dtype, state.dtype) == (torch.bfloat16,) * 2
        y.sum().backward()
        assert x.grad.dtype is dtype
        assert {p.grad.dtype for p in ours.parameters()} == {torch.float32}


def test_a_row_is_the_same_alone_and_in_a_batch_bit_for_bit():
    _, layer = layers("gru", 13, 35)
    x = torch.randn(6, 17, 13).bfloat16()
    y, (h,) = layer(x)
    for row in (0, 9, 16):
        alone, (state,) = layer(x[:, row : row + 1].contiguous())
        assert torch.equal(alone[:, 0], y[:, row])
        assert torch.equal(state[:, 0], h[:, row])


def test_a_step_is_a_sequence_of_one():
    _, layer = layers("lstm", 5, 19)
    x = torch.randn(4, 2, 5).bfloat16()
    expected, last = layer(x[:1])
    with torch.no_grad():
        y, state = layer.step(x[0])
        assert_like([y, *state], [expected[0], *last], 0.015)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        again, _ = layers("lstm", 5, 19)[0].step(x[0].float())
    assert torch.equal(again, y)


def test_steps_go_on_from_each_other_or_from_any_state():
    full, layer = layers("gru", 5, 19, num_layers=2)
    x = torch.randn(100, 2, 5).bfloat16()
    expected, last = full(x.float())
    state, found = None, []
    with torch.no_grad():
        for row in x:
            before = state
            y, state = layer.step(row, state)
            assert {y.dtype, *[s.dtype for s in state]} == {torch.bfloat16}
            found.append(y)
        assert_like([torch.stack(found), *state], [expected, *last], 0.015)
        assert torch.equal(layer.step(x[-1], before)[0], found[-1])
        state[0].zero_()  # such as a user does where a stream ends
        assert torch.equal(layer.step(x[0], state)[0], found[0])


def test_nothing_comes_from_beside_a_row():
    """Odd sizes, and infinities where a row ends."""
    _, layer = layers("gru", 5, 3)
    x = torch.full((4, 3, 6), torch.inf).bfloat16()
    x[..., :5] = torch.randn(4, 3, 5)
    assert torch.equal(layer(x[..., :5])[0], layer(x[..., :5].contiguous())[0])
    alone = torch.full((4, 3, 5), torch.inf).bfloat16()
    alone[:, 1] = x[:, 1, :5]
    assert torch.equal(layer(alone)[0][:, 1], layer(x[..., :5])[0][:, 1])


def test_torch_sees_one_operator_as_for_other_types():
    full, small = layers("coupled_lstm", 3, 4)
    states = [torch.zeros(2, 4, dtype=torch.bfloat16, requires_grad=True) for _ in range(2)]
    for layer in (full, small):
        x = torch.randn(3, 2, 3).bfloat16().requires_grad_()
        given = (
            x,
            states,
            list(layer.parameters()),
            None,
            layer.cell.text,
            False,
            True,
            "native",
            [],
        )
        torch.library.opcheck(torch.ops.elman.recurrent.default, given)


@pytest.mark.parametrize("way", ["converted", "autocast"])
def test_compiled_it_computes_the_same(way):
    full, small = layers("lstm", 5, 19)
    layer = small if way == "converted" else full
    x = torch.randn(7, 5, 5).bfloat16().requires_grad_()

    def loss(x):
        with torch.autocast("cpu", torch.bfloat16, enabled=way == "autocast"):
            y, _ = layer(x)
        return (y * y).sum()

    expected = torch.autograd.grad(loss(x), [x, *layer.parameters()])
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    found = torch.autograd.grad(compiled(x), [x, *layer.parameters()])
    assert_like(found, expected, 0.01)


def test_second_derivatives_are_those_of_float32():
    full, small = layers("lstm", 3, 4)
    found = []
    for layer, dtype in ((full, torch.float32), (small, torch.bfloat16)):
        torch.manual_seed(3)
        x = torch.randn(4, 2, 3).bfloat16().to(dtype).requires_grad_()
        y, _ = layer(x)
        first = torch.autograd.grad(y.square().sum(), [x], create_graph=True)
        leaves = [x, *layer.parameters()]
        found.append(torch.autograd.grad(first[0].square().sum(), leaves))
    assert_like(found[1], found[0], 0.05)


def test_auto_is_native_for_bfloat16():
    assert elman.backends.choose("auto", torch.bfloat16, torch.device("cpu"))[0] == "native"
