"""elman.nn's layers beside torch.nn's: every way of using one, with the same values and gradients.

Each function below uses a layer of the given namespace in one way and returns what it sees; the
test runs it on ``elman.nn`` and on ``torch.nn`` and compares.
"""

import copy
import io
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrizations, parametrize, prune
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence
from torch.utils.checkpoint import checkpoint

import elman
from thorough import few

KINDS = ["RNN", "RNN relu", "LSTM", "GRU"]
CELLS = ["RNNCell", "LSTMCell", "GRUCell"]
INPUT, HIDDEN, TIME, BATCH = 3, 4, 5, 2


def build(nn, kind, **options):
    torch.manual_seed(0)
    name, *relu = kind.split()
    options = {"dtype": torch.float64, **({"nonlinearity": "relu"} if relu else {}), **options}
    return getattr(nn, name)(INPUT, HIDDEN, **options)


def numbers(*shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def sequence():
    return numbers(TIME, BATCH, INPUT).requires_grad_()


def state_of(kind, *shape, proj_size=0):
    if kind != "LSTM":
        return numbers(*shape, HIDDEN, seed=2).requires_grad_()
    h = numbers(*shape, proj_size or HIDDEN, seed=2).requires_grad_()
    return h, numbers(*shape, HIDDEN, seed=3).requires_grad_()


def tensors(result):
    """All tensors of a layer's result."""
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, PackedSequence):
        return [part for part in result if part is not None]
    return [tensor for part in result for tensor in tensors(part)]


def seen(result, layer, *leaves):
    """Values, and the gradients of the leaves and of all parameters, by name."""
    values = [v for v in tensors(result) if v.is_floating_point()]
    loss = sum((v * numbers(*v.shape, seed=9)).sum() for v in values)
    named = {str(k): leaf for k, leaf in enumerate(leaves)} | dict(layer.named_parameters())
    wanted = {name: leaf for name, leaf in named.items() if leaf.requires_grad}
    found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    gradients = dict(zip(wanted, found, strict=True))
    return {f"value {k}": v for k, v in enumerate(tensors(result))} | gradients


def assert_same(ours, theirs):
    assert list(ours) == list(theirs)
    for name in ours:
        if isinstance(theirs[name], torch.Tensor):
            torch.testing.assert_close(ours[name], theirs[name], rtol=1e-9, atol=1e-11, msg=name)
        else:
            assert ours[name] == theirs[name], name


def positional_arguments(nn, kind):
    x, state = sequence(), state_of(kind, 1, BATCH)
    layer = build(nn, kind)
    return seen(layer(x, state), layer, x, *tensors(state))


def keyword_arguments(nn, kind):
    x, state = sequence(), state_of(kind, 1, BATCH)
    layer = build(nn, kind)
    return seen(layer(hx=state, input=x), layer, x, *tensors(state))


def every_argument_of_the_constructor(nn, kind):
    options = {"num_layers": 2, "bias": False, "batch_first": True, "dropout": 0.0}
    layer = build(nn, kind, bidirectional=True, device="cpu", **options)
    x = sequence()
    return {"repr": repr(layer), **seen(layer(x), layer, x)}


def projection(nn, kind):
    x = sequence()
    found = {}
    for bias in (True, False):
        layer = build(nn, "LSTM", proj_size=2, num_layers=2, bidirectional=True, bias=bias)
        state = state_of("LSTM", 4, BATCH, proj_size=2)
        found |= {"repr": repr(layer), "shapes": [p.shape for p in layer.all_weights[3]]}
        found |= {f"{bias} {k}": v for k, v in seen(layer(x, state), layer, x, *state).items()}
        packed = pack_padded_sequence(x, [2, 5], enforce_sorted=False)
        found |= {f"packed {bias} {k}": v for k, v in seen(layer(packed), layer, x).items()}
    return found


def one_sequence_without_a_batch(nn, kind):
    x, state = numbers(TIME, INPUT).requires_grad_(), state_of(kind, 2)
    layer = build(nn, kind, bidirectional=True, batch_first=True)
    return seen(layer(x, state), layer, x, *tensors(state))


