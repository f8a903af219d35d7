"""Cells with inputs beside x agree with a loop over their equations: values and all gradients."""

import copy
import io
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import elman
from elman import cell, exp, maximum, sigmoid, softplus, tanh, where
from elman.backends.native import stepping
from elman.cells import CATALOGUE, WITH_INPUTS, cfc, gru_d
from elman.errors import CellError, OptionError, ShapeError
from elman.graph import read_cell, read_equations
from elman.graph.node import OPERATIONS, ancestors
from elman.graph.sizes import Sizes
from elman.passes.separate import separate, separated
from elman.torch_mathematics import TorchMathematics
from graph.random_cells import quick, random_cells
from thorough import few

TIME, BATCH, INPUT, HIDDEN = 6, 3, 4, 5


@cell(inputs={"dt": "one", "u": "input", "k": "hidden"})
def several(x, h, c, dt, u, k, *, W, b, p):
    """Sides of every size: elementwise, in products, as conditions, and shared."""
    slow = exp(-dt * softplus(p.h))
    f = sigmoid(W.f @ [h, x, u] + b.f + k)
    g = tanh(W.g @ [slow * h, u * x, k] + b.g)
    c = where(dt > 0.5, f * c + (1 - f) * g, c * slow)
    h = maximum(tanh(c + k * 0.1), -k) + W.h @ [u, x]
    return h, c


@cell(inputs={"u": "hidden"})
def twice(x, h, u, *, W, b):
    """A matrix that multiplies a side input in one place, and states only in another."""
    a = tanh(W.a @ [h, x] + W.b @ [h, u] + b.a)
    return tanh(W.b @ [a, h] + u)


@cell(inputs={"reset": "one", "h0": "hidden"})
def resetting(x, h, reset, h0, *, W, b):
    """A state that begins again in mid-sequence."""
    h = where(reset > 0.5, h0, h)
    return tanh(W.h @ [h, x] + b.h)


@cell(inputs={"u": "hidden"})
def given_alone(x, h, c, u, *, W):
    """A next state that is a side input, and one that is its projection."""
    return u * 1, W.c @ [u, x] + 0 * h + 0 * c


@cell(inputs={"dt": "one", "u": "hidden"})
def around(x, h, dt, u, *, W, b):
    """Products that the engine computes, with their side inputs around a state and after one."""
    a = tanh(W.a @ [x, h, u * dt] + b.a)
    return a + sigmoid(W.b @ [a * h, x, u * dt] + W.c @ [u, x])


@cell(inputs={"u": "hidden"})
def nested(x, h, u, *, W, b):
    """A product that the engine computes, as an operand of one that it does not compute."""
    a = tanh(W.a @ [x, u] + b.a)
    return tanh(W.h @ [h, x, u] + W.b @ [a, u])


@cell(inputs={"u": "input"})
def renamed(x, h, u, *, W, b):
    """An operand before the engine's steps, by a matrix of which they have a part."""
    a = tanh(W.h @ [b.a, x])
    return tanh(W.h @ [h, u] + W.b @ [a, u])


CELLS = {
    c.name: c for c in (several, twice, resetting, given_alone, around, nested, renamed, gru_d, cfc)
}


def sides_of(own, dtype=torch.float64, per_row=()):
    sizes = {"one": 1, "input": INPUT, "hidden": HIDDEN}
    return {
        name: torch.rand(
            *([BATCH] if name in per_row else [TIME, BATCH]), sizes[size], dtype=dtype
        ).requires_grad_()
        for name, size in own.inputs
    }


def layer_of(own, **options):
    options = {"dtype": torch.float64, **options}
    layer = elman.Recurrent(own, INPUT, HIDDEN, **options)
    for p in layer.parameters():
        nn.init.normal_(p, std=0.5)
    return layer


