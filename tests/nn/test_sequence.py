"""A stack of different layers is its layers one after another, with what stands between them."""

import copy

import pytest
import torch
from torch import nn

import elman
from elman.backends.native.frozen_steps import FrozenSteps
from elman.errors import OptionError, ShapeError
from elman.nn.stepper import _GeneralSteps

INPUT = 5
LENGTHS = [6, 0, 3]


def layers(**options):
    torch.manual_seed(0)
    return [
        elman.Recurrent(elman.cells.lstm, INPUT, 7, bidirectional=True, **options),
        elman.Recurrent(elman.cells.mgu, 14, 14, 2, **options),
        elman.Recurrent(elman.cells.rnn, 14, 3, **options),
    ]


def one_way(**options):
    torch.manual_seed(0)
    return [
        elman.Recurrent(elman.cells.lstm, INPUT, 7),
        elman.Recurrent(elman.cells.gru, 7, 7),
        elman.Recurrent(elman.cells.rnn, 7, 3),
    ]


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_layers_run_one_after_another(lengths):
    found = layers()
    stack, x = elman.Stack(found), torch.randn(6, 3, INPUT)
    y, state = stack(x, lengths=lengths)
    expected, states = x, []
    for layer in found:
        expected, last = layer(expected, lengths=lengths)
        states.append(last)
    assert torch.equal(y, expected)
    for ours, theirs in zip(state, states, strict=True):
        assert all(map(torch.equal, ours, theirs))
    assert stack.output_size == 3
    again, _ = stack(x, state, lengths=lengths)
    assert again.shape == y.shape


@pytest.mark.parametrize("merge", ["sum", "mean"])
def test_directions_are_merged_and_inputs_added(merge):
    torch.manual_seed(0)
    below = elman.Recurrent(elman.cells.gru, INPUT, INPUT, bidirectional=True)
    above = elman.Recurrent(elman.cells.gru, INPUT, 4)
    stack, x = elman.Stack([below, above], merge=merge, residual=True), torch.randn(6, 3, INPUT)
    both = below(x)[0]
    total = both[..., :INPUT] + both[..., INPUT:]
    merged = x + (total if merge == "sum" else total / 2)
    torch.testing.assert_close(stack.outputs(x)[0], merged)
    torch.testing.assert_close(stack(x)[0], above(merged)[0])  # other sizes: nothing to add


def test_norms_stand_between_layers():
    found = one_way()
    stack, x = elman.Stack(found, norm=True), torch.randn(6, 3, INPUT)
    y = found[0](x)[0]
    for layer in found[1:]:
        y = layer(torch.nn.functional.layer_norm(y, y.shape[-1:]))[0]
    torch.testing.assert_close(stack(x)[0], y)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("options", [{}, {"residual": True, "norm": True, "learned_state": True}])
def test_what_lies_past_a_row_changes_nothing(options, batch_first):
    torch.manual_seed(0)
    found = [
        elman.Recurrent(elman.cells.gru, INPUT, INPUT, batch_first=batch_first) for _ in range(3)
    ]
    stack, x = elman.Stack(found, **options), torch.randn(6, 3, INPUT)
    with torch.no_grad():
        for norm in stack.norms:
            norm.bias.normal_()
        for state in stack.initial:
            state.normal_()
    padded = x.clone()
    for row, length in enumerate(LENGTHS):
        padded[length:, row] = torch.nan
    first, second = [each.transpose(0, 1) if batch_first else each for each in (x, padded)]
    y, state = stack(first, lengths=LENGTHS)
    again, state_again = stack(second, lengths=LENGTHS)
    assert torch.equal(y, again)
    for ours, theirs in zip(state, state_again, strict=True):
        assert all(map(torch.equal, ours, theirs))
    y = y.transpose(0, 1) if batch_first else y
    for row, length in enumerate(LENGTHS):
        assert not y[length:, row].any()
        alone, _ = stack(first[row : row + 1] if batch_first else first[:, row : row + 1])
        alone = alone.transpose(0, 1) if batch_first else alone
        torch.testing.assert_close(alone[:length, 0], y[:length, row])


@pytest.mark.parametrize("options", [{}, {"residual": True, "norm": True, "learned_state": True}])
def test_steps_are_the_sequence(options):
    stack, x = elman.Stack(one_way(), **options), torch.randn(6, 2, INPUT)
    whole, last = stack(x)
    state, outputs = None, []
    for x_t in x:
        y, state = stack.step(x_t, state)
        outputs.append(y)
    torch.testing.assert_close(torch.stack(outputs), whole)
    for ours, theirs in zip(state, last, strict=True):
        torch.testing.assert_close(ours, theirs)
    single, _ = stack(x[:, 0])
    torch.testing.assert_close(single, whole[:, 0])


