"""Cells with sizes of their own agree with a loop over their equations: values and all gradients."""

import copy
import io
import random
import shutil
from dataclasses import replace

import llvmlite.binding as llvm
import pytest
import torch
from torch import nn

import elman
from elman import cell, exp, layer_norm, outer, sigmoid, softplus, tanh, where
from elman.backends.native.describe import describe
from elman.backends.native.kernels import layer_of as layer_of_kernels
from elman.backends.native.llvm.ir import Module
from elman.backends.native.llvm.outer import emit_outer
from elman.backends.native.llvm.pack import emit_pack
from elman.backends.native.llvm.step import emit_program
from elman.backends.native.llvm.target import find_target
from elman.cells import ALL, CATALOGUE, WITH_SIZES, lstmp, scrn
from elman.errors import CellError, OptionError, ShapeError
from elman.graph import read_cell, read_equations
from elman.graph.node import OPERATIONS, ancestors, name_of
from elman.graph.sizes import Sizes
from elman.passes.separate import separate
from elman.torch_mathematics import TorchMathematics
from thorough import few

TIME, BATCH, INPUT, HIDDEN = 6, 3, 4, 5


@cell(sizes={"W.d": "rank", "b.d": "rank", "W.s": 16, "a.s": 16})
def low_rank(x, h, *, W, b, a):
    """Products of a product, one of a size that is a number."""
    d = W.d @ [h, x] + b.d
    s = tanh(W.s @ [x, h]) * a.s
    return tanh(W.u @ [d, s] + b.u)


@cell(sizes={"r": "slow", "W.s": "slow", "a.s": "slow"}, inputs={"dt": "one", "u": "slow"})
def decaying(x, h, r, dt, u, *, W, a):
    """Side inputs beside values of two sizes, and a row's mean of one of them."""
    d = exp(-dt * softplus(a.s))
    r = d * r + (1 - d) * (W.s @ x) + u + dt * layer_norm(r)
    h = sigmoid(W.h @ [r, x, h]) * dt
    return h, r


@cell(sizes={"m": "bank", "n": "bank", "W.m": "bank", "W.n": "bank", "W.y": "out", "y": "out"})
def unread(x, y, m, n, *, W):
    """States that do not read themselves, one that no other value reads, and a square matrix."""
    m = 0 * n + W.m @ x
    n = 0 * m
    return W.y @ m + 0.5 * (W.y @ (W.n.T @ m)), m, n


@cell(sizes={"W.g": 1, "W.x": 1, "b.s": 1, "z.s": 1, "r": "slow", "W.r": "slow"})
def scalars(x, h, r, *, W, b, z):
    """Learned numbers, and products of one value per row, some with a state, for two sizes."""
    g = sigmoid(W.g @ [h, x] + z.s)
    e = sigmoid(W.x @ x) + tanh(z.s)
    r = g * r + e * (W.r @ x) * sigmoid(b.s)
    h = (1 - g) * h + sigmoid(b.s) * tanh(W.h @ [h, x, r] + b.h) * e
    return h, r


@cell(sizes={"W.g": 1, "b.s": 1}, inputs={"dt": 1})
def rated(x, h, dt, *, W, b):
    """Such a number beside an input of size one, and another that a condition compares."""
    g = where(W.g @ h > b.s, dt * b.s, b.s)
    return sigmoid(g) * h + tanh(W.h @ [x, h])


CELLS = {
    **WITH_SIZES,
    **{c.name: c for c in (low_rank, decaying, unread, scalars, rated)},
}
SIZES = {"projection": 3, "context": 7, "rank": 2, "slow": 9, "bank": 17, "out": 1}


def own_sizes(own, numbers=SIZES):
    return {name: numbers[name] for name in own.own_sizes}


def layer_of(own, hidden=HIDDEN, numbers=SIZES, **options):
    options = {"dtype": torch.float64, "sizes": own_sizes(own, numbers), **options}
    layer = elman.Recurrent(own, INPUT, hidden, **options)
    for p in layer.parameters():
        nn.init.normal_(p, std=0.5)
    return layer


