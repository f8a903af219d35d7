"""Recurrent: every cell, direction, depth, ragged batch and dtype, in values and all gradients."""

import copy
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import elman
from elman.backends.native.llvm.target import chosen_target
from elman.errors import OptionError, ShapeError
from elman.passes.noise import drop_states
from engines import ANY_CELL
from nn.independent_cells import run

CELLS = tuple(elman.cells.CATALOGUE.values())
INPUT, HIDDEN, TIME, BATCH = 3, 4, 5, 4
RAGGED = (3, 5, 0, 1)

each_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)


def layer_of(cell, seed=0, dtype=torch.float64, **options):
    """A layer whose parameters are all drawn at random, biases too."""
    generator = torch.Generator().manual_seed(seed)
    layer = elman.Recurrent(cell, INPUT, HIDDEN, dtype=dtype, **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(0.7 * torch.randn(parameter.shape, generator=generator).to(dtype))
    return layer


def example(layer, seed=1, dtype=torch.float64, time=TIME, batch=BATCH):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(time, batch, INPUT, generator=generator).to(dtype)
    places = layer.num_layers * layer.stack.directions
    state = tuple(
        torch.randn(places, batch, HIDDEN, generator=generator).to(dtype) for _ in layer.cell.states
    )
    return x, state


def parameters_by_key(layer):
    """[layer][direction] of {"W.f": tensor}."""
    named = dict(layer.named_parameters())
    return [
        [
            {
                key.removeprefix(f"layers.{k}.{d}."): tensor
                for key, tensor in named.items()
                if key.startswith(f"layers.{k}.{d}.")
            }
            for d in range(layer.stack.directions)
        ]
        for k in range(layer.num_layers)
    ]


def all_gradients(outputs, weights, inputs):
    return torch.autograd.grad(outputs, inputs, weights, allow_unused=True, materialize_grads=True)


@pytest.mark.thinned(5)
@pytest.mark.parametrize("backend", ANY_CELL)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["whole", "ragged"])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
@each_cell
def test_every_cell_computes_its_equations_and_their_gradients(
    cell, bidirectional, num_layers, lengths, dtype, backend
):
    layer = layer_of(cell, num_layers=num_layers, bidirectional=bidirectional, backend=backend)
    x, state = example(layer)
    steps = lengths or (TIME,) * BATCH

    layers = [
        [{k: v.detach().numpy() for k, v in d.items()} for d in one]
        for one in parameters_by_key(layer)
    ]
    arrays = [s.numpy() for s in state]
    y_numpy, last_numpy = run(np, cell.name, layers, x.numpy(), arrays, steps, HIDDEN, np.stack)

    leaves = [t.requires_grad_() for t in (x, *state)]
    expected = run(torch, cell.name, parameters_by_key(layer), x, state, steps, HIDDEN, torch.stack)
    expected = [expected[0], *expected[1]]
    weights = [
        torch.randn(e.shape, dtype=e.dtype, generator=torch.Generator().manual_seed(k))
        for k, e in enumerate(expected)
    ]
    wanted = all_gradients(expected, weights, [*leaves, *layer.parameters()])

    layer = layer.to(dtype)
    found_leaves = [t.detach().to(dtype).requires_grad_() for t in leaves]
    y, last = layer(found_leaves[0], tuple(found_leaves[1:]), lengths=lengths)
    found = all_gradients(
        [y, *last], [w.to(dtype) for w in weights], [*found_leaves, *layer.parameters()]
    )
    # float32: some 40 sums of rounded terms of size 1; float64: only their order may differ
    tolerance = 3e-5 if dtype is torch.float32 else 1e-11
    for ours, theirs in zip([y, *last], [y_numpy, *last_numpy], strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=tolerance, atol=tolerance)
    for ours, theirs in zip(found, wanted, strict=True):
        scale = max(1.0, theirs.abs().max().item())
        assert torch.allclose(ours.double(), theirs, rtol=tolerance, atol=tolerance * scale)


@each_cell
def test_padding_never_changes_a_row_even_if_it_is_not_a_number(cell):
    layer = layer_of(cell, bidirectional=True, num_layers=2)
    results = []
    for padding in (0.0, 1e300, torch.nan):
        x, state = example(layer)
        for row, length in enumerate(RAGGED):
            x[length:, row] = padding
        x.requires_grad_()
        y, last = layer(x, state, lengths=RAGGED)
        weights = torch.arange(y.numel()).reshape(y.shape).double().cos()
        gradients = torch.autograd.grad(
            (y * weights).sum() + sum(s.sum() for s in last), [x, *layer.parameters()]
        )
        results.append([y, *last, *gradients])
    for row, length in enumerate(RAGGED):
        assert (results[0][0][length:, row] == 0).all()
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            assert torch.equal(first, second)