def loop(own, parameters, x, sides, lengths=None, reverse=False):
    """The user's equations, one torch call per value and step."""
    known = {(p.kind, p.family, p.gate): t for p, t in zip(own.parameters, parameters, strict=True)}
    states, outputs = [x.new_zeros(BATCH, HIDDEN) for _ in own.states], [None] * TIME
    ends = torch.full((BATCH,), TIME) if lengths is None else lengths
    for t in reversed(range(TIME)) if reverse else range(TIME):
        values = {}
        for node in ancestors(own.next_states):
            operands = [values[operand] for operand in node.operands]
            if node.operation == "input":
                values[node] = x[t]
            elif node.operation == "side":
                side = sides[node.attribute[0]]
                values[node] = side[t] if side.dim() == 3 else side
            elif node.operation == "state":
                values[node] = states[own.states.index(node.attribute)]
            elif node.operation in ("vector", "matrix"):
                values[node] = known[(node.operation, *node.attribute[:2])]
            elif node.operation == "constant":
                values[node] = x.new_tensor(node.attribute)
            elif node.operation == "product":
                factors = [each.expand(BATCH, each.shape[-1]) for each in operands[1:]]
                values[node] = torch.cat(factors, -1) @ operands[0].T
            else:
                values[node] = OPERATIONS[node.operation].evaluate(TorchMathematics, *operands)
        new = [values[node].expand(BATCH, HIDDEN) for node in own.next_states]
        running = (t < ends)[:, None]
        outputs[t] = torch.where(running, new[0], 0.0)
        states = [torch.where(running, a, b) for a, b in zip(new, states, strict=True)]
    return torch.stack(outputs), states


def gradients(y, states, leaves, weights):
    loss = sum([(a * w).sum() for a, w in zip([y, *states], weights, strict=True)])
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [torch.zeros_like(a) if g is None else g for g, a in zip(found, leaves, strict=True)]