def sides_of(layer, time=TIME, batch=BATCH):
    sizes = layer.stack.sizes(INPUT)
    return {
        name: torch.rand(time, batch, sizes.width((size,)), dtype=torch.float64).requires_grad_()
        for name, size in layer.cell.inputs
    }


def loop(layer, parameters, x, sides, lengths, reverse):
    """The user's equations, one torch call per value and step."""
    own, sizes = layer.cell, layer.stack.sizes(x.shape[-1])
    time, batch, _ = x.shape
    known = {(p.kind, p.family, p.gate): t for p, t in zip(own.parameters, parameters, strict=True)}
    shapes = {s: sizes.of_row(own.state_size(s)) for s in own.states}
    states = {s: x.new_zeros(batch, *shape) for s, shape in shapes.items()}
    outputs = [None] * time
    for t in reversed(range(time)) if reverse else range(time):
        values = {}
        for node in ancestors(own.next_states):
            operands = [values[operand] for operand in node.operands]
            if node.operation == "input":
                values[node] = x[t]
            elif node.operation == "side":
                values[node] = sides[node.attribute[0]][t]
            elif node.operation == "state":
                values[node] = states[name_of(node)]
            elif node.operation in ("vector", "matrix"):
                values[node] = known[(node.operation, *node.attribute[:2])]
            elif node.operation == "constant":
                values[node] = x.new_tensor(node.attribute)
            elif node.operation == "product":
                values[node] = torch.cat(operands[1:], -1) @ operands[0].T
            else:
                values[node] = OPERATIONS[node.operation].evaluate(TorchMathematics, *operands)
        new = [values[node] for node in own.next_states]
        running = (t < lengths)[:, None]
        outputs[t] = torch.where(running, new[0], 0.0)
        states = {
            s: torch.where(running, a, b) for (s, b), a in zip(states.items(), new, strict=True)
        }
    return torch.stack(outputs), list(states.values())


def gradients(y, states, leaves):
    torch.manual_seed(1)
    loss = sum([(a * torch.randn_like(a)).sum() for a in [y, *states]])
    if not loss.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [torch.zeros_like(a) if g is None else g for g, a in zip(found, leaves, strict=True)]


