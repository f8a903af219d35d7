"""Cells with a matrix state: values and gradients agree with loops from the papers."""

import copy
import io
import warnings

import pytest
import torch
from torch import nn

import elman
from elman import (
    abs,
    cell,
    exp,
    head_sum,
    maximum,
    outer,
    relu,
    sigmoid,
    sqrt,
    tanh,
    where,
)
from elman.backends.native import matrix_states as native
from elman.backends.native.llvm.jit import compile_module
from elman.backends.native.llvm.matrix_steps import CHUNK, Kernels, Shape
from elman.backends.native.llvm.target import find_target
from elman.cells import CATALOGUE, WITH_MATRIX_STATES, delta_net, mlstm
from elman.errors import CellError, OptionError, ShapeError
from elman.graph import read_cell, read_equations
from elman.passes.memory import memory_gradient, memory_parts
from nn.matrix_loops import LOOPS, Given

TIME, BATCH, INPUT = 5, 3, 4
#: units and keys of a head, and heads: less than a vector, whole vectors, more, and no powers of 2
SHAPES = [(4, 3, 2), (16, 16, 1), (37, 5, 2), (80, 9, 1)]


@cell(
    inputs={"dt": "one", "u": "hidden"},
    sizes={"S": "memory", "R": "memory", "n": "key", "m": "head"}
    | {"W.k": "key", "W.q": "key", "W.g": "head", "p.s": "memory", "p.k": "key", "p.h": "head"},
)
def everything(x, h, S, R, n, m, dt, u, *, W, b, p):
    """Two matrices, states of every size, sums over sums, conditions of every size."""
    k = W.k @ [x, u]
    k = k / sqrt(head_sum(k * k) + 0.1)
    g = sigmoid(W.g @ x + p.h)
    m = maximum(g * m, head_sum(n * k)) - 0.1 * dt
    n = where(n > m, 0.5 * n, n + k) * p.k
    read = S @ k + 0.2 * h
    S = where(outer(u, k) < S, tanh(S), exp(-dt * exp(p.s)) * S) + outer(W.v @ x - read, g * k)
    R = 0.3 * R + relu(S * n) - m * R
    a = R @ (W.q @ x) / (abs(head_sum(n * k)) + 1)
    h = where(m > 0.2, a, a * head_sum(a * b.h)) + b.h
    return h, S, R, n, m


@cell(sizes={"n": "key", "W.k": "key"})
def keys_alone(x, y, n, *, W):
    """A state per key, and no matrix."""
    n = tanh(n + W.k @ x)
    y = head_sum(n) * (W.v @ x)
    return y, n


def layer_of(own, units=4, keys=3, heads=2, **options):
    torch.manual_seed(0)
    options = {"dtype": torch.float64, **options}
    layer = elman.Recurrent(own, INPUT, units * heads, heads=heads, key_size=keys, **options)
    for p in layer.parameters():
        nn.init.normal_(p, std=0.5)
    return layer


def weights_of(layer):
    return {name.removeprefix("layers.0.0."): p for name, p in layer.named_parameters()}