@pytest.mark.thinned(3)
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("direction", ["forwards", "both"])
@pytest.mark.parametrize("backend", ["reference", "native"])
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_agree_with_a_loop(name, backend, direction, ragged):
    own = CELLS[name]
    layer = layer_of(own, backend=backend, bidirectional=direction == "both")
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64, requires_grad=True)
    sides = sides_of(own, per_row=[own.inputs[-1][0]] if ragged else [])
    lengths = torch.tensor([4, TIME, 1]) if ragged else None
    y, last = layer(x, lengths=lengths, **sides)
    directions = [d.in_order(own) for d in layer._directions()]
    runs = [loop(own, p, x, sides, lengths, reverse=d == 1) for d, p in enumerate(directions)]
    wanted = torch.cat([each for each, _ in runs], -1)
    states = [torch.stack(each) for each in zip(*[s for _, s in runs], strict=True)]
    torch.testing.assert_close(y, wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(list(last), states, rtol=0, atol=1e-12)
    leaves = [x, *sides.values(), *layer.parameters()]
    weights = [torch.randn_like(each) for each in (y, *last)]
    torch.testing.assert_close(
        gradients(y, last, leaves, weights),
        gradients(wanted, states, leaves, weights),
        rtol=0, atol=1e-11,
    )  # fmt: skip


@quick
@given(random_cells(most_lines=5, sides=True), st.booleans())
def test_random_cells_agree_with_a_loop(own, ragged):
    torch.manual_seed(0)
    layer = layer_of(own, backend="native")
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64, requires_grad=True)
    sides = sides_of(own)
    lengths = torch.tensor([4, TIME, 1]) if ragged else None
    y, last = layer(x, lengths=lengths, **sides)
    wanted, states = loop(own, layer._directions()[0].in_order(own), x, sides, lengths)
    states = [state[None] for state in states]
    torch.testing.assert_close(y, wanted, rtol=1e-9, atol=1e-10)
    leaves = [x, *sides.values(), *layer.parameters()]
    weights = [torch.randn_like(each) for each in (y, *last)]
    torch.testing.assert_close(
        gradients(y, last, leaves, weights),
        gradients(wanted, states, leaves, weights),
        rtol=1e-6, atol=1e-8,
    )  # fmt: skip


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_steps_agree_with_the_sequence(name, grad):
    own = CELLS[name]
    layer, sides = layer_of(own), sides_of(own)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    y, _ = layer(x, **sides)
    state = None
    with torch.set_grad_enabled(grad):
        for t in range(TIME):
            now, state = layer.step(x[t], state, **{k: side[t] for k, side in sides.items()})
            torch.testing.assert_close(now, y[t], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_shapes_of_other_calls(name):
    own = CELLS[name]
    layer, sides = layer_of(own), sides_of(own)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    y, _ = layer(x, **sides)
    first = copy.deepcopy(layer)
    first.stack = elman.Recurrent(own, INPUT, HIDDEN, batch_first=True).stack
    swapped = {k: side.transpose(0, 1) for k, side in sides.items()}
    again, _ = first(x.transpose(0, 1), **swapped)
    torch.testing.assert_close(again.transpose(0, 1), y)
    one, _ = layer(x[:, 1], **{k: side[:, 1] for k, side in sides.items()})
    torch.testing.assert_close(one, y[:, 1])
    lengths = torch.tensor([2, TIME, 3])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    found, _ = nn.utils.rnn.pad_packed_sequence(layer(packed, **sides)[0])
    torch.testing.assert_close(found, layer(x, lengths=lengths, **sides)[0])
    packed_first, _ = first(packed, **swapped)
    torch.testing.assert_close(nn.utils.rnn.pad_packed_sequence(packed_first)[0], found)
    cut = layer_of(own, truncate=2)
    cut.load_state_dict(layer.state_dict())
    torch.testing.assert_close(cut(x, **sides)[0], y)


def test_layers_above_take_the_same_inputs():
    layer = layer_of(cfc, num_layers=2)
    x, dt = torch.randn(TIME, BATCH, INPUT).double(), torch.rand(TIME, BATCH, 1).double()
    y, _ = layer(x, dt=dt)
    below, above = elman.Recurrent(cfc, INPUT, HIDDEN), elman.Recurrent(cfc, HIDDEN, HIDDEN)
    for k, each in enumerate((below, above)):
        each.double().load_state_dict(
            {f"layers.0{n[8:]}": t for n, t in layer.state_dict().items() if n[7] == str(k)}
        )
    torch.testing.assert_close(above(below(x, dt=dt)[0], dt=dt)[0], y)


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_what_stands_in_padding_changes_nothing(backend):
    """Padding may be no number, or one whose logarithm or gradient is none."""

    @cell(inputs={"dt": "one"})
    def inverse(x, h, dt, *, W, p):
        return tanh(W.h @ [h, x * (1 / dt)] + elman.log(dt) * p.h)

    layer, lengths = layer_of(inverse, backend=backend), torch.tensor([4, 2, 0])
    x, dt = torch.randn(TIME, BATCH, INPUT).double(), torch.rand(TIME, BATCH, 1).double()
    spoilt_x, spoilt = x.clone(), dt.clone()
    for row, length in enumerate(lengths.tolist()):
        spoilt_x[length:, row], spoilt[length:, row] = torch.nan, 0.0
    results = []
    for values, gaps in ((x, dt), (spoilt_x, spoilt)):
        gaps = gaps.clone().requires_grad_()
        y, _ = layer(values, lengths=lengths, dt=gaps)
        found = torch.autograd.grad(y.square().sum(), [gaps, *layer.parameters()])
        results.append([y, *found])
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


@pytest.mark.parametrize("name", few(CELLS, keep=lambda name: name in {"several", "nested"}))
def test_second_derivatives(name):
    own = CELLS[name]
    layer = layer_of(own)
    sides = {k: side[:3].detach().requires_grad_() for k, side in sides_of(own).items()}
    x = torch.randn(3, BATCH, INPUT, dtype=torch.float64, requires_grad=True)

    def output(x, *given):
        return layer(x, **dict(zip(sides, given, strict=True)))[0]

    assert torch.autograd.gradgradcheck(output, (x, *sides.values()))


@pytest.mark.parametrize("name", ["gru_d", "cfc", "resetting"])
def test_transforms_and_compilation(name):
    own = CELLS[name]
    layer, sides = layer_of(own), sides_of(own)
    x = torch.randn(TIME, BATCH, INPUT, dtype=torch.float64)
    names = list(sides)

    def output(*given):
        return layer(x, **dict(zip(names, given, strict=True)))[0]

    given = [sides[k].detach() for k in names]
    _, tangent = torch.func.jvp(output, tuple(given), tuple([torch.ones_like(g) for g in given]))
    step = [1e-6 * torch.ones_like(g) for g in given]
    up = output(*[g + s for g, s in zip(given, step, strict=True)])
    down = output(*[g - s for g, s in zip(given, step, strict=True)])
    if name != "resetting":  # whose value jumps
        torch.testing.assert_close(tangent, (up - down) / 2e-6, rtol=1e-5, atol=1e-7)
    compiled = torch.compile(output, backend="aot_eager", fullgraph=True)
    own_sides = [g.clone().requires_grad_() for g in given]
    found = torch.autograd.grad(compiled(*own_sides).square().sum(), own_sides)
    wanted = torch.autograd.grad(output(*own_sides).square().sum(), own_sides)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("name", ["several", "gru_d", "cfc"])
def test_bfloat16_is_close_to_float32(name):
    own = CELLS[name]
    torch.manual_seed(0)
    layer = elman.Recurrent(own, INPUT, HIDDEN)
    sides = {k: side.detach().float() for k, side in sides_of(own).items()}
    x = torch.randn(TIME, BATCH, INPUT)
    wanted, _ = layer(x, **sides)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = layer(x, **sides)
    assert found.dtype is torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, rtol=0.05, atol=0.05)
    found.float().square().sum().backward()
    assert all([torch.isfinite(p.grad).all() for p in layer.parameters()])