def agree_with_a_loop(layer, time=TIME, batch=BATCH, lengths=None):
    x = torch.randn(time, batch, INPUT, dtype=torch.float64, requires_grad=True)
    sides = sides_of(layer, time, batch)
    ends = torch.full((batch,), time) if lengths is None else torch.tensor(lengths)
    y, states = layer(x, lengths=lengths, **sides)
    leaves = [x, *sides.values(), *layer.parameters()]
    got = gradients(y, states, leaves)
    runs = []
    for k, direction in enumerate(layer._directions()):
        runs.append(loop(layer, direction.in_order(layer.cell), x, sides, ends, reverse=k == 1))
    wanted = torch.cat([run[0] for run in runs], -1)
    last = [torch.stack(each) for each in zip(*[run[1] for run in runs], strict=True)]
    pairs = [(y, wanted), *zip(states, last, strict=True)]
    pairs += zip(got, gradients(wanted, last, leaves), strict=True)
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.thinned(3)
@pytest.mark.parametrize("lengths", [None, [6, 2, 0]], ids=["full", "ragged"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forwards", "both"])
@pytest.mark.parametrize("backend", ["reference", "native"])
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_agree_with_a_loop(name, backend, bidirectional, lengths):
    layer = layer_of(CELLS[name], backend=backend, bidirectional=bidirectional)
    agree_with_a_loop(layer, lengths=lengths)


@pytest.mark.thinned(2)
@pytest.mark.parametrize(
    ("hidden", "other", "time", "batch"),
    [(1, 1, 2, 1), (33, 8, 40, 1), (8, 33, 3, 30), (16, 64, 2, 5), (20, 20, 1, 2), (5, 3, 0, 2)],
)
@pytest.mark.parametrize("name", CELLS)
def test_any_sizes_agree_with_a_loop(name, hidden, other, time, batch):
    layer = layer_of(CELLS[name], hidden, dict.fromkeys(SIZES, other), backend="native")
    if time:
        agree_with_a_loop(layer, time, batch)
    y, _ = layer(
        torch.randn(time, batch, INPUT, dtype=torch.float64), **sides_of(layer, time, batch)
    )
    assert y.shape == (time, batch, layer.output_size)


def random_cell(seed):
    """A cell with random equations over values of three sizes."""
    draw = random.Random(seed)
    sizes = {"hidden": None, "p": "p", "3": 3}
    letters = "abcdefgh"
    families = {"W": {}, "b": {}}
    lines, pools = [], {"hidden": ["h"], "p": ["q", "r"], "3": [], "input": ["x"]}
    for k in range(draw.randint(4, 9)):
        size = draw.choice(list(sizes))
        made, name = None, f"{letters[k % 8]}{k}"
        if pools[size] and draw.random() < 0.4:
            one, two = draw.choice(pools[size]), draw.choice(pools[size])
            made = draw.choice(
                [f"{one} * {two}", f"{one} - 0.5 * {two}", f"where({one} > {two}, {one}, 0.1)",
                 f"layer_norm({one})", f"tanh({one} + {two})"]
            )  # fmt: skip
        else:
            operands = [draw.choice(pools[draw.choice([s for s in pools if pools[s]])])
                        for _ in range(draw.randint(1, 3))]  # fmt: skip
            families["W"][f"g{k}"] = sizes[size]
            families["b"][f"g{k}"] = sizes[size]
            made = (
                f"{draw.choice(['tanh', 'sigmoid', ''])}(W.g{k} @ [{', '.join(operands)}] + b.g{k})"
            )
        lines.append(f"    {name} = {made}")
        pools[size].append(name)
    ends = [draw.choice(pools[size]) for size in ("hidden", "p", "p")]
    declared = {"q": "p", "r": "p"}
    for family, members in families.items():
        declared |= {f"{family}.{gate}": size for gate, size in members.items() if size}
    text = "\n".join(
        [
            "def made(x, h, q, r, *, W, b):",
            *lines,
            f"    return {', '.join(f'0.9 * {e}' for e in ends)}",
        ]
    )
    return read_equations(f"@cell(sizes={declared!r})\n{text}\n")


@pytest.mark.thinned(3)
@pytest.mark.parametrize("seed", range(12))
def test_random_cells_agree_with_a_loop(seed):
    own = random_cell(seed)
    layer = layer_of(own, 6, {"p": 11}, backend="native")
    agree_with_a_loop(layer, time=4, lengths=[4, 1, 3])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_projection_is_that_of_torch(bidirectional, bias):
    options = {"num_layers": 2, "bidirectional": bidirectional, "bias": bias, "proj_size": 3}
    theirs = torch.nn.LSTM(INPUT, HIDDEN, **options).double()
    layer, ours = elman.nn.from_torch(theirs), elman.nn.LSTM(INPUT, HIDDEN, **options).double()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    wanted, states = theirs(x)
    for found in (layer, ours, elman.nn.to_torch(layer)):
        y, after = found(x)
        for a, b in zip([y, *after], [wanted, *states], strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", few(CELLS, keep=lambda name: name in {"lstmp", "decaying"}))
def test_second_derivatives_and_transforms(name):
    layer = layer_of(CELLS[name])
    x = torch.randn(3, 2, INPUT, dtype=torch.float64, requires_grad=True)
    sides = sides_of(layer, 3, 2)

    def run(x, *sides):
        return layer(x, **dict(zip([n for n, _ in layer.cell.inputs], sides, strict=True)))[0]

    assert torch.autograd.gradcheck(run, (x, *sides.values()))
    assert torch.autograd.gradgradcheck(run, (x, *sides.values()))
    many = torch.randn(4, 3, 2, INPUT, dtype=torch.float64)
    mapped = torch.func.vmap(lambda each: run(each, *sides.values()))(many)
    torch.testing.assert_close(mapped, torch.stack([run(each, *sides.values()) for each in many]))
    _, moved = torch.func.jvp(run, (x, *sides.values()), (torch.ones_like(x), *sides.values()))
    assert moved.shape == (3, 2, layer.output_size)


@pytest.mark.thorough
def test_compiled_layers_agree():
    layer = layer_of(lstmp, dtype=torch.float32, num_layers=2)
    x = torch.randn(TIME, BATCH, INPUT)
    torch.testing.assert_close(torch.compile(layer)(x)[0], layer(x)[0])


@pytest.mark.parametrize("name", [name for name in CELLS if not CELLS[name].inputs])
def test_steps_are_the_whole(name):
    layer = layer_of(CELLS[name], num_layers=2).eval()
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    with torch.no_grad():
        y, last = layer(x)
        stepper, state = layer.stepper(BATCH), None
        for t in range(TIME):
            one, state = layer.step(x[t], state)
            torch.testing.assert_close(one, y[t])
            torch.testing.assert_close(stepper(x[t]), y[t])
    for a, b, c in zip(state, stepper.state, last, strict=True):
        torch.testing.assert_close(a, c)
        torch.testing.assert_close(b, c)
    kind = type(stepper._steps).__name__ if hasattr(stepper, "_steps") else "FrozenSteps"
    assert kind == "FrozenSteps"


def test_a_stepper_with_an_output_reads_the_smaller_state():
    layer, output = layer_of(lstmp).eval(), nn.Linear(SIZES["projection"], 2).double()
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    stepper = layer.stepper(BATCH, output=output)
    with torch.no_grad():
        wanted = output(layer(x)[0])
        for t in range(TIME):
            torch.testing.assert_close(stepper(x[t]), wanted[t])
    with pytest.raises(OptionError, match="3"):
        layer.stepper(BATCH, output=nn.Linear(HIDDEN, 2).double())


@pytest.mark.thinned(2)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", CELLS)
def test_other_types_are_close(name, dtype):
    exact = layer_of(CELLS[name])
    layer = copy.deepcopy(exact).to(dtype)
    x, sides = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64), sides_of(exact)
    wanted, _ = exact(x, **sides)
    y, _ = layer(x.to(dtype), **{k: v.detach().to(dtype) for k, v in sides.items()})
    bound = 1e-5 if dtype is torch.float32 else 0.2
    torch.testing.assert_close(y.double(), wanted, rtol=bound, atol=bound)
    y.float().sum().backward()
    assert all([p.grad is not None and p.grad.isfinite().all() for p in layer.parameters()])


def test_noise_draws_masks_of_each_size():
    options = {
        "recurrent_dropout": 0.5, "zoneout": 0.3, "drop_connect": 0.5, "candidate_dropout": 0.5,
        "dropout": 0.5, "num_layers": 2,
    }  # fmt: skip
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    found = []
    for backend in ("reference", "native"):
        torch.manual_seed(0)
        layer = layer_of(lstmp, backend=backend, **options)
        torch.manual_seed(2)
        y, last = layer(x)
        found.append([y, *last, *torch.autograd.grad(y.sum(), list(layer.parameters()))])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)
    assert not torch.equal(found[0][0], layer.eval()(x)[0])
    # the whole matrix W.p is recurrent, and of the others the columns that h multiplies
    torch.manual_seed(0)
    layer = layer_of(lstmp, drop_connect=1.0)
    assert (layer(x)[0] == 0).all()


def test_truncation_and_saving():
    layer = layer_of(lstmp, truncate=2)
    whole = layer_of(lstmp)
    whole.load_state_dict(layer.state_dict())
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    torch.testing.assert_close(layer(x)[0], whole(x)[0])
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    file.seek(0)
    other = layer_of(lstmp)
    other.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(other(x)[0], whole(x)[0])
    torch.testing.assert_close(copy.deepcopy(whole)(x)[0], whole(x)[0])


def test_the_shapes_of_parameters_and_states():
    layer = elman.Recurrent(lstmp, 10, 20, 2, bidirectional=True, sizes={"projection": 7})
    shapes = {name: tuple(p.shape) for name, p in layer.named_parameters()}
    assert shapes["layers.0.0.W.f"] == (20, 7 + 10)
    assert shapes["layers.1.1.W.f"] == (20, 7 + 14)
    assert shapes["layers.1.1.W.p"] == (7, 20)
    y, (h, c) = layer(torch.randn(5, 3, 10))
    assert (y.shape, h.shape, c.shape) == ((5, 3, 14), (4, 3, 7), (4, 3, 20))
    assert layer.output_size == 14
    assert "sizes={'projection': 7}" in repr(layer)
    rows = layer.layers[0][0].W.p @ layer.layers[0][0].W.p.T
    torch.testing.assert_close(rows, torch.eye(7))  # orthogonal rows, as of recurrent weights


def test_an_elman_stack_of_sizes():
    low = elman.Recurrent(lstmp, 4, 10, sizes={"projection": 6}, bidirectional=True)
    stack = elman.Stack([low, elman.Recurrent(scrn, 6, 5, sizes={"context": 8})], merge="sum")
    y, _ = stack(torch.randn(7, 2, 4))
    assert y.shape == (7, 2, 5)
    assert stack.output_size == 5


@pytest.mark.parametrize("name", CELLS)
def test_text_and_equations_keep_the_sizes(name):
    own = CELLS[name]
    again = read_cell(own.text)
    assert again == own
    assert again.own_sizes == own.own_sizes
    assert again.sizes == own.sizes


def test_written_equations_take_sizes():
    own = read_equations(
        '@cell(sizes={"W.d": 2, "W.e": "rank"})\n'
        "def small(x, h, *, W):\n"
        "    return tanh(W.h @ [W.d @ h, W.e @ x])\n"
    )
    assert own.own_sizes == ("rank",)
    shapes = [p.shape(layer_of(own, numbers={"rank": 3}).stack.sizes(4)) for p in own.parameters]
    assert shapes == [(2, 5), (3, 4), (5, 5)]


def test_numbers_take_the_place_of_one_value_per_unit():
    shapes = {name: tuple(p.shape) for name, p in layer_of(scalars).named_parameters()}
    assert shapes["layers.0.0.W.g"] == (1, HIDDEN + INPUT)
    assert shapes["layers.0.0.W.x"] == (1, INPUT)
    assert shapes["layers.0.0.b.s"] == shapes["layers.0.0.z.s"] == (1,)


def test_a_product_of_one_value_without_states_is_made_for_all_steps_at_once():
    core = separate(scalars).core
    assert [size for _, size in core.inputs] == ["slow", "hidden"]
    # what runs step by step anyway has no such inputs
    layer = layer_of(scalars, dtype=torch.float32).eval()
    assert layer.core("a test").cell.inputs == ()


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_numbers_beside_a_matrix_state(backend):
    @cell(sizes={"S": "memory", "W.k": "key", "W.q": "key", "W.d": 1, "b.d": 1})
    def fading(x, y, S, *, W, b):
        S = sigmoid(W.d @ x + b.d) * S + outer(W.v @ x, W.k @ x)
        return S @ (W.q @ x) * tanh(b.d), S

    layer = elman.Recurrent(fading, 3, 4, heads=2, dtype=torch.float64, backend=backend)
    x = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: layer(x)[0], (x, *layer.parameters()))