@each_cell
def test_a_row_alone_is_what_it_is_in_a_batch(cell):
    layer = layer_of(cell, bidirectional=True)
    x, state = example(layer)
    y, last = layer(x, state, lengths=RAGGED)
    for row, length in enumerate(RAGGED):
        alone_y, alone_last = layer(x[:length, [row]], tuple(s[:, [row]] for s in state))
        assert torch.allclose(y[:length, row], alone_y[:, 0], atol=1e-12)
        for one, whole in zip(alone_last, last, strict=True):
            assert torch.allclose(one[:, 0], whole[:, row], atol=1e-12)


def test_a_length_of_zero_leaves_the_state_as_given():
    layer = layer_of(elman.cells.lstm, num_layers=2)
    x, state = example(layer)
    _, last = layer(x, state, lengths=(0, 0, 0, 0))
    for given, found in zip(state, last, strict=True):
        assert torch.equal(given, found)


@each_cell
def test_step_by_step_and_in_chunks_is_the_same_as_whole(cell):
    layer = layer_of(cell, num_layers=2)
    x, state = example(layer)
    y, last = layer(x, state)
    steps, carried = [], state
    for x_t in x:
        y_t, carried = layer.step(x_t, carried)
        steps.append(y_t)
    assert torch.allclose(torch.stack(steps), y, atol=1e-12)
    first, middle = layer(x[:2], state)
    second, end = layer(x[2:], middle)
    assert torch.allclose(torch.cat([first, second]), y, atol=1e-12)
    for found in (carried, end):
        for a, b in zip(found, last, strict=True):
            assert torch.allclose(a, b, atol=1e-12)


def test_a_step_without_a_state_begins_at_zero_and_a_bidirectional_layer_has_none():
    layer = layer_of(elman.cells.gru)
    x, _ = example(layer)
    assert torch.allclose(layer.step(x[0])[0], layer(x[:1])[0][0], atol=1e-12)
    both = layer_of(elman.cells.gru, bidirectional=True)
    with pytest.raises(OptionError, match="cannot run step by step"):
        both.step(x[0])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, RAGGED])