def test_noise_in_training():
    """Recurrent dropout masks what depends on states, never a side input by itself."""
    layer = layer_of(cfc, recurrent_dropout=0.5, zoneout=0.2, drop_connect=0.3)
    x, dt = torch.randn(TIME, BATCH, INPUT).double(), torch.rand(TIME, BATCH, 1).double()
    noisy = layer.train()(x, dt=dt)[0]
    assert not torch.equal(noisy, layer(x, dt=dt)[0])
    quiet = layer.eval()(x, dt=dt)[0]
    torch.testing.assert_close(quiet, layer(x, dt=dt)[0])
    masked = elman.passes.noise.drop_states(twice)
    assert str(masked).splitlines()[0] == (
        "a = tanh(W.a · [drop.h * h, x] + W.b · [drop.h * h, u] + b.a)"
    )


def test_a_step_of_the_published_gru_d():
    """The equations of Che et al. 2018, section 2.4, by hand."""
    layer = layer_of(gru_d)
    p = {key[11:]: t for key, t in layer.state_dict().items()}
    x, m, d = (
        torch.randn(BATCH, INPUT),
        torch.tensor([[1.0, 0, 1, 0]] * BATCH),
        torch.rand(BATCH, 4),
    )
    x, m, d = x.double(), m.double(), d.double()
    h = torch.randn(BATCH, HIDDEN).double()
    y, _ = layer.step(x, (h[None],), m=m, d=d)
    gamma_x = torch.exp(-torch.clamp(p["w.x"] * d + p["b.x"], min=0))
    gamma_h = torch.exp(-torch.clamp(d @ p["W.s"].T + p["b.s"], min=0))
    seen, old = m * x + (1 - m) * gamma_x * x, gamma_h * h

    def gate(k, state):
        return torch.cat([state, seen, m], 1) @ p[f"W.{k}"].T + p[f"b.{k}"]

    z, r = torch.sigmoid(gate("z", old)), torch.sigmoid(gate("r", old))
    n = torch.tanh(gate("h", r * old))
    torch.testing.assert_close(y, (1 - z) * old + z * n)


def test_a_step_of_the_published_cfc():
    """The equations of the authors' CfCCell in its default mode, by hand."""
    layer = layer_of(cfc)
    p = {key[11:]: t for key, t in layer.state_dict().items()}
    x, h, dt = torch.randn(BATCH, INPUT), torch.randn(BATCH, HIDDEN), torch.rand(BATCH, 1)
    x, h, dt = x.double(), h.double(), dt.double()
    y, _ = layer.step(x, (h[None],), dt=dt)
    both = torch.cat([h, x], 1)
    f, g, a, t = [both @ p[f"W.{k}"].T + p[f"b.{k}"] for k in "fgat"]
    passed = torch.sigmoid(a * dt + t)
    torch.testing.assert_close(y, torch.tanh(f) * (1 - passed) + passed * torch.tanh(g))


@pytest.mark.parametrize("name", CELLS)
def test_text_and_pickles_keep_a_cell(name):
    own = CELLS[name]
    assert read_cell(own.text) == own
    assert pickle.loads(pickle.dumps(own)).inputs == own.inputs  # noqa: S301
    parts = separate(own)
    assert read_cell(parts.core.text) == parts.core
    assert {size for _, size in parts.core.inputs} == {"hidden"}
    assert len({n for n, _ in parts.core.inputs} | {*own.states, own.input}) == (
        len(parts.core.inputs) + len(own.states) + 1
    )


def test_cells_without_side_inputs_are_not_separated():
    assert all([separated(own.text) is None for own in CATALOGUE.values()])
    assert not {*CATALOGUE} & {*WITH_INPUTS}