def test_c_takes_numbers(tmp_path):
    layer = elman.Recurrent(rated_by_x, INPUT, HIDDEN)
    assert elman.export.c(layer, tmp_path / "made.c").difference < 1e-5


@cell(sizes={"W.g": 1, "b.s": 1})
def rated_by_x(x, h, *, W, b):
    """The same without an input beside x."""
    return sigmoid(W.g @ x + b.s) * h + tanh(W.h @ [x, h])


def test_catalogue():
    assert {"lstmp", "scrn"} == {*WITH_SIZES}
    assert not {*CATALOGUE} & {*WITH_SIZES}
    assert {*WITH_SIZES} <= {*ALL}


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        (None, 'the cell has the size projection; pass its number, as in sizes={"projection": 64}'),
        ({"proj": 3}, "sizes names proj, .* projection"),
        ({"projection": 0}, "the number 0; it must be a positive integer"),
        ({"projection": 2.0}, r"the number 2\.0; it must be a positive integer"),
        ({"projection": True}, "the number True; it must be a positive integer"),
    ],
)
def test_mistakes_in_numbers(sizes, sentence):
    with pytest.raises(OptionError, match=sentence):
        elman.Recurrent(lstmp, 3, 4, sizes=sizes)


def test_a_cell_without_sizes_takes_none():
    with pytest.raises(OptionError, match="names rank, but the cell has no sizes of its own"):
        elman.Recurrent(elman.cells.lstm, 3, 4, sizes={"rank": 3})


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ({"W.d": "rank"}, r"W\.d · x has size rank"),
        ({"h": "rank"}, "the next h has size hidden; h has size rank"),
        ({"W.d": 0}, "sizes gives W.d the size '0'; it must be one of hidden, input"),
        ({"W.d": -1}, "sizes gives W.d the size '-1'"),
        ({"W.d": True}, "sizes gives W.d the size True"),
        ({"W.d": "two words"}, "sizes gives W.d the size 'two words'"),
        ({"W.d": "input"}, "sizes gives W.d the size input, but the product of a matrix"),
        ({"W.d": "matrix"}, "sizes gives W.d the size 'matrix'"),
        ({"W.x": "rank"}, r"sizes names W\.x; the cell's parameters are W\.d, W\.h"),
        ({"W.d": "x" * 101}, "sizes gives W.d the size 'xxx"),
        ({"W.d": "head"}, "the size of W.d needs a matrix state"),
    ],
)
def test_mistakes_in_a_declaration(sizes, sentence):
    def c(x, h, *, W):
        return tanh(W.d @ x + W.h @ h)

    with pytest.raises(CellError, match=sentence):
        cell(sizes=sizes)(c)