def test_matrix_states_are_learned_too():
    layers = [
        elman.Recurrent(elman.cells.delta_net, INPUT, 8, heads=2, key_size=3),
        elman.Recurrent(elman.cells.mlstm, 8, 8, heads=4, key_size=5),
    ]
    stack, x = elman.Stack(layers, learned_state=True), torch.randn(6, 2, INPUT)
    with torch.no_grad():
        for state in stack.initial:
            state.normal_()
    whole, last = stack(x)
    torch.testing.assert_close(stack(x[:, 0])[0], whole[:, 0])
    state = None
    for x_t, y_t in zip(x, whole, strict=True):
        y, state = stack.step(x_t, state)
        torch.testing.assert_close(y, y_t)
    for ours, theirs in zip(state, last, strict=True):
        torch.testing.assert_close(ours, theirs)
    whole.square().mean().backward()
    assert all(s.grad.any() for s in stack.initial[1:2])


def test_all_parts_are_learned_and_saved():
    stack = elman.Stack(one_way(), norm=True, learned_state=True)
    stack(torch.randn(6, 2, INPUT))[0].square().mean().backward()
    assert all(parameter.grad is not None for parameter in stack.parameters())
    other = elman.Stack(one_way(), norm=True, learned_state=True)
    other.load_state_dict(stack.state_dict())
    x = torch.randn(6, 2, INPUT)
    assert torch.equal(copy.deepcopy(stack)(x)[0], other(x)[0])


def test_a_whole_stack_is_saved_and_loaded_without_running_code(tmp_path):
    stack, x = elman.Stack(one_way(), norm=True, learned_state=True), torch.randn(6, 2, INPUT)
    torch.save(stack, tmp_path / "stack.pt")
    assert torch.equal(torch.load(tmp_path / "stack.pt", weights_only=True)(x)[0], stack(x)[0])


def test_dropout_stands_between_layers_in_training():
    stack, x = elman.Stack(one_way(), dropout=0.5), torch.randn(6, 2, INPUT)
    assert not torch.equal(stack(x)[0], stack(x)[0])
    stack.eval()
    assert torch.equal(stack(x)[0], stack(x)[0])


def test_what_does_not_fit_is_said_in_a_sentence():
    lstm = elman.Recurrent(elman.cells.lstm, 4, 6)
    with pytest.raises(OptionError, match="layer 1 has input_size 4, but layer 0 has outputs of"):
        elman.Stack([lstm, elman.Recurrent(elman.cells.lstm, 4, 6)])
    with pytest.raises(OptionError, match="pass a list of"):
        elman.Stack([])
    with pytest.raises(OptionError, match="pass a list of"):
        elman.Stack([torch.nn.LSTM(4, 6)])
    with pytest.raises(OptionError, match="merge is 'add'"):
        elman.Stack([lstm], merge="add")
    with pytest.raises(OptionError, match=r"dropout is 1\.5"):
        elman.Stack([lstm], dropout=1.5)
    with pytest.raises(OptionError, match="batch_first"):
        elman.Stack([lstm, elman.Recurrent(elman.cells.lstm, 6, 6, batch_first=True)])
    stack = elman.Stack([lstm])
    with pytest.raises(ShapeError, match="x is"):
        stack(torch.randn(4))
    for state in (torch.randn(1, 2, 6), 5):
        with pytest.raises(ShapeError, match="the state of each of the 1 layers"):
            stack(torch.randn(3, 2, 4), state)


def test_chunks_with_a_carried_state_are_the_whole():
    layer, x = elman.Recurrent(elman.cells.gru, 4, 8), torch.randn(10, 2, 4)
    targets, state, outputs, sizes = torch.arange(10), None, [], []
    for part, of_part in elman.chunks(x, 4, targets):
        y, state = layer(part, state)
        state = elman.detached(state)
        outputs.append(y)
        sizes.append(of_part.tolist())
    assert sizes == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    torch.testing.assert_close(torch.cat(outputs), layer(x)[0])
    first = [part.shape for part in elman.chunks(x.transpose(0, 1), 7, batch_first=True)]
    assert first == [(2, 7, 4), (2, 3, 4)]


def test_gradients_end_where_a_chunk_begins():
    layer = elman.Recurrent(elman.cells.lstm, 4, 8)
    x = torch.randn(6, 2, 4, requires_grad=True)
    state = None
    for part in elman.chunks(x, 3):
        y, state = layer(part, elman.detached(state))
    y.sum().backward()
    assert not x.grad[:3].any()
    assert x.grad[3:].any()


def test_states_of_a_stack_are_detached_too():
    _, state = elman.Stack(one_way())(torch.randn(6, 2, INPUT))
    found = elman.detached(state)
    assert [len(each) for each in found] == [2, 1, 1]
    assert not any(tensor.requires_grad for each in found for tensor in each)
    assert elman.detached(None) is None