def test_truncation_changes_no_value_and_cuts_the_gradient_every_k_steps(bidirectional, lengths):
    options = {"bidirectional": bidirectional}
    exact = layer_of(elman.cells.lstm, **options)
    cut = layer_of(elman.cells.lstm, truncate=2, **options)
    x, state = example(exact)
    x.requires_grad_()
    y, last = exact(x, state, lengths=lengths)
    y_cut, last_cut = cut(x, state, lengths=lengths)
    for a, b in zip([y, *last], [y_cut, *last_cut], strict=True):
        assert torch.allclose(a, b, atol=1e-12)
    for t in range(TIME):
        for row, length in enumerate(lengths or (TIME,) * BATCH):
            if t >= length:
                continue
            (near,) = torch.autograd.grad(y_cut[t, row, :HIDDEN].sum(), x, retain_graph=True)
            reached = near[:, row].abs().sum(-1) > 0
            assert reached.tolist() == [(s // 2 == t // 2) and s <= t for s in range(TIME)]
            (far,) = torch.autograd.grad(y[t, row, :HIDDEN].sum(), x, retain_graph=True)
            assert (far[: t + 1, row].abs().sum(-1) > 0).all()


def test_truncated_gradients_are_those_of_detaching_by_hand():
    exact, cut = layer_of(elman.cells.gru), layer_of(elman.cells.gru, truncate=2)
    x, state = example(exact)
    cut(x, state)[0].sin().sum().backward()
    outputs, carried = [], state
    for part in x.split(2):
        y, carried = exact(part, tuple(s.detach() for s in carried))
        outputs.append(y)
    torch.cat(outputs).sin().sum().backward()
    for a, b in zip(cut.parameters(), exact.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-12)


def test_exact_backpropagation_through_time_is_the_sum_of_the_specification():
    """SPEC 6.2, written out: Σᵢ ∂L/∂a⟨i⟩ Σ_{j≤i} (Π_{k=j+1..i} ∂a⟨k⟩/∂a⟨k-1⟩) ∂a⟨j⟩/∂W_a."""
    layer = layer_of(elman.cells.rnn)
    x, _ = example(layer, batch=1)
    y, _ = layer(x)
    weights = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(5))
    (y * weights).sum().backward()
    W = layer.layers[0][0].W["a"]
    recurrent = W.detach()[:, :HIDDEN]
    a = torch.cat([torch.zeros(1, HIDDEN, dtype=y.dtype), y.detach()[:, 0]])
    slope = 1 - a[1:] ** 2
    total = torch.zeros_like(W)
    for i in range(TIME):
        for j in range(i + 1):
            jacobian = torch.eye(HIDDEN, dtype=y.dtype)
            for k in range(j + 1, i + 1):
                jacobian = torch.diag(slope[k]) @ recurrent @ jacobian
            left = weights[i, 0] @ jacobian * slope[j]
            total += torch.outer(left, torch.cat([a[j], x[j, 0]]))
    assert torch.allclose(W.grad, total, atol=1e-12)


def test_batch_first_unbatched_packed_and_strided_inputs_are_one_computation():
    layer = layer_of(elman.cells.lstm, num_layers=2, bidirectional=True)
    first = layer_of(elman.cells.lstm, num_layers=2, bidirectional=True, batch_first=True)
    x, state = example(layer)
    lengths = torch.tensor([3, 5, 2, 1])
    y, last = layer(x, state, lengths=lengths)

    y_first, last_first = first(x.transpose(0, 1), state, lengths=lengths)
    assert torch.equal(y_first.transpose(0, 1), y)

    wide = torch.zeros(TIME, BATCH, 2 * INPUT, dtype=x.dtype)
    wide[..., ::2] = x
    y_strided, last_strided = layer(wide[..., ::2], state, lengths=lengths)
    assert torch.equal(y_strided, y)

    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    y_packed, last_packed = layer(packed, state)
    y_again, lengths_again = pad_packed_sequence(y_packed)
    assert torch.equal(y_again, y)
    assert torch.equal(lengths_again, lengths)
    assert torch.equal(y_packed.batch_sizes, packed.batch_sizes)
    for other in (last_first, last_strided, last_packed):
        for a, b in zip(other, last, strict=True):
            assert torch.equal(a, b)

    by_length = [1, 0, 2, 3]
    packed = pack_padded_sequence(x[:, by_length], lengths[by_length])
    y_sorted, _ = layer(packed, tuple(s[:, by_length] for s in state))
    assert torch.equal(pad_packed_sequence(y_sorted)[0], y[:, by_length])

    y_one, last_one = layer(x[:, 1], tuple(s[:, 1] for s in state))
    assert torch.allclose(y_one, y[:, 1], atol=1e-12)
    assert last_one[0].shape == (4, HIDDEN)


def test_no_steps_and_no_rows_are_allowed():
    layer = layer_of(elman.cells.lstm, bidirectional=True)
    _, state = example(layer)
    y, last = layer(torch.zeros(0, BATCH, INPUT, dtype=torch.float64), state)
    assert y.shape == (0, BATCH, 2 * HIDDEN)
    assert all(torch.equal(a, b) for a, b in zip(state, last, strict=True))
    y, last = layer(torch.zeros(TIME, 0, INPUT, dtype=torch.float64), lengths=[])
    assert y.shape == (TIME, 0, 2 * HIDDEN)
    assert last[0].shape == (2, 0, HIDDEN)


def test_only_what_asks_for_a_gradient_gets_one():
    layer = layer_of(elman.cells.lstm)
    x, state = example(layer)
    layer.layers[0][0].W["f"].requires_grad_(False)
    layer(x, state)[0].sum().backward()
    assert x.grad is None
    assert layer.layers[0][0].W["f"].grad is None
    assert layer.layers[0][0].W["i"].grad is not None
    with torch.no_grad():
        assert layer(x)[0].grad_fn is None


def test_dropout_falls_between_layers_in_training_only():
    torch.manual_seed(0)
    layer = layer_of(elman.cells.gru, num_layers=2, dropout=0.5)
    x, _ = example(layer)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])
    assert torch.equal(layer(x)[0], layer_of(elman.cells.gru, num_layers=2)(x)[0])