@pytest.mark.parametrize("backend", ["reference", "native"])
@pytest.mark.parametrize("name", WITH_MATRIX_STATES)
def test_values_and_gradients_are_those_of_the_paper(name, backend):
    units, keys, heads = 5, 3, 2
    layer = layer_of(WITH_MATRIX_STATES[name], units, keys, heads, backend=backend)
    x = torch.randn(CHUNK + 3, BATCH, INPUT, dtype=torch.float64, requires_grad=True)
    y, last = layer(x)
    weights = weights_of(layer)
    wanted, ends = LOOPS[name](Given(weights, x, heads, units, keys))
    torch.testing.assert_close(y, wanted.flatten(-2), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(last[0][0], y[-1])
    for state, end in zip(last[1:], ends, strict=True):
        torch.testing.assert_close(state[0], end, rtol=1e-9, atol=1e-11)
    g, gs = torch.randn_like(y), [torch.randn_like(state) for state in last]
    loss = (y * g).sum() + sum([(a * b).sum() for a, b in zip(last, gs, strict=True)])
    plain = (wanted.flatten(-2) * g).sum() + (wanted[-1].flatten(-2) * gs[0][0]).sum()
    plain = plain + sum([(a * b[0]).sum() for a, b in zip(ends, gs[1:], strict=True)])
    leaves = [x, *weights.values()]
    found, right = torch.autograd.grad(loss, leaves), torch.autograd.grad(plain, leaves)
    for a, b in zip(found, right, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.thinned(3)
@pytest.mark.parametrize("lengths", [None, (TIME + CHUNK, 2, 0)], ids=["full", "ragged"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("units", "keys", "heads"), SHAPES)
@pytest.mark.parametrize("own", [everything, keys_alone, mlstm, delta_net], ids=lambda c: c.name)
def test_the_engines_agree(own, units, keys, heads, dtype, lengths):
    time = TIME + CHUNK
    given = None if lengths is None else torch.tensor(lengths)
    x = torch.randn(time, BATCH, INPUT, dtype=dtype)
    sides = {}
    if own.inputs:
        sides = {"dt": torch.rand(time, BATCH, 1), "u": torch.randn(BATCH, units * heads)}
        sides = {name: side.to(dtype) for name, side in sides.items()}
    results = []
    for backend in ("native", "reference"):
        layer = layer_of(own, units, keys, heads, dtype=dtype, backend=backend, bidirectional=True)
        for p in layer.parameters():
            p.data *= 0.5
        torch.manual_seed(1)
        states = [
            0.3 * torch.randn(layer.stack.state_shape(s, BATCH), dtype=dtype) for s in own.states
        ]
        leaves = [x.clone(), *states, *[side.clone() for side in sides.values()]]
        leaves = [leaf.requires_grad_() for leaf in leaves]
        start = leaves[1 : 1 + len(states)]
        named = dict(zip(sides, leaves[1 + len(states) :], strict=True))
        y, last = layer(leaves[0], tuple(start), lengths=given, **named)
        torch.manual_seed(2)
        loss = sum([(value * torch.randn_like(value)).sum() for value in (y, *last)])
        wanted = [*leaves, *layer.parameters()]
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
        results.append([y, *last, *gradients])
    tolerance = {"rtol": 1e-8, "atol": 1e-9} if dtype is torch.float64 else {}
    for a, b in zip(*results, strict=True):
        if dtype is torch.float32:
            tolerance = {"rtol": 2e-3, "atol": 2e-4 * (b.abs().max().item() + 1)}
        torch.testing.assert_close(a, b, **tolerance)


@pytest.mark.parametrize("target", ["avx2", "x86-64"])
@pytest.mark.parametrize("own", [everything, mlstm], ids=lambda c: c.name)
def test_other_vectors_compute_the_same(own, target, monkeypatch):
    x = torch.randn(CHUNK + 2, 2, INPUT, dtype=torch.float64)
    sides = {"dt": torch.rand(2, 1), "u": torch.randn(2, 74)} if own.inputs else {}
    sides = {name: side.double() for name, side in sides.items()}
    results = []
    for name in ("host", target):
        monkeypatch.setenv("ELMAN_TARGET", name)
        layer = layer_of(own, 37, 5, 2)
        y, _ = layer(x, **sides)
        y.square().mean().backward()
        results.append([y.detach(), *[p.grad for p in layer.parameters()]])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_kernels_for_aarch64_compile():
    target = find_target("aarch64")
    for own in (everything, mlstm):
        core = memory_parts(own.text).core
        kernels = Kernels(core.text, Shape("float", target.lanes("float"), 10, 6), target)
        assert compile_module(kernels.text([False] * len(core.inputs)), target)


def test_the_native_engine_runs_unless_another_is_asked_for(monkeypatch):
    called = []
    forward = native.forward
    monkeypatch.setattr(
        native, "forward", lambda run, save: called.append(save) or forward(run, save=save)
    )
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    layer_of(delta_net)(x)
    with torch.no_grad():
        layer_of(delta_net)(x)
    assert called == [True, False]
    layer_of(delta_net, backend="reference")(x)
    assert called == [True, False]


@pytest.mark.parametrize("name", ["delta_net", "mlstm", "mamba"])
def test_pieces_and_steps_are_the_whole(name):
    layer = layer_of(WITH_MATRIX_STATES[name], num_layers=2)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    with torch.no_grad():
        y, last = layer(x)
        first, state = layer(x[:2])
        rest, state = layer(x[2:], state)
        torch.testing.assert_close(torch.cat([first, rest]), y)
        state_of_steps = None
        for now, wanted in zip(x, y, strict=True):
            one, state_of_steps = layer.step(now, state_of_steps)
            torch.testing.assert_close(one, wanted)
    for a, b, c in zip(last, state, state_of_steps, strict=True):
        torch.testing.assert_close(a, b)
        torch.testing.assert_close(a, c)


@cell(sizes={"S": "memory", "W.k": "key", "W.q": "key"})
def deeper(x, y, S, *, W, b):
    """Products of what is computed from x, which the steps of a stepper do not know."""
    a = tanh(W.a @ x + b.a)
    S = 0.9 * S + outer(W.v @ a, W.k @ [a, x])
    return S @ (W.q @ x), S


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", [*WITH_MATRIX_STATES, "keys_alone", "deeper"])
def test_a_stepper_runs_the_layers_in_place(name, batch):
    own = {**WITH_MATRIX_STATES, "keys_alone": keys_alone, "deeper": deeper}[name]
    layer, output = layer_of(own, 5, 3, 2, num_layers=2), nn.Linear(10, 2, dtype=torch.float64)
    x = torch.randn(TIME, batch, INPUT, dtype=torch.float64)
    stepper = layer.stepper(batch, output=output)
    with torch.no_grad():
        y, last = layer(x)
        for now, wanted in zip(x, output(y), strict=True):
            torch.testing.assert_close(stepper(now), wanted, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(stepper.state, last, rtol=1e-9, atol=1e-11)
        _, stepper.state = layer(x[:2])
        torch.testing.assert_close(stepper(x[2]), output(y[2]), rtol=1e-10, atol=1e-12)
        stepper.reset()
        for p in layer.parameters():  # a stepper has copied them
            p.zero_()
        torch.testing.assert_close(stepper(x[0]), output(y[0]), rtol=1e-10, atol=1e-12)
    with pytest.raises(ShapeError, match=f"state 1 has the shape .*; it must be .2, {batch}, 2"):
        stepper.state = (last[0], *[state[:, :, :1] for state in last[1:]])


def test_a_row_has_the_same_bits_in_any_batch_and_on_any_threads():
    layer = layer_of(delta_net, 16, 16, 2, dtype=torch.float32)
    x = torch.randn(40, 9, INPUT)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            layer.zero_grad()
            y, _ = layer(x)
            y.square().sum().backward()
            found.append([y.detach(), *[p.grad.clone() for p in layer.parameters()]])
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)
    core = memory_parts(delta_net.text).core
    sides = [0.3 * torch.randn(40, 9, 2, *shape) for shape in ((1, 16), (16, 1), (1, 1), (1, 16))]
    states = [torch.zeros(9, 2, 16, 1), torch.zeros(9, 2, 16, 16)]
    order = [size for _, size in core.inputs]
    axes = {"key": 0, "hidden": 1, "head": 2}
    sides = [sides[axes[size]] for size in order]
    whole, _, _ = native.forward(native.Run(core.text, sides, states, 40, None, False), save=False)
    one, _, _ = native.forward(
        native.Run(
            core.text, [s[:, 4:5] for s in sides], [s[4:5] for s in states], 40, None, False
        ),
        save=False,
    )
    assert torch.equal(whole[:, 4:5], one)


def test_truncated_backpropagation_stops_the_gradient():
    layer = layer_of(delta_net, truncate=2)
    whole = layer_of(delta_net)
    x = torch.randn(4, 1, INPUT, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(layer(x)[0], whole(x)[0])
    (gradient,) = torch.autograd.grad(layer(x)[0][-1].sum(), x)
    assert (gradient[:2] == 0).all()
    assert (gradient[2:] != 0).any()


def test_padding_is_neither_read_nor_differentiated():
    layer = layer_of(mlstm)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    lengths = torch.tensor([TIME, 2, 0])
    damaged = x.clone()
    damaged[2:, 1], damaged[:, 2] = torch.nan, torch.inf
    damaged.requires_grad_()
    y, _ = layer(damaged, lengths=lengths)
    torch.testing.assert_close(y, layer(x, lengths=lengths)[0])
    y.sum().backward()
    assert damaged.grad.isfinite().all()
    assert all([p.grad.isfinite().all() for p in layer.parameters()])


@pytest.mark.parametrize("time", [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_any_number_of_steps(time):
    x = torch.randn(time, 2, INPUT, dtype=torch.float64)
    results = []
    for backend in ("native", "reference"):
        layer = layer_of(delta_net, backend=backend)
        y, last = layer(x)
        results.append([y, *last])
        (y.sum() + last[1].sum()).backward()
        results[-1] += [p.grad for p in layer.parameters()]
    torch.testing.assert_close(*results)


def test_second_derivatives_and_forward_mode():
    layer = layer_of(delta_net, 2, 2, 1)
    x = torch.randn(3, 1, INPUT, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,))
    tangent = torch.randn_like(x)
    _, found = torch.func.jvp(lambda x: layer(x)[0], (x.detach(),), (tangent,))
    jacobian = torch.autograd.functional.jacobian(lambda x: layer(x)[0], x.detach())
    wanted = torch.einsum("abcdef,def->abc", jacobian, tangent)
    torch.testing.assert_close(found, wanted)


def test_transforms_of_torch():
    layer = layer_of(mlstm)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    parameters = {name: p.detach() for name, p in layer.named_parameters()}

    def loss(given):
        return torch.func.functional_call(layer, given, (x,))[0].square().sum()

    layer(x)[0].square().sum().backward()
    for name, gradient in torch.func.grad(loss)(parameters).items():
        torch.testing.assert_close(gradient, layer.get_parameter(name).grad)
    two = {name: torch.stack([p, 0.9 * p]) for name, p in parameters.items()}
    torch.testing.assert_close(torch.func.vmap(loss)(two)[0], loss(parameters))


@pytest.mark.thorough
def test_a_compiled_layer_computes_the_same():
    layer = layer_of(delta_net, dtype=torch.float32)
    x = torch.randn(3, BATCH, INPUT)
    with warnings.catch_warnings():
        # the compiler leaves its graph for the steps, and then looks at gradients itself
        warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor")
        y, _ = torch.compile(layer, backend="aot_eager")(x)
    torch.testing.assert_close(y, layer(x)[0], rtol=1e-4, atol=1e-5)


def test_bfloat16_is_computed_in_float32():
    exact = layer_of(mlstm, dtype=torch.float32)
    half = copy.deepcopy(exact).bfloat16()
    x = torch.randn(TIME, BATCH, INPUT)
    y, states = half(x.bfloat16())
    assert {y.dtype, *[state.dtype for state in states]} == {torch.bfloat16}
    torch.testing.assert_close(y.float(), exact(x)[0], rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", ["delta_net", "mlstm"])
def test_one_sequence_carries_its_state_on(name):
    layer = layer_of(WITH_MATRIX_STATES[name], num_layers=2)
    x = torch.randn(TIME, INPUT, dtype=torch.float64)
    y, last = layer(x)
    first, state = layer(x[:2])
    rest, state = layer(x[2:], state)
    torch.testing.assert_close(torch.cat([first, rest]), y)
    for a, b in zip(last, state, strict=True):
        torch.testing.assert_close(a, b)
    one, _ = layer.step(x[2], layer(x[:2])[1])
    torch.testing.assert_close(one, y[2])


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_division_of_padding_has_no_gradient(backend):
    @cell(sizes={"S": "memory", "W.k": "key", "W.d": "head"})
    def dividing(x, y, S, *, W):
        S = S / exp(W.d @ x) + outer(W.v @ x, W.k @ x)
        return (S @ (W.k @ x)) / sqrt(W.n @ x * (W.n @ x)), S

    layer = layer_of(dividing, backend=backend)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64, requires_grad=True)
    y, last = layer(x, lengths=[TIME, 2, 0])
    wanted = [x, *layer.parameters()]
    loss = y.sum() + last[1].sum()
    gradients = torch.autograd.grad(loss, wanted, create_graph=True)
    assert all([g.isfinite().all() for g in gradients])
    second = torch.autograd.grad(sum([g.square().sum() for g in gradients]), wanted)
    assert all([g.isfinite().all() for g in second])


def test_a_layer_shows_its_heads_and_keys():
    assert repr(elman.Recurrent(delta_net, 4, 8, heads=2)).endswith("4, 8, heads=2, key_size=4)")


def test_packed_sequences_and_batch_first():
    layer = layer_of(delta_net, batch_first=True)
    x = torch.randn(BATCH, TIME, INPUT, dtype=torch.float64)
    lengths = torch.tensor([TIME, 3, 1])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
    y, last = layer(packed)
    padded, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
    wanted, states = layer(x, lengths=lengths)
    torch.testing.assert_close(padded, wanted)
    torch.testing.assert_close(last, states)


def test_a_layer_is_saved_and_loaded(tmp_path):
    layer = layer_of(delta_net)
    torch.save(layer, tmp_path / "layer.pt")
    loaded = torch.load(tmp_path / "layer.pt", weights_only=True)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    assert torch.equal(loaded(x)[0], layer(x)[0])
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)


def test_a_small_model_learns_to_recall():
    """Pairs of a key and a value, then a key: the value that stood last beside it."""
    torch.manual_seed(0)
    layer = elman.Recurrent(delta_net, 12, 32, heads=2, key_size=8)
    output = nn.Linear(32, 4)
    optimizer = torch.optim.Adam([*layer.parameters(), *output.parameters()], 0.01)
    for _ in range(150):
        keys, values = torch.randint(8, (6, 32)), torch.randint(4, (6, 32))
        asked = torch.randint(6, (32,))
        names, said = nn.functional.one_hot(keys, 8), nn.functional.one_hot(values, 4)
        question = nn.functional.one_hot(keys[asked, torch.arange(32)], 8)
        x = torch.cat([names, said], -1).float()
        x = torch.cat([x, torch.cat([question, torch.zeros(32, 4)], -1)[None]])
        same = keys == keys[asked, torch.arange(32)]
        last = (same * torch.arange(1, 7)[:, None]).argmax(0)
        wanted = values[last, torch.arange(32)]
        loss = nn.functional.cross_entropy(output(layer(x)[0][-1]), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.7  # 1.39 by chance


@pytest.mark.parametrize("name", [*WITH_MATRIX_STATES])
def test_text_is_read_back(name):
    own = WITH_MATRIX_STATES[name]
    assert read_cell(own.text) == own
    assert copy.deepcopy(own) == own
    core = memory_parts(own.text).core
    assert read_cell(core.text) == core
    assert not core.parameters
    assert memory_gradient(core.text).seeds


def test_equations_as_text_latex_and_from_text():
    assert str(delta_net).splitlines() == [
        "k_1 = W.k · x",
        "k = k_1 / sqrt(head_sum(k_1 * k_1) + 1e-06)",
        "S' = S + outer(σ(W.b · x) * (W.v · x - S · k), k)",
        "y' = S' · (W.q · x)",
    ]
    assert r"S_{t-1} \cdot k), k)" in delta_net.latex()
    written = read_equations(
        '@cell(sizes={"S": "memory", "W.k": "key"})\n'
        "def adding(x, y, S, *, W):\n"
        "    S = 0.9 * S + outer(W.v @ x, W.k @ x)\n"
        "    return S @ (W.k @ x), S\n"
    )
    assert str(written) == "S' = 0.9 * S + outer(W.v · x, W.k · x)\ny' = S' · (W.k · x)"


def test_parameters_have_the_shapes_of_their_sizes():
    layer = layer_of(everything, 4, 3, 2)
    shapes = {name: tuple(p.shape) for name, p in weights_of(layer).items()}
    assert shapes == {
        "W.k": (6, 12),
        "W.g": (2, 4),
        "W.v": (8, 4),
        "W.q": (6, 4),
        "b.h": (8,),
        "p.h": (2,),
        "p.k": (6,),
        "p.s": (8, 3),
    }
    assert elman.Recurrent(delta_net, 4, 8, heads=2).stack.keys == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"heads": 3}, "hidden_size 8 is not divisible by 3 heads"),
        ({"heads": 0}, "heads is 0; it must be a positive integer"),
        ({"key_size": 0}, "key_size is 0; it must be a positive integer"),
        ({"key_size": 1.5}, "key_size is 1.5; it must be a positive integer"),
        ({"zoneout": 0.1}, "takes no zoneout"),
        ({"drop_connect": 0.1}, "takes dropout between layers, on x and on y only"),
    ],
)
def test_mistakes_in_options(options, said):
    with pytest.raises(OptionError, match=said):
        elman.Recurrent(delta_net, 4, 8, **options)


def test_other_cells_have_no_heads():
    with pytest.raises(OptionError, match="heads and key_size are for cells with a matrix state"):
        elman.Recurrent(CATALOGUE["lstm"], 4, 8, heads=2)


def test_a_state_of_another_shape_is_refused():
    layer = layer_of(delta_net)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    wrong = torch.zeros(1, BATCH, 8, dtype=torch.float64)
    with pytest.raises(ShapeError, match=r"batch, heads, units, keys\) is \(1, 3, 2, 4, 3\)"):
        layer(x, (wrong, wrong))


def test_a_layer_says_what_it_saves():
    layer = layer_of(delta_net)
    assert "Training saves" in layer.backend_report()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            "S = S + outer(W.k @ x, W.v @ x)\n    return S @ (W.k @ x), S",
            'not key and hidden; sizes makes a product one per key, as in sizes={"W.k": "key"}',
        ),
        ("return S @ y, S", "a matrix state multiplies a value per key, not one of size hidden"),
        ("return W.k @ x, S * head_sum(W.p @ S)", "a matrix cannot multiply a matrix state"),
        ("return S @ [W.k @ x, W.k @ x], S", "a matrix state multiplies one value per key"),
        ("S = S * (W.v @ y)\n    return S @ (W.k @ x), S", "W.v multiplies a value that"),
        ("return W.v @ x, W.v @ x", "the next S has size hidden; S has size memory"),
        ("return (W.v @ x) * (W.k @ x), S", "units and keys are not of one size"),
        (
            "return layer_norm(W.v @ x) + S @ (W.k @ x), S",
            "layer_norm is not for cells with a matrix state",
        ),
        ("return head_sum(S) * y, S", "head_sum takes a value per unit or per key"),
    ],
)
def test_mistakes_in_equations(lines, said):
    with pytest.raises(CellError, match=said):
        read_equations(
            f'@cell(sizes={{"S": "memory", "W.k": "key"}})\ndef wrong(x, y, S, *, W):\n    {lines}'
        )


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        (
            '{"S": "matrix"}',
            "gives S the size 'matrix'; it must be one of hidden, memory, key, head",
        ),
        ('{"T": "memory"}', "sizes names T; the states are y, S"),
        ('{"S": "memory", "W.q": "key"}', "sizes names W.q; the cell's parameters are W.v"),
        ('{"W.v": "key"}', "the next y has size key"),
        ('{"y": "memory"}', "the next y has size hidden"),
        ('{"S": "memory", "W.v": "input"}', "the product of a matrix has one of the sizes hidden"),
        ('{"S": "memory", "W.v": "memory"}', r"read learned values with \(1 \* W.v\) @ k"),
    ],
)
def test_mistakes_in_sizes(sizes, said):
    with pytest.raises(CellError, match=said):
        read_equations(f"@cell(sizes={sizes})\ndef wrong(x, y, S, *, W):\n    return W.v @ x, S")


def test_a_sum_over_a_head_needs_heads():
    with pytest.raises(CellError, match="head_sum needs a matrix state, as in sizes="):
        read_equations("def wrong(x, h, *, W):\n    return head_sum(h) * (W.h @ [h, x])")