def test_a_size_that_a_file_names_is_no_longer_than_other_names():
    with pytest.raises(CellError, match=r"cannot have the attribute|one of|of the cell's own"):
        read_cell(lstmp.text.replace('"projection"', f'"{"x" * 101}"'))
    for many in (101, 5000):  # Python converts no text of more than 4,300 digits to a number
        with pytest.raises(CellError):
            read_cell(lstmp.text.replace('"projection"', f'"{"9" * many}"'))


def test_the_parameters_of_a_matrix_beside_a_row_of_one_value():
    """The columns of W.u are those of a value of size one, which no matrix multiplies."""

    def c(x, h, *, W):
        return W.u @ [W.d @ h, x]

    with pytest.raises(CellError, match=r"another value of size one; use .* a size with a name"):
        cell(sizes={"W.d": 1})(c)
    own = cell(sizes={"W.d": "single"})(c)
    agree_with_a_loop(layer_of(own, numbers={"single": 1}))


def test_a_number_written_as_text_is_that_number():
    def c(x, h, *, b):
        return b.d * h + b.e

    assert cell(sizes={"b.d": "1", "b.e": "1"})(c) == cell(sizes={"b.d": 1, "b.e": 1})(c)


def test_a_state_of_size_one_is_not_repeated_and_the_error_says_what_to_write():
    def c(x, h, s, *, W):
        return W.h @ [x, s], sigmoid(W.s @ [x, h])

    with pytest.raises(CellError, match=r'the next s has size one; s has size 1; .* "single"'):
        cell(sizes={"s": 1, "W.s": 1})(c)
    own = cell(sizes={"s": "single", "W.s": "single"})(c)
    agree_with_a_loop(layer_of(own, numbers={"single": 1}))