def test_the_state_dict_has_the_letters_of_the_equations():
    layer = elman.Recurrent(elman.cells.diagonal_peephole_lstm, 3, 4, 2, bidirectional=True)
    shapes = {key: tuple(value.shape) for key, value in layer.state_dict().items()}
    expected = {}
    for k, width in ((0, 3), (1, 8)):
        for d in (0, 1):
            expected |= {f"layers.{k}.{d}.W.{g}": (4, 4 + width) for g in "ifgo"}
            expected |= {f"layers.{k}.{d}.b.{g}": (4,) for g in "ifgo"}
            expected |= {f"layers.{k}.{d}.p.{g}": (4,) for g in "ifo"}
    assert shapes == expected
    assert not [
        key
        for key in elman.Recurrent(elman.cells.gru, 3, 4, bias=False).state_dict()
        if ".b." in key
    ]
    full = elman.Recurrent(elman.cells.peephole_lstm, 3, 4).state_dict()
    assert full["layers.0.0.W.f"].shape == (4, 4 + 4 + 3)


@each_cell
def test_weights_are_saved_copied_and_loaded_whole(cell):
    layer = layer_of(cell)
    x, _ = example(layer)
    other = layer_of(cell, seed=9)
    assert not torch.equal(layer(x)[0], other(x)[0])
    other.load_state_dict(load(save(layer.state_dict())))
    assert torch.equal(layer(x)[0], other(x)[0])
    twin = copy.deepcopy(layer)
    assert torch.equal(layer(x)[0], twin(x)[0])
    assert twin.layers[0][0] is not layer.layers[0][0]


def test_parameters_begin_as_the_docstring_says():
    torch.manual_seed(0)
    layer = elman.Recurrent(elman.cells.lstm, 30, 20)
    direction = layer.layers[0][0]
    assert (direction.b["f"] == 1).all()
    assert (direction.b["i"] == 0).all()
    recurrent = direction.W["i"][:, :20]
    assert torch.allclose(recurrent @ recurrent.T, torch.eye(20), atol=1e-5)
    assert direction.W["i"][:, 20:].abs().max() <= (6 / 50) ** 0.5
    assert not torch.equal(direction.W["i"], direction.W["g"])


SENTENCES = {
    "features": (lambda f: f(torch.zeros(5, 4, 40)), "Recurrent(lstm): x ends in 40 features, but input_size is 3."),
    "step": (lambda f: f.step(torch.zeros(5, 4, 3)), "Recurrent(lstm): step takes (batch, input), but x has the shape (5, 4, 3)."),
    "array": (lambda f: f(torch.zeros(5, 4, 3).numpy()), "Recurrent(lstm): x is a numpy.ndarray; it must be a torch.Tensor."),
    "axes": (lambda f: f(torch.zeros(5)), "Recurrent(lstm): x has the shape (5,); it must be (time, batch, input), or (time, input) for one sequence."),
    "dtype": (lambda f: f(torch.zeros(5, 4, 3, dtype=torch.float64)), "x is torch.float64 on cpu, but the parameters are torch.float32"),
    "lengths": (lambda f: f(torch.zeros(5, 4, 3), lengths=[1, 2]), "lengths has the shape (2,), but x has 4 rows"),
    "too long": (lambda f: f(torch.zeros(5, 4, 3), lengths=[1, 2, 6, 0]), "lengths range from 0 to 6, but x has 5 steps"),
    "negative": (lambda f: f(torch.zeros(5, 4, 3), lengths=[1, 2, -1, 0]), "lengths range from -1 to 2"),
    "fractions": (lambda f: f(torch.zeros(5, 4, 3), lengths=[1.0] * 4), "lengths are torch.float32; they must be integers"),
    "one state": (lambda f: f(torch.zeros(5, 4, 3), torch.zeros(1, 4, 4)), "state is a tensor; it must be a tuple of 2 tensors (h, c)"),
    "states": (lambda f: f(torch.zeros(5, 4, 3), (torch.zeros(1, 4, 4),)), "state is a tuple of 1 tensor; it must be a tuple of 2 tensors (h, c)"),
    "number": (lambda f: f(torch.zeros(5, 4, 3), 5), "state is of type int; it must be a tuple of 2 tensors (h, c), or None."),
    "nothing": (lambda f: f.step(torch.zeros(4, 3), (None, None)), "state is a tuple with an element of type NoneType; it must be a tuple of 2 tensors (h, c), or None."),
    "one state of a sequence": (lambda f: f(torch.zeros(5, 3), torch.zeros(1, 4)), "state is a tensor; it must be a tuple of 2 tensors (h, c)"),
    "state shape": (lambda f: f(torch.zeros(5, 4, 3), (torch.zeros(1, 4, 4), torch.zeros(1, 4, 5))), "the initial c has the shape (1, 4, 5), but (layers * directions, batch, hidden) is (1, 4, 4)"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "sentence"), SENTENCES.values(), ids=SENTENCES)