def test_equations_from_text():
    written = read_equations(
        '@cell(inputs={"dt": "one"}, sizes={"w.x": "input"})\n'
        "def c(x, h, dt, *, W, w):\n"
        "    h = tanh(W.h @ [h, w.x * x] * dt)\n"
        "    return h\n"
    )

    @cell(inputs={"dt": "one"}, sizes={"w.x": "input"})
    def c(x, h, dt, *, W, w):
        h = tanh(W.h @ [h, w.x * x] * dt)
        return h

    assert written == c


def test_names_are_normalised_as_python_normalises_them():
    """The micro sign and the Greek letter are one name in Python."""
    micro, mu = "\u00b5", "\u03bc"
    options = (
        f'inputs={{"{micro}": "one"}}, sizes={{"w.{micro}": "input"}}, init={{"b.{micro}": 1.0}}'
    )
    step = (
        f"def c(x, h, {micro}, *, W, w, b): return h * {micro} + W.a @ (w.{micro} * x) + b.{micro}"
    )
    made = read_equations(f"@cell({options})\n{step}")
    names = {"cell": cell}
    exec(f"@cell({options})\n{step}", names)
    for own in (made, names["c"]):
        assert (own.inputs, own.init) == (((mu, "one"),), {f"b.{mu}": 1.0})
        assert [p.columns for p in own.parameters if p.family == "w"] == [("input",)]


def test_vectors_of_the_size_of_x_need_no_side_input():
    @cell(sizes={"w.x": "input", "b.x": "input"})
    def scaled(x, h, *, W, w, b):
        return tanh(W.h @ [h, w.x * x + b.x] + b.h)

    layer, x = layer_of(scaled), torch.randn(TIME, BATCH, INPUT).double()
    assert layer.state_dict()["layers.0.0.w.x"].shape == (INPUT,)
    y, _ = layer(x)
    torch.testing.assert_close(y, loop(scaled, layer._directions()[0].in_order(scaled), x, {})[0])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"inputs": {"dt": "two words"}},
            "inputs gives dt the size 'two words'; it must be one of one, hidden",
        ),
        ({"inputs": {"gap": "one"}}, "inputs names gap; the arguments after x are h, dt"),
        ({"inputs": {"h": "one", "dt": "one"}}, "at least one state; all arguments are inputs"),
        (
            {"inputs": {"dt": "one"}, "sizes": {"q.f": "input"}},
            "sizes names q.f; the cell's parameters",
        ),
        ({"inputs": {"dt": "one"}, "sizes": {"b.h": 0.5}}, "sizes gives b.h the size 0.5"),
        ({"inputs": ["dt"]}, 'inputs must map names of inputs to sizes, as in {"dt": "one"}'),
        ({"inputs": "dt"}, "inputs must map names of inputs to sizes"),
        (
            {"inputs": {"dt": "one"}, "sizes": "b.h"},
            'sizes must map names of states and parameters to sizes, as in {"w.x": "input"}',
        ),
        ({"inputs": {"dt": "hidden"}}, ""),
    ],
)
def test_mistakes_in_a_declaration(options, sentence):
    def c(x, h, dt, *, W, b):
        return tanh(W.h @ [h, x] + b.h * dt)

    if not sentence:
        assert cell(**options)(c).inputs == (("dt", "hidden"),)
        return
    with pytest.raises(CellError, match=sentence):
        cell(**options)(c)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("backend", ["reference", "native"])
def test_zoneout_of_all_units_leaves_inputs_unread(backend, training):
    @cell(inputs={"dt": "one"})
    def fading(x, h, dt, *, W):
        return tanh(W.h @ [exp(-dt) * h, x])

    layer = elman.Recurrent(fading, 3, 4, zoneout=1.0, backend=backend).train(training)
    y, (h,) = layer(torch.randn(5, 2, 3), (torch.ones(1, 2, 4),), dt=torch.rand(5, 2, 1))
    assert (y == 1).all()
    assert (h == 1).all()