def test_a_vector_can_have_a_value_per_unit_and_key():
    @cell(sizes={"S": "memory", "v.a": "memory", "W.k": "key"})
    def kept(x, y, S, *, W, v):
        S = sigmoid(v.a) * S + outer(W.v @ x, W.k @ x)
        return S @ (W.k @ x), S

    layer = elman.Recurrent(kept, 3, 4, heads=2, key_size=3, dtype=torch.float64)
    assert layer.layers[0][0].v.a.shape == (4, 3)
    x = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: layer(x)[0], (x, *layer.parameters()))


def test_sizes_that_do_not_fit_into_memory_are_named():
    with pytest.raises(OptionError, match="choose a smaller input_size, hidden_size, sizes or"):
        elman.Recurrent(lstmp, 3, 4, sizes={"projection": 10**30})


def test_matrices_beside_one_another_have_one_size():
    with pytest.raises(CellError, match=r"the products of W\.e and of another matrix"):

        @cell(sizes={"W.d": "rank"})
        def mixed(x, h, *, W):
            return W.u @ ((elman.matrix(W.d) + W.e) @ h)

    with pytest.raises(
        CellError, match="a square matrix, which multiplies one operand of size rank"
    ):

        @cell(sizes={"W.d": "rank"})
        def turned(x, h, *, W):
            return W.u @ (W.d.T @ h)