def test_a_tensor_that_does_not_fit_gets_a_sentence(call, sentence):
    with pytest.raises(ShapeError) as caught:
        call(elman.Recurrent(elman.cells.lstm, 3, 4))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"hidden_size": 0}, "hidden_size is 0; it must be a positive integer"),
        ({"num_layers": 1.5}, "num_layers is 1.5"),
        ({"dropout": 2.0}, "dropout is 2.0; it must be a probability"),
        ({"truncate": 0}, "truncate is 0"),
        ({"backend": "quantum"}, 'backend is "quantum"; it must be "auto", "native", "torch" or'),
        ({"cell": "lstm"}, "cell is 'lstm'; pass a cell such as elman.cells.lstm"),
    ],
)
def test_an_option_that_cannot_be_gets_a_sentence(options, sentence):
    arguments = {"cell": elman.cells.lstm, "input_size": 3, "hidden_size": 4, **options}
    with pytest.raises(OptionError) as caught:
        elman.Recurrent(**arguments)
    assert sentence in str(caught.value)


def test_a_packed_sequence_brings_its_own_lengths():
    layer = elman.Recurrent(elman.cells.lstm, 3, 4)
    packed = pack_padded_sequence(torch.zeros(5, 2, 3), torch.tensor([5, 2]))
    with pytest.raises(OptionError, match="has its own lengths"):
        layer(packed, lengths=[5, 2])


def test_the_report_says_which_engine_runs_and_how():
    report = layer_of(elman.cells.lstm).backend_report()
    assert report.startswith("Recurrent(lstm): native engine (the fastest for these tensors)")
    target = chosen_target()
    assert f"float64, compiled for {target.cpu} with vectors of {target.lanes('double')}" in report
    assert "the reference engine computes second derivatives" in report

    report = layer_of(elman.cells.lstm, backend="reference").backend_report()
    assert report.startswith("Recurrent(lstm): reference engine (requested)")
    assert "with torch's operations" in report


def test_the_report_is_of_the_last_run_where_there_was_one():
    layer = layer_of(elman.cells.gru)
    x, _ = example(layer)
    assert "which will run" in layer.backend_report()
    layer(x)
    layer.to(torch.float32)
    assert "which ran last" in layer.backend_report()
    assert "float64" in layer.backend_report()
    with torch.no_grad():
        layer.step(x[0].float())
    assert "float32" in layer.backend_report()


def test_the_report_says_why_it_is_not_the_native_engine():
    layer = layer_of(elman.cells.gru).to("meta")
    report = layer.backend_report()
    assert report.startswith(
        "Recurrent(gru): reference engine (tensors are on meta, and the native"
    )
    asked = layer_of(elman.cells.gru, backend="native").to("meta")
    assert (
        'no engine can run: backend is "native", but tensors are on meta' in asked.backend_report()
    )


@pytest.mark.thinned(2)
@pytest.mark.parametrize("backend", ANY_CELL)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@each_cell
def test_the_report_says_how_much_training_keeps(cell, dtype, backend):
    options = {"num_layers": 2, "bidirectional": True, "backend": backend}
    layer = layer_of(cell, dtype=dtype, **options)
    x, state = example(layer, dtype=dtype)
    saved = {}

    def pack(tensor):
        saved[tensor.data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        layer(x, state)
    # what backward keeps has a row for each step of each sequence
    kept = [t for t in saved.values() if t.shape[:1] == (TIME * BATCH,)]
    each = sum(t.numel() * t.itemsize for t in kept) // (TIME * BATCH)
    assert f"saves {each:,} bytes per row and step in its 4 layers" in layer.backend_report()


@pytest.mark.parametrize("options", [{"hidden_size": 10**9}, {"num_layers": 10**9}])
def test_a_layer_that_no_memory_holds_is_refused_by_a_sentence(options):
    sizes = {"input_size": 10, "hidden_size": 20} | options
    with pytest.raises(OptionError) as caught:
        elman.Recurrent(elman.cells.lstm, **sizes)
    assert re.fullmatch(
        r"Recurrent\(lstm\): [\d,]+ parameters take [\d,]+ GB, but this machine has [\d,]+ GB of "
        r"memory; choose a smaller input_size, hidden_size or num_layers\.",
        str(caught.value),
    )
    elman.Recurrent(elman.cells.lstm, 10, 10**5, device="meta")  # takes none


def test_a_cell_with_masks_of_its_own_is_refused():
    with pytest.raises(OptionError, match="equations contain masks"):
        elman.Recurrent(drop_states(elman.cells.gru), 3, 4)