@pytest.mark.parametrize("state", [5, "ab", (5,), {"h": torch.zeros(1)}])
def test_what_is_no_state_cannot_be_detached(state):
    with pytest.raises(ShapeError, match=r"detached: the state is of type .*; pass what a layer"):
        elman.detached(state)


def test_a_stack_of_no_layers_is_refused():
    with pytest.raises(OptionError, match="Stack: pass a list"):
        elman.Stack(5)


def test_wrong_chunks_are_refused_before_the_first():
    x = torch.randn(6, 2, 4)
    with pytest.raises(OptionError, match="steps is 0"):
        elman.chunks(x, 0)
    with pytest.raises(ShapeError, match="x has 6 steps, but another sequence has 5"):
        elman.chunks(x, 2, x[1:])
    with pytest.raises(ShapeError, match="second axis"):
        elman.chunks(torch.arange(4), 2, batch_first=True)
    assert list(elman.chunks(x[:0], 2)) == []


def varied(residual, norm, learned, backend="auto"):
    """Layers of several cells, sizes and depths, one with a matrix state."""
    torch.manual_seed(0)
    options = {"dtype": torch.float64, "backend": backend}
    stack = elman.Stack(
        [
            elman.Recurrent(elman.cells.lstm, 6, 8, **options),
            elman.Recurrent(elman.cells.mlstm, 8, 8, heads=2, key_size=3, **options),
            elman.Recurrent(elman.cells.lstmp, 8, 9, sizes={"projection": 8}, **options),
        ],
        residual=residual, norm=norm, learned_state=learned, dropout=0.3,
    )  # fmt: skip
    for p in stack.parameters():
        nn.init.normal_(p, std=0.4)
    return stack


def assert_stepper(stack, output=None, batch=2):
    x = torch.randn(5, batch, 6, dtype=torch.float64)
    stepper = stack.stepper(batch, output=output)
    with torch.no_grad():
        wanted, last = stack.eval()(x)
    for t in range(5):
        y = stepper(x[t])
        if output is None:
            torch.testing.assert_close(y, wanted[t], rtol=1e-10, atol=1e-11)
        else:
            torch.testing.assert_close(y, output(wanted[t]).detach(), rtol=1e-10, atol=1e-11)
    found = [each for state in stepper.state for each in state]
    wanted_states = [each for state in last for each in state]
    torch.testing.assert_close(found, wanted_states, rtol=1e-10, atol=1e-11)
    return stepper, x, wanted


@pytest.mark.thinned(2)
@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_stepper_runs_the_whole_stack(backend, residual, norm, learned):
    stack = varied(residual, norm, learned, backend)
    stepper, x, wanted = assert_stepper(stack, nn.Linear(8, 3, dtype=torch.float64))
    kind = FrozenSteps if backend == "native" else _GeneralSteps
    assert isinstance(stepper._steps, kind)
    stepper, x, wanted = assert_stepper(stack)
    with torch.no_grad():
        _, middle = stack(x[:2])
        stepper.state = middle
        torch.testing.assert_close(stepper(x[2]), wanted[2])
        stepper.reset()
        for p in stack.parameters():
            p.zero_()
        torch.testing.assert_close(stepper(x[0]), wanted[0])


@pytest.mark.parametrize("inner", [{"num_layers": 2}, {"residual": True}], ids=str)
def test_a_residual_around_several_layers(inner):
    stack = elman.Stack(
        [
            elman.Recurrent(elman.cells.gru, 6, 6, dtype=torch.float64, **inner),
            elman.Recurrent(elman.cells.lstm, 6, 6, dtype=torch.float64),
        ],
        residual=True,
    )
    assert_stepper(stack)


def test_layers_that_normalise_and_add_themselves():
    kind = {"num_layers": 2, "residual": True, "norm": True, "learned_state": True}
    stack = elman.Stack(
        [
            elman.Recurrent(elman.cells.gru, 6, 6, dtype=torch.float64, **kind),
            elman.Recurrent(elman.cells.lstm, 6, 6, dtype=torch.float64, **kind),
        ],
        norm=True,
    )
    for p in stack.parameters():
        nn.init.normal_(p, std=0.4)
    stepper, _, _ = assert_stepper(stack)
    assert isinstance(stepper._steps, FrozenSteps)


def test_what_a_stepper_of_a_stack_refuses():
    stack = varied(False, False, False)
    stepper = stack.stepper()
    with pytest.raises(ShapeError, match="states of each of the 3 layers"):
        stepper.state = stepper.state[:2]
    wrong = (*stepper.state[:2], (torch.zeros(1, 1, 4),) * 2)
    with pytest.raises(ShapeError, match="layer 2: state 0 has the shape"):
        stepper.state = wrong
    with pytest.raises(OptionError, match='quantize="int8" is for float32'):
        stack.stepper(quantize="int8")
    both = elman.Stack([elman.Recurrent(elman.cells.gru, 3, 4, bidirectional=True)])
    with pytest.raises(OptionError, match="later steps"):
        both.stepper()