def test_a_cell_with_a_matrix_state_has_no_sizes_of_its_own():
    with pytest.raises(CellError, match="no sizes of its own besides key and head"):

        @cell(sizes={"S": "memory", "W.k": "key", "W.q": "key", "W.r": "rank"})
        def both(x, y, S, *, W):
            S = S + elman.outer(W.v @ (W.r @ x), W.k @ x)
            return S @ (W.q @ x), S


def test_states_of_another_shape_are_refused():
    layer = layer_of(lstmp)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    h, c = x.new_zeros(1, BATCH, 3), x.new_zeros(1, BATCH, HIDDEN)
    layer(x, (h, c))
    with pytest.raises(ShapeError, match=r"the initial h has .* projection\) is \(1, 3, 3\)"):
        layer(x, (c, c))


@pytest.mark.parametrize("name", CELLS)
def test_the_page_and_the_report_count_the_same_bytes(name):
    own = CELLS[name]
    layer = layer_of(own, 24, dtype=torch.float32)
    page = describe(own, INPUT, 24, sizes=own_sizes(own))
    (line,) = [line for line in page.splitlines() if line.strip().startswith("saved for backward")]
    (number,) = [word for word in line.split() if word.replace(",", "").isdigit()]
    assert f"saves {number} bytes per row and step" in layer.backend_report()
    assert all([f"{size} {SIZES[size]}" in page for size in own.own_sizes])


@pytest.mark.parametrize("name", CELLS)
def test_diagnose(name):
    found = elman.diagnose(CELLS[name], steps=8, hidden_size=6, sizes={"projection": 3})
    assert {*found[name].gradient} == {*CELLS[name].states}


def test_diagnose_takes_a_layer_without_parameters():
    @cell(inputs={"u": "slow"}, sizes={"r": "slow"})
    def kept(x, h, r, u):
        return 0.5 * h, 0.9 * r + u

    layer = elman.Recurrent(kept, INPUT, 3, sizes={"slow": 2})
    found = elman.diagnose(layer, x=torch.randn(5, 1, INPUT), inputs={"u": torch.rand(5, 1, 2)})
    assert {*found["kept"].gradient} == {"h", "r"}