def packed_rows_in_any_order(nn, kind):
    rows = [numbers(length, INPUT, seed=length).requires_grad_() for length in (2, 5, 3)]
    state = state_of(kind, 4, 3)
    layer = build(nn, kind, num_layers=2, bidirectional=True)
    result = layer(pack_sequence(rows, enforce_sorted=False), state)
    return seen(result, layer, *rows, *tensors(state))


def dropout_of_a_seed(nn, kind):
    found = {}
    for options in ({}, {"bidirectional": True}, {"batch_first": True}):
        layer = build(nn, kind, num_layers=3, dropout=0.5, **options)
        x = sequence()
        packed = pack_padded_sequence(numbers(4, 3, INPUT), [2, 4, 1], enforce_sorted=False)
        for name, given in (("padded", x), ("packed", packed)):
            torch.manual_seed(4)
            result = seen(layer(given), layer, x)
            found |= {f"{options} {name} {key}": value for key, value in result.items()}
        layer.eval()
        found |= {f"{options} evaluated": layer(x)[0]}
    return found


def dropout_changed_later(nn, kind):
    layer, x = build(nn, kind, num_layers=2), sequence()
    layer.dropout = 0.5
    torch.manual_seed(4)
    return seen(layer(x), layer, x)


def forward_hooks(nn, kind):
    layer, x = build(nn, kind), sequence()
    layer.register_forward_pre_hook(lambda module, given: (2 * given[0], *given[1:]))
    layer.register_forward_hook(lambda module, given, result: (result[0] + 1, result[1]))
    return seen(layer(x), layer, x)


def forward_hooks_with_keywords(nn, kind):
    layer, x = build(nn, kind), sequence()

    def double(module, given, keywords):
        return given, {**keywords, "input": 2 * keywords["input"]}

    layer.register_forward_pre_hook(double, with_kwargs=True)
    return seen(layer(input=x), layer, x)


def backward_hooks(nn, kind):
    layer, x = build(nn, kind), sequence()
    met = []
    layer.register_full_backward_pre_hook(lambda module, grads: met.extend(grads))
    layer.register_full_backward_hook(lambda module, grads, _: met.extend(grads))
    layer(x)[0].square().sum().backward()
    return {str(k): g for k, g in enumerate(met)} | {n: p.grad for n, p in layer.named_parameters()}


def hooks_of_parameters(nn, kind):
    layer, x = build(nn, kind), sequence()
    met = []
    layer.weight_hh_l0.register_hook(lambda grad: met.append(grad) or 3 * grad)
    layer.weight_ih_l0.register_post_accumulate_grad_hook(lambda p: met.append(p.grad.clone()))
    layer(x)[0].square().sum().backward()
    gradients = {name: p.grad for name, p in layer.named_parameters()}
    met.sort(key=lambda tensor: tensor.shape)
    return {str(k): g for k, g in enumerate(met)} | gradients


def weight_dropped_by_setattr(nn, kind):
    layer, x = build(nn, kind), sequence()
    raw = layer.weight_hh_l0
    del layer._parameters["weight_hh_l0"]
    layer.register_parameter("weight_hh_l0_raw", torch.nn.Parameter(raw.data))
    found = {}
    for seed in (1, 2):  # the second call must not see the first one's weights
        torch.manual_seed(seed)
        layer.weight_hh_l0 = torch.nn.functional.dropout(layer.weight_hh_l0_raw, 0.5)
        found |= {f"{seed} {key}": value for key, value in seen(layer(x), layer, x).items()}
    return found


def weights_set_in_the_flat_list(nn, kind):
    layer, x = build(nn, kind), sequence()
    layer._flat_weights = [2 * getattr(layer, name) for name in layer._flat_weights_names]
    return seen(layer(x), layer, x)


def another_parameter(nn, kind):
    layer, x = build(nn, kind), sequence()
    layer(x)
    layer.weight_hh_l0 = torch.nn.Parameter(numbers(*layer.weight_hh_l0.shape, seed=8))
    return seen(layer(x), layer, x)


def weights_changed_in_place(nn, kind):
    layer, x = build(nn, kind), sequence()
    found = {}
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            layer(x)
            layer.weight_hh_l0.data.mul_(1.5)
            for weights in layer.all_weights:
                weights[0].data[1:].add_(0.25)
            found[f"grad {grad}"] = layer(x)[0]
    return found