def test_mistakes_in_equations():
    with pytest.raises(CellError, match="no state depends on the input dt; use it or omit it"):

        @cell(inputs={"dt": "one"})
        def unused(x, h, dt, *, W):
            return tanh(W.h @ [h, x])

    with pytest.raises(CellError, match="cannot multiply a constant or another value of size one"):

        @cell(inputs={"dt": "one"})
        def multiplied(x, h, dt, *, W):
            return tanh(W.h @ [h, x, dt])

    with pytest.raises(CellError, match="u has size input, h has size hidden"):

        @cell(inputs={"u": "input"})
        def clashing(x, h, u, *, W):
            return tanh(u + h)

    with pytest.raises(CellError, match="cannot be named lengths"):

        @cell(inputs={"lengths": "one"})
        def reserved(x, h, lengths, *, W):
            return tanh(W.h @ [h, x] * lengths)


@pytest.mark.parametrize("name", CELLS)
def test_the_operator_takes_the_core_alone(name):
    """An engine reads memory by the sizes of a cell, so it must not run one that it misreads."""
    own = CELLS[name]
    x, states = torch.zeros(2, 3, 9), [torch.zeros(3, 4) for _ in own.states]
    parameters = [torch.zeros(p.shape(Sizes(9, 4))) for p in own.parameters]
    sides = [torch.zeros(2, 3, 4) for _ in own.inputs]
    for backend in ("reference", "native"):
        with pytest.raises(ShapeError, match="engines take side inputs of a state's size"):
            torch.ops.elman.recurrent(
                x, states, parameters, None, own.text, False, True, backend, [], sides
            )


@pytest.mark.parametrize("backend", ["reference", "native"])
@pytest.mark.parametrize(("time", "batch"), [(0, 3), (4, 0), (0, 0), (1, 1)])
def test_no_steps_and_no_rows(time, batch, backend):
    for own in CELLS.values():
        layer = layer_of(own, backend=backend)
        sizes = {"one": 1, "input": INPUT, "hidden": HIDDEN}
        sides = {n: torch.rand(time, batch, sizes[s]).double() for n, s in own.inputs}
        for lengths in (None, torch.full((batch,), time)):
            y, last = layer(torch.zeros(time, batch, INPUT).double(), lengths=lengths, **sides)
            assert y.shape == (time, batch, HIDDEN)
            (y.sum() + sum([state.sum() for state in last])).backward()


def test_without_biases_and_as_copies():
    layer = layer_of(gru_d, bias=False)
    assert [p.key for p in layer.cell.parameters if p.family == "b"] == []
    x, sides = torch.randn(TIME, BATCH, INPUT).double(), sides_of(gru_d)
    y, _ = layer(x, **sides)
    wanted, _ = loop(layer.cell, layer._directions()[0].in_order(layer.cell), x, sides)
    torch.testing.assert_close(y, wanted)
    again = pickle.loads(pickle.dumps(layer))  # noqa: S301
    torch.testing.assert_close(again(x, **sides)[0], y)
    frozen = copy.deepcopy(layer).requires_grad_(False)
    (found,) = torch.autograd.grad(frozen(x, **sides)[0].sum(), [sides["d"]])
    assert found.abs().sum() > 0


def test_a_saved_layer_is_loaded_without_running_code():
    layer, sides = layer_of(gru_d), sides_of(gru_d)
    x, file = torch.randn(TIME, BATCH, INPUT).double(), io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    made = torch.load(file, weights_only=True)
    torch.testing.assert_close(made(x, **sides), layer(x, **sides), rtol=0, atol=0)
    compiled = torch.compile(made, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, **sides), layer(x, **sides), rtol=0, atol=0)


def test_a_compiler_may_take_the_length_of_x_alone_for_varying():
    layer, sides = layer_of(gru_d), sides_of(gru_d)
    x = torch.randn(TIME, BATCH, INPUT).double()
    wanted, _ = layer(x, **sides)
    torch._dynamo.maybe_mark_dynamic(x, 0)
    found, _ = torch.compile(layer, backend="aot_eager", fullgraph=True)(x, **sides)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_other_devices_than_that_of_the_tensors():
    """Ragged rows need no tensor on torch's default device, nor a device that autocasts."""
    layer, x, dt = layer_of(cfc), torch.randn(TIME, BATCH, INPUT).double(), sides_of(cfc)["dt"]
    wanted, _ = layer(x, lengths=[4, TIME, 1], dt=dt)
    with torch.device("meta"):
        found, _ = layer(x, lengths=[4, TIME, 1], dt=dt)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    y, _ = layer.to("meta")(x.to("meta"), lengths=[4, TIME, 1], dt=dt.to("meta"))
    assert (y.device.type, y.shape) == ("meta", wanted.shape)