def test_diagnose_agrees_with_autograd():
    layer = elman.Recurrent(lstmp, INPUT, HIDDEN, sizes={"projection": 3}).double()
    x = torch.randn(TIME, 1, INPUT, dtype=torch.float64)
    direction = torch.zeros(TIME, 1, 3, dtype=torch.float64)
    direction[-1, 0, 0] = 1
    found = elman.diagnose(layer, x=x.float(), output_gradient=direction, losses=1)
    states = [x.new_zeros(1, 1, size, requires_grad=True) for size in (3, HIDDEN)]
    y, _ = layer(x, tuple(states))
    wanted = [g.norm() for g in torch.autograd.grad(y[-1, 0, 0], states)]
    for name, norm in zip(lstmp.states, wanted, strict=True):
        got = torch.as_tensor(found["lstmp"].gradient[name])[TIME, 0]
        torch.testing.assert_close(got.double(), norm, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_files_of_onnx_and_torch(name, bidirectional, tmp_path):
    pytest.importorskip("onnxruntime")
    options = {"num_layers": 1 if CELLS[name].inputs else 2, "bidirectional": bidirectional}
    layer = layer_of(CELLS[name], dtype=torch.float32, **options).eval()
    # both compare the file with Elman over random sequences before they write it
    done = elman.export.onnx(layer, tmp_path / "made.onnx")
    assert done.difference < 1e-5
    if not bidirectional:
        assert elman.export.onnx(layer, tmp_path / "step.onnx", step=True).difference < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("step", [False, True])
@pytest.mark.parametrize("name", [*WITH_SIZES, "decaying"])
def test_torch_programs(name, step, tmp_path):
    layer = layer_of(CELLS[name], dtype=torch.float32).eval()
    assert elman.export.torch_program(layer, tmp_path / "made.pt2", step=step).difference < 1e-5


def test_a_projection_of_torch_is_exported(tmp_path):
    pytest.importorskip("onnxruntime")
    layer = elman.nn.LSTM(3, 6, 2, proj_size=4, bidirectional=True).eval()
    assert elman.export.onnx(layer, tmp_path / "made.onnx").difference < 1e-5
    layer = elman.nn.LSTM(3, 6, 2, proj_size=4)
    assert elman.export.c(layer, tmp_path / "made.c").difference <= 1e-5


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("quantize", [None, "int8"])
@pytest.mark.parametrize("name", CELLS)
def test_c_computes_the_values_of_the_reference(name, quantize, tmp_path):
    layer = layer_of(CELLS[name], dtype=torch.float32)
    done = elman.export.c(layer, tmp_path / "made.c", quantize=quantize)
    assert done.difference <= 1e-5


@pytest.mark.parametrize("name", ["lstmp", "decaying"])
def test_kernels_for_pairs_of_bfloat16_are_built(name):
    """Most processors cannot run them; LLVM checks and compiles them for one that could."""
    target = replace(find_target("avx512"), name="pairs", features="+avx512bf16,-prefer-256-bit")
    assert target.multiplies_bfloat16
    own = separate(CELLS[name]).core
    numbers = tuple([(size, SIZES[size]) for size in own.own_sizes])
    layer = layer_of_kernels(own.text, Sizes(5, 20, own=numbers), torch.bfloat16, target)
    programs = [layer.forward(save=k, hoisted=h) for k in (False, True) for h in (False, True)]
    programs += [layer.projection, layer.backward, layer.into_input]
    for program in [each for each in programs if each is not None]:
        module = Module({})
        emit_program(module, program.layout)
        emit_pack(module, program.layout, own.parameters)
        assert "dpbf16ps" in compiled(module, target)
    module = Module({})
    emit_outer(module, layer.outer.outer)
    assert "dpbf16ps" in compiled(module, target)


def compiled(module, target):
    """The machine code, as text."""
    parsed = llvm.parse_assembly(module.text)
    parsed.verify()
    machine = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features
    )
    return machine.emit_assembly(parsed)