def tied_weights(nn, kind):
    layer, x = build(nn, kind, num_layers=2), sequence()
    layer.weight_hh_l1 = layer.weight_hh_l0
    return seen(layer(x), layer, x)


def frozen_weights(nn, kind):
    layer, x = build(nn, kind), sequence()
    layer.weight_hh_l0.requires_grad_(False)
    return seen(layer(x), layer, x)


def weight_norm(nn, kind):
    layer, x = build(nn, kind), sequence()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's newer one is tested below
        for name in ("weight_hh_l0", "weight_ih_l0"):
            torch.nn.utils.weight_norm(layer, name)
    first = seen(layer(x), layer, x)
    layer.weight_hh_l0_g.data.mul_(2)
    second = seen(layer(x), layer, x)
    return first | {f"second {name}": value for name, value in second.items()}


def spectral_norm(nn, kind):
    layer, x = build(nn, kind), sequence()
    torch.nn.utils.spectral_norm(layer, "weight_hh_l0")
    layer(x)
    return seen(layer(x), layer, x) | {"u": layer.weight_hh_l0_u}


def parametrized_weight_norm(nn, kind):
    layer, x = build(nn, kind), sequence()
    parametrizations.weight_norm(layer, "weight_hh_l0")
    return seen(layer(x), layer, x)


def parametrized_spectral_norm(nn, kind):
    layer, x = build(nn, kind), sequence()
    parametrizations.spectral_norm(layer, "weight_hh_l0")
    layer(x)  # each evaluation of the weight is a power iteration: as many as in torch.nn
    return seen(layer(x), layer, x)


def parametrized_orthogonal(nn, kind):
    layer, x = build(nn, kind), sequence()
    parametrizations.orthogonal(layer, "weight_hh_l0")
    found = seen(layer(x), layer, x)
    parametrize.remove_parametrizations(layer, "weight_hh_l0")
    return found | {"removed": layer(x)[0]}


def pruned(nn, kind):
    layer, x = build(nn, kind), sequence()
    prune.l1_unstructured(layer, "weight_hh_l0", amount=0.5)
    found = seen(layer(x), layer, x)
    layer.weight_hh_l0_orig.data.mul_(2)
    found |= {f"second {name}": value for name, value in seen(layer(x), layer, x).items()}
    prune.remove(layer, "weight_hh_l0")
    return found | {"removed": layer(x)[0]}


def functional_call(nn, kind):
    layer, x = build(nn, kind), sequence()
    other = {name: (2 * p.detach()).requires_grad_() for name, p in layer.named_parameters()}
    found = seen(torch.func.functional_call(layer, other, (x,)), layer, x, *other.values())
    return found | {"own again": layer(x)[0]}