def test_mistakes_in_a_call():
    layer = elman.Recurrent(cfc, INPUT, HIDDEN)
    x, dt = torch.randn(TIME, BATCH, INPUT), torch.rand(TIME, BATCH, 1)
    for inputs, sentence in (
        ({}, r"needs the input dt; pass it by name, as in layer\(x, dt=...\)"),
        ({"dt": dt, "u": dt}, "takes no input u; its side inputs are dt"),
        ({"dt": dt[..., 0]}, r"dt has the shape \(6, 3\); it must be \(6, 3, 1\)"),
        ({"dt": dt.long()}, "dt must be a tensor of floating-point numbers"),
        ({"dt": 3.0}, "dt must be a tensor"),
        (
            {"dt": dt.to_sparse()},
            r"dt is of layout torch.sparse_coo; convert it with .to_dense\(\)",
        ),
    ):
        with pytest.raises(ShapeError, match=sentence):
            layer(x, **inputs)
    with pytest.raises(ShapeError, match="takes no input dt; it has no side inputs"):
        elman.Recurrent(elman.cells.gru, INPUT, HIDDEN)(x, dt=dt)
    with pytest.raises(OptionError, match="m has the size of x"):
        elman.Recurrent(gru_d, INPUT, HIDDEN, 2)
    with pytest.raises(OptionError, match="layer 0 takes the side inputs dt, which a stack"):
        elman.Stack([layer])


def steps_of(layer, x, sides, state=None):
    outputs = []
    for t, each in enumerate(x):
        y, state = layer.step(each, state, **{name: side[t] for name, side in sides.items()})
        outputs.append(y)
    return torch.stack(outputs), state


@pytest.mark.thinned(3)
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_without_gradients_see_every_change(name, layers, dtype):
    own = CELLS[name]
    if layers > 1 and "input" in [size for _, size in own.inputs]:
        pytest.skip("the cell has inputs of x's size")
    layer = layer_of(own, num_layers=layers, dtype=dtype)
    near = 1e-5 if dtype is torch.float32 else 1e-12
    with torch.no_grad():
        for change in (lambda p: None, lambda p: p.data.mul_(0.5), lambda p: p.add_(0.1)):
            for p in layer.parameters():
                change(p)
            x = torch.randn(TIME, BATCH, INPUT, dtype=dtype)
            sides = {n: side.detach() for n, side in sides_of(own, dtype).items()}
            y, state = steps_of(layer, x, sides)
            whole, last = layer(x, **sides)
            torch.testing.assert_close(y, whole, rtol=near, atol=near)
            torch.testing.assert_close(state, last, rtol=near, atol=near)


def test_steps_are_the_engines_own(monkeypatch):
    layer, calls = layer_of(cfc, dtype=torch.float32), []
    run = stepping.Stepper.run
    monkeypatch.setattr(stepping.Stepper, "run", lambda *a: calls.append(1) or run(*a))
    x = torch.randn(TIME, BATCH, INPUT)
    sides = {n: side.detach() for n, side in sides_of(cfc, torch.float32).items()}
    with torch.no_grad():
        steps_of(layer, x, sides)
    assert len(calls) == TIME
    steps_of(layer, x, sides)
    assert len(calls) == TIME


def test_steps_of_other_shapes_and_with_wrong_inputs():
    layer = layer_of(cfc, dtype=torch.float32)
    with torch.no_grad():
        for batch in (3, 1, 3):
            x, dt = torch.randn(batch, INPUT), torch.rand(batch, 1)
            y, state = layer.step(x, None, dt=dt)
            wanted, _ = layer(x[None], dt=dt[None])
            torch.testing.assert_close(y, wanted[0])
        for wrong in (dt[:2], dt[:, 0], dt.long(), 3.0):
            with pytest.raises(ShapeError, match="dt"):
                layer.step(x, state, dt=wrong)
        with pytest.raises(ShapeError, match="needs the input dt"):
            layer.step(x, state)
        with pytest.raises(ShapeError, match="takes no input gap"):
            layer.step(x, state, dt=dt, gap=dt)
        torch.testing.assert_close(layer.step(x, None, dt=dt)[0], y)
        spread = torch.rand(1, 1).expand(3, 1)
        torch.testing.assert_close(
            layer.step(x, None, dt=spread)[0], layer.step(x, None, dt=spread.clone())[0]
        )