def second_derivatives(nn, kind):
    layer, x = build(nn, kind), sequence()
    (dx,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
    return seen(dx, layer, x)


def checkpointed(nn, kind):
    layer, x = build(nn, kind), sequence()
    return seen(checkpoint(layer, x, use_reentrant=False), layer, x)


def copies(nn, kind):
    layer, x = build(nn, kind, num_layers=2), sequence()
    found = {}
    for name, made in (
        ("deepcopy", copy.deepcopy(layer)),
        ("pickle", pickle.loads(pickle.dumps(layer))),  # noqa: S301
        ("replica", layer._replicate_for_data_parallel()),
    ):
        if name == "replica":  # as torch.nn.parallel.replicate does with each device's tensors
            for key, p in layer.named_parameters():
                setattr(made, key, 1 * p)
        else:
            made.weight_hh_l0.data.mul_(2)
        found |= {f"{name} {k}": v for k, v in seen(made(x), layer, x).items() if v is not None}
    return found | {"itself": layer(x)[0]}


def whole_module_loaded_without_running_code(nn, kind):
    layer, x = build(nn, kind, num_layers=2, bidirectional=True), sequence()
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    with torch.serialization.safe_globals([type(layer)] if nn is torch.nn else []):
        made = torch.load(file, weights_only=True)
    assert type(made) is type(layer)
    return {"repr": repr(made), **seen(made(x), made, x)}


def weights_of_a_file(nn, kind):
    layer, x = build(nn, kind), sequence()
    for assign in (False, True):
        other = {name: 2 * p.detach() for name, p in layer.state_dict().items()}
        layer.load_state_dict(other, assign=assign)
    return {"keys": list(layer.state_dict()), **seen(layer(x), layer, x)}


def meta_device(nn, kind):
    layer = build(nn, kind, num_layers=2, bidirectional=True, device="meta")
    y = layer(torch.empty(TIME, BATCH, INPUT, dtype=torch.float64, device="meta"))[0]
    layer = layer.to_empty(device="cpu")
    layer.load_state_dict(build(nn, kind, num_layers=2, bidirectional=True).state_dict())
    x = sequence()
    return {"shape": y.shape, "device": y.device, **seen(layer(x), layer, x)}


def another_type(nn, kind):
    layer, x = build(nn, kind, dtype=torch.float32).double(), sequence()
    return seen(layer(x), layer, x)


def methods_that_users_call(nn, kind):
    layer = build(nn, kind, num_layers=2, bidirectional=True)
    layer.flatten_parameters()
    for name, parameter in layer.named_parameters():
        if "weight" in name:
            torch.nn.init.orthogonal_(parameter)
    x = sequence()
    return {
        "names": layer._all_weights,
        "flat names": layer._flat_weights_names,
        "shapes": [[p.shape for p in own] for own in layer.all_weights],
        "same": all(a is b for a, b in zip(layer._flat_weights, layer.parameters(), strict=True)),
        "is a base": isinstance(layer, torch.nn.RNNBase),
        "attributes": [getattr(layer, name) for name in layer.__constants__],
        **seen(layer(x), layer, x),
    }


def no_rows(nn, kind):
    layer = build(nn, kind)
    return {str(k): t for k, t in enumerate(tensors(layer(numbers(TIME, 0, INPUT))))}


WAYS = [
    positional_arguments, keyword_arguments, every_argument_of_the_constructor,
    one_sequence_without_a_batch, packed_rows_in_any_order, dropout_of_a_seed,
    dropout_changed_later, forward_hooks, forward_hooks_with_keywords, backward_hooks,
    hooks_of_parameters, weight_dropped_by_setattr, weights_set_in_the_flat_list,
    another_parameter, weights_changed_in_place, tied_weights, frozen_weights, weight_norm,
    spectral_norm, parametrized_weight_norm, parametrized_spectral_norm, parametrized_orthogonal,
    pruned, functional_call, second_derivatives, checkpointed, copies,
    whole_module_loaded_without_running_code, weights_of_a_file, meta_device, another_type,
    methods_that_users_call, no_rows,
]  # fmt: skip


# an RNN is used as a GRU is; its equations are compared in test_torch_layers.py
@pytest.mark.parametrize("kind", few(KINDS, keep=lambda kind: kind in {"LSTM", "GRU"}))
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_used_alike_it_does_the_same_as_torch(way, kind):
    assert_same(way(elman.nn, kind), way(torch.nn, kind))


def test_a_projection_is_torchs():
    assert_same(projection(elman.nn, "LSTM"), projection(torch.nn, "LSTM"))


FAULTS = {
    "hidden size 0": lambda nn, kind: build(nn, kind, num_layers=0),
    "bias 1": lambda nn, kind: build(nn, kind, bias=1),
    "dropout 2": lambda nn, kind: build(nn, kind, dropout=2),
    "projection too large": lambda nn, kind: build(nn, "LSTM", proj_size=HIDDEN),
    "nonlinearity": lambda nn, kind: build(nn, "RNN", nonlinearity="sigmoid"),
    "four axes": lambda nn, kind: build(nn, kind)(numbers(1, 2, 3, INPUT)),
    "one feature too many": lambda nn, kind: build(nn, kind)(numbers(2, 2, INPUT + 1)),
    "another type": lambda nn, kind: build(nn, kind)(numbers(2, 2, INPUT).float()),
    "state of other rows": lambda nn, kind: build(nn, kind)(sequence(), state_of(kind, 1, 3)),
    "state of other layers": lambda nn, kind: build(nn, kind)(sequence(), state_of(kind, 2, BATCH)),
    "state without a batch": lambda nn, kind: build(nn, kind)(sequence(), state_of(kind, 1)),
    "state with a batch": lambda nn, kind: build(nn, kind)(
        numbers(TIME, INPUT), state_of(kind, 1, BATCH)
    ),
    "weight of another type": lambda nn, kind: build(nn, kind).float()(sequence()),
}


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_as_torch_names_it(fault, kind):
    with pytest.raises(Exception) as theirs:
        FAULTS[fault](torch.nn, kind)
    with pytest.raises(type(theirs.value)) as ours:
        FAULTS[fault](elman.nn, kind)
    assert str(ours.value) == str(theirs.value)


def test_where_torch_has_no_sentence_there_is_one():
    x = sequence()
    with pytest.raises(ValueError, match=r"LSTM: hx is a tensor; it must be a pair \(h_0, c_0\)"):
        build(elman.nn, "LSTM")(x, numbers(1, BATCH, HIDDEN))
    with pytest.raises(ValueError, match="GRU: hx is of type tuple; it must be one tensor h"):
        build(elman.nn, "GRU")(x, state_of("LSTM", 1, BATCH))
    with pytest.raises(ValueError, match="LSTM: hx is of type int; it must be a pair"):
        build(elman.nn, "LSTM")(x, 5)
    with pytest.raises(ValueError, match="LSTM: hx is a tuple with an element of type int"):
        build(elman.nn, "LSTM")(x, (5, 5))
    with pytest.raises(ValueError, match="LSTM: num_layers is '2'; it must be a positive integer"):
        elman.nn.LSTM(INPUT, HIDDEN, "2")
    with pytest.raises(ValueError, match=r"GRU: hx is torch\.float32 on cpu, but input is torch"):
        build(elman.nn, "GRU")(x, numbers(1, BATCH, HIDDEN).float())
    layer = build(elman.nn, "LSTM")
    layer.weight_hh_l0 = None
    with pytest.raises(ValueError, match="LSTM: weight_hh_l0 is None; set it to a tensor"):
        layer(x)


def test_one_layer_with_dropout_is_warned_of_as_in_torch():
    for nn in (elman.nn, torch.nn):
        with pytest.warns(UserWarning, match="dropout option adds dropout after all but last"):
            build(nn, "GRU", dropout=0.5)


def test_the_profiler_names_a_layer():
    layer = build(elman.nn, "RNN relu")
    with torch.profiler.profile() as profile:
        layer(sequence())
    assert "elman::rnn_relu" in [event.name for event in profile.events()]


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_steps_as_torch_does(kind):
    cells = [build(nn, kind) for nn in (elman.nn, torch.nn)]
    found = []
    for cell in cells:
        x, state = sequence(), state_of(kind.removesuffix("Cell"), BATCH)
        given = tensors(state)
        for step in x:
            state = cell(step, state)
        found.append({"repr": repr(cell), **seen(state, cell, x, *given)})
    assert_same(*found)


def test_a_layer_of_any_cell_is_loaded_without_running_code():
    options = {"num_layers": 2, "bidirectional": True, "zoneout": 0.1, "temporal_penalty": 0.1}
    layer = elman.Recurrent(elman.cells.peephole_lstm, INPUT, HIDDEN, **options).double()
    layer(sequence())
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    made = torch.load(file, weights_only=True)
    assert repr(made) == repr(layer)
    assert torch.equal(made.eval()(sequence())[0], layer.eval()(sequence())[0])


@pytest.mark.parametrize("imports", ["import torch, elman", "import elman, torch"])
def test_a_layer_is_loaded_after_import_elman(imports, tmp_path):
    torch.save(build(elman.nn, "GRU"), tmp_path / "layer.pt")
    program = f"{imports}\nprint(torch.load('layer.pt', weights_only=True))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == (f"GRU({INPUT}, {HIDDEN})\n", "")


def test_an_array_is_refused_with_what_to_pass():
    layer = elman.nn.LSTM(3, 4)
    with pytest.raises(TypeError, match=r"LSTM: the input is a numpy\.ndarray; it must be a torch"):
        layer(np.zeros((5, 2, 3), np.float32))
