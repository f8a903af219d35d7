"""The catalogue says what SPEC 5 says: equations, parameters, first values, and one step's numbers."""

import re

import numpy as np
import pytest
import torch

import elman
from elman.cells import CATALOGUE
from elman.graph.sizes import Sizes
from graph.plain import draw_numbers, run

pytestmark = pytest.mark.every_cell

EQUATIONS = {
    "rnn": "a' = tanh(W.a · [a, x] + b.a)",
    "relu_rnn": "a' = relu(W.a · [a, x] + b.a)",
    "lstm": """
        f = σ(W.f · [h, x] + b.f)
        i = σ(W.i · [h, x] + b.i)
        g = tanh(W.g · [h, x] + b.g)
        o = σ(W.o · [h, x] + b.o)
        c' = f * c + i * g
        h' = o * tanh(c')""",
    "coupled_lstm": """
        f = σ(W.f · [h, x] + b.f)
        g = tanh(W.g · [h, x] + b.g)
        o = σ(W.o · [h, x] + b.o)
        c' = f * c + (1 - f) * g
        h' = o * tanh(c')""",
    "peephole_lstm": """
        f = σ(W.f · [c, h, x] + b.f)
        i = σ(W.i · [c, h, x] + b.i)
        g = tanh(W.g · [h, x] + b.g)
        c' = f * c + i * g
        o = σ(W.o · [c', h, x] + b.o)
        h' = o * tanh(c')""",
    "diagonal_peephole_lstm": """
        f = σ(W.f · [h, x] + p.f * c + b.f)
        i = σ(W.i · [h, x] + p.i * c + b.i)
        g = tanh(W.g · [h, x] + b.g)
        c' = f * c + i * g
        o = σ(W.o · [h, x] + p.o * c' + b.o)
        h' = o * tanh(c')""",
    "coupled_peephole_lstm": """
        f = σ(W.f · [c, h, x] + b.f)
        g = tanh(W.g · [h, x] + b.g)
        c' = f * c + (1 - f) * g
        o = σ(W.o · [c', h, x] + b.o)
        h' = o * tanh(c')""",
    "gru": """
        z = σ(W.z · [h, x] + b.z)
        r = σ(W.r · [h, x] + b.r)
        n = tanh(W.h · [r * h, x] + b.h)
        h' = (1 - z) * h + z * n""",
    "gru_reset_after": """
        r = σ(W.r · [h, x] + b.r)
        z = σ(W.z · [h, x] + b.z)
        m = W.m · h + b.m
        n = tanh(W.n · x + b.n + r * m)
        h' = (1 - z) * n + z * h""",
    "layer_norm_lstm": """
        f = σ(p.f * layer_norm(R.f · h) + q.f * layer_norm(W.f · x) + b.f)
        i = σ(p.i * layer_norm(R.i · h) + q.i * layer_norm(W.i · x) + b.i)
        g = tanh(p.g * layer_norm(R.g · h) + q.g * layer_norm(W.g · x) + b.g)
        o = σ(p.o * layer_norm(R.o · h) + q.o * layer_norm(W.o · x) + b.o)
        c' = f * c + i * g
        h' = o * tanh(p.c * layer_norm(c') + b.c)""",
    "layer_norm_gru": """
        z = σ(p.z * layer_norm(R.z · h) + q.z * layer_norm(W.z · x) + b.z)
        r = σ(p.r * layer_norm(R.r · h) + q.r * layer_norm(W.r · x) + b.r)
        m = p.m * layer_norm(R.m · h) + b.m
        n = tanh(q.n * layer_norm(W.n · x) + b.n + r * m)
        h' = (1 - z) * h + z * n""",
    "mgu": """
        f = σ(W.f · [h, x] + b.f)
        n = tanh(W.h · [f * h, x] + b.h)
        h' = (1 - f) * h + f * n""",
    "janet": """
        s = W.f · [h, x] + b.f
        n = tanh(W.h · [h, x] + b.h)
        h' = σ(s) * h + (1 - σ(s - 1)) * n""",
    "fast_grnn": """
        a = W.a · [h, x]
        z = σ(a + b.z)
        n = tanh(a + b.h)
        h' = (σ(s.z) * (1 - z) + σ(s.h)) * n + z * h""",
    "ind_rnn": "h' = relu(W.h · x + u.h * h + b.h)",
    "min_gru": """
        z = σ(W.z · x + b.z)
        n = W.h · x + b.h
        h' = (1 - z) * h + z * n""",
    "min_lstm": """
        f = σ(W.f · x + b.f)
        i = σ(W.i · x + b.i)
        n = W.h · x + b.h
        h' = (f * h + i * n) / (f + i)""",
    "qrnn": """
        z = tanh(W.z · x + b.z)
        f = σ(W.f · x + b.f)
        o = σ(W.o · x + b.o)
        c' = f * c + (1 - f) * z
        h' = o * c'""",
    "sru": """
        f = σ(W.f · x + v.f * c + b.f)
        r = σ(W.r · x + v.r * c + b.r)
        c' = f * c + (1 - f) * W.c · x
        h' = r * c' + (1 - r) * W.p · x""",
    "rg_lru": """
        r = σ(W.r · x + b.r)
        i = σ(W.i · x + b.i)
        log_a = (-8) * softplus(p.a) * r
        scale = sqrt(max(1 - exp(2 * log_a), 1e-06))
        h' = exp(log_a) * h + scale * (i * (W.u · x + b.u))""",
    "lru": """
        size = exp(-exp(p.a))
        scale = sqrt(max(1 - size * size, 1e-06))
        r' = size * (cos(p.t) * r - sin(p.t) * i) + scale * W.r · x
        i' = size * (sin(p.t) * r + cos(p.t) * i) + scale * W.i · x
        h' = W.o · [r', i', x]""",
    "slstm": """
        log_f = -softplus(-(W.f · [h, x] + b.f))
        log_i = W.i · [h, x] + b.i
        z = tanh(W.z · [h, x] + b.z)
        o = σ(W.o · [h, x] + b.o)
        m' = where(abs(n) > 0, max(log_f + m, log_i), log_i)
        f = exp(log_f + m - m')
        i = exp(log_i - m')
        c' = f * c + i * z
        n' = f * n + i
        h' = o * (c' / max(n', 0.5))""",
    "multiplicative_lstm": """
        m = W.m · x * R.m · h
        i = σ(W.i · [m, x] + b.i)
        f = σ(W.f · [m, x] + b.f)
        g = tanh(W.g · [m, x] + b.g)
        o = σ(W.o · [m, x] + b.o)
        c' = f * c + i * g
        h' = o * tanh(c')""",
    "nas": """
        first = tanh(σ(W.a · x + R.a · h) * relu(W.b · x + R.b · h))
        second = tanh(σ(W.c · x + R.c · h) + relu(W.d · x * R.d · h))
        third = tanh(tanh(W.e · x + R.e · h) * σ(W.f · x + R.f · h))
        fourth = σ(tanh(W.g · x + R.g · h) + σ(W.h · x + R.h · h))
        c' = tanh(first + c) * second
        h' = tanh(c' * tanh(third + fourth))""",
    "rhn": """
        g = tanh(W.g · x + R.g · h + b.g)
        t = σ(W.t · x + R.t · h + b.t)
        s = t * g + (1 - t) * h
        g2 = tanh(R.g2 · s + b.g2)
        t2 = σ(R.t2 · s + b.t2)
        s2 = t2 * g2 + (1 - t2) * s
        g3 = tanh(R.g3 · s2 + b.g3)
        t3 = σ(R.t3 · s2 + b.t3)
        h' = t3 * g3 + (1 - t3) * s2""",
    "co_rnn": """
        v' = v + 0.042 * (tanh(W.v · [h, v, x] + b.v) - 2.7 * h - 4.7 * v)
        h' = h + 0.042 * v'""",
    "lem": """
        s = σ(W.s · [h, x] + b.s)
        t = σ(W.t · [h, x] + b.t)
        z' = (1 - s) * z + s * tanh(W.z · [h, x] + b.z)
        h' = (1 - t) * h + t * tanh(W.h · [z', x] + b.h)""",
}


def test_the_catalogue_is_complete_and_its_cells_are_attributes():
    assert list(CATALOGUE) == list(EQUATIONS)
    for name, cell in CATALOGUE.items():
        assert cell.name == name
        assert getattr(elman.cells, name) is cell


@pytest.mark.parametrize("name", EQUATIONS)
def test_equations_print_as_the_specification_has_them(name):
    expected = [line.strip() for line in EQUATIONS[name].strip().splitlines()]
    assert str(CATALOGUE[name]).splitlines() == expected


@pytest.mark.parametrize(
    ("name", "states", "gates"),
    [
        ("rnn", "a", "a"),
        ("relu_rnn", "a", "a"),
        ("lstm", "hc", "ifgo"),
        ("coupled_lstm", "hc", "fgo"),
        ("peephole_lstm", "hc", "ifgo"),
        ("diagonal_peephole_lstm", "hc", "ifgo"),
        ("coupled_peephole_lstm", "hc", "fgo"),
        ("gru", "h", "zrh"),
        ("gru_reset_after", "h", "rznm"),
        ("layer_norm_lstm", "hc", "ifgoc"),
        ("layer_norm_gru", "h", "zrnm"),
        ("mgu", "h", "fh"),
        ("janet", "h", "fh"),
        ("fast_grnn", "h", "azh"),
        ("ind_rnn", "h", "h"),
        ("min_gru", "h", "zh"),
        ("min_lstm", "h", "fih"),
        ("qrnn", "hc", "zfo"),
        ("sru", "hc", "cfrp"),
        ("rg_lru", "h", "riua"),
        ("lru", "hri", "rioat"),
        ("slstm", "hcnm", "ifzo"),
        ("multiplicative_lstm", "hc", "mifgo"),
        ("nas", "hc", "abcdefgh"),
        ("co_rnn", "hv", "v"),
        ("lem", "hz", "stzh"),
    ],
)
def test_states_and_gates(name, states, gates):
    assert CATALOGUE[name].states == tuple(states)
    assert CATALOGUE[name].gates == tuple(gates)


def shapes(name):
    """Parameters and their shapes at 5 features and 3 units."""
    sizes = Sizes(input=5, hidden=3)
    return {p.key: p.shape(sizes) for p in CATALOGUE[name].parameters}


def test_parameters_and_their_shapes():
    def both(gates, columns):
        return {f"W.{g}": (3, columns) for g in gates} | {f"b.{g}": (3,) for g in gates}

    def apart(recurrent, input):
        return {f"R.{g}": (3, 3) for g in recurrent} | {f"W.{g}": (3, 5) for g in input}

    peepholes = {"p.i": (3,), "p.f": (3,), "p.o": (3,)}
    assert shapes("rnn") == shapes("relu_rnn") == both("a", 8)
    assert shapes("lstm") == both("ifgo", 8)
    assert shapes("coupled_lstm") == both("fgo", 8)
    assert shapes("peephole_lstm") == both("ifgo", 11) | {"W.g": (3, 8)}
    assert shapes("diagonal_peephole_lstm") == both("ifgo", 8) | peepholes
    assert shapes("coupled_peephole_lstm") == both("fgo", 11) | {"W.g": (3, 8)}
    assert shapes("gru") == both("zrh", 8)
    assert shapes("gru_reset_after") == both("rznm", 8) | {"W.m": (3, 3), "W.n": (3, 5)}
    vectors = {f"{v}.{g}": (3,) for v in "bpq" for g in "ifgo"} | {"b.c": (3,), "p.c": (3,)}
    assert shapes("layer_norm_lstm") == vectors | apart("ifgo", "ifgo")
    vectors = {f"{v}.{g}": (3,) for v in "bpq" for g in "zrnm"}
    del vectors["p.n"], vectors["q.m"]
    assert shapes("layer_norm_gru") == vectors | apart("zrm", "zrn")


def test_forget_gates_begin_open_and_gains_of_recurrent_sums_small():
    gains = {
        "layer_norm_lstm": {f"p.{g}": 0.1 for g in "ifgo"} | {f"q.{g}": 1.0 for g in "ifgo"},
        "layer_norm_gru": {f"p.{g}": 0.1 for g in "zrm"} | {f"q.{g}": 1.0 for g in "zrn"},
    }
    gains["layer_norm_lstm"]["p.c"] = 1.0  # of the memory, which no matrix multiplies
    own = gains | {
        "fast_grnn": {"s.z": 1.0, "s.h": -4.0},  # almost one and almost zero after the sigmoid
        "lru": {"p.a": -3.5},  # keeps 97 %
        "rg_lru": {"p.a": -4.3},  # a halved gate keeps 95 % of the state
        "rhn": {"b.t": -2.0, "b.t2": -2.0, "b.t3": -2.0},  # carries at first
    }
    forgetting = {"janet", "qrnn", "sru", *[name for name in CATALOGUE if "lstm" in name]}
    for name, cell in CATALOGUE.items():
        assert cell.init == own.get(name, {}) | ({"b.f": 1.0} if name in forgetting else {})


@pytest.mark.parametrize("name", ["layer_norm_lstm", "layer_norm_gru"])
def test_a_normalised_layer_is_not_chaotic_where_it_begins(name):
    torch.manual_seed(0)
    layer = elman.Recurrent(CATALOGUE[name], 32, 64)
    x = torch.randn(300, 8, 32)
    with torch.no_grad():
        single, double = layer(x)[0], layer.double()(x.double())[0]
    # rounding of float32, and no more than a few steps' growth of it; with gains of 1: all digits
    assert (single - double).abs().max() < 1e-4


def test_every_cell_names_its_source():
    for cell in CATALOGUE.values():
        assert re.search(r"\((.* )?(19|20)\d\d", cell.doc) or "torch" in cell.doc


# one step, in numpy, from the text of SPEC 5


def sigma(a):
    return np.exp(a) / (1 + np.exp(a))


def rnn_step(P, x, a, activation=np.tanh):
    return (activation(P["W.a"] @ np.concatenate([a, x]) + P["b.a"]),)


def relu_rnn_step(P, x, a):
    return rnn_step(P, x, a, lambda v: np.maximum(v, 0))


def lstm_step(P, x, h, C, *, coupled=False, full=False, diagonal=False):
    def gate(name, C):
        seen = [C, h, x] if full and name != "g" else [h, x]
        total = P[f"W.{name}"] @ np.concatenate(seen) + P[f"b.{name}"]
        return total + P[f"p.{name}"] * C if diagonal and name != "g" else total

    f = sigma(gate("f", C))
    i = 1 - f if coupled else sigma(gate("i", C))
    new_C = f * C + i * np.tanh(gate("g", C))
    return sigma(gate("o", new_C)) * np.tanh(new_C), new_C


def gru_step(P, x, h):
    z = sigma(P["W.z"] @ np.concatenate([h, x]) + P["b.z"])
    r = sigma(P["W.r"] @ np.concatenate([h, x]) + P["b.r"])
    new = np.tanh(P["W.h"] @ np.concatenate([r * h, x]) + P["b.h"])
    return ((1 - z) * h + z * new,)


def gru_reset_after_step(P, x, h):
    z = sigma(P["W.z"] @ np.concatenate([h, x]) + P["b.z"])
    r = sigma(P["W.r"] @ np.concatenate([h, x]) + P["b.r"])
    new = np.tanh(P["W.n"] @ x + P["b.n"] + r * (P["W.m"] @ h + P["b.m"]))
    return ((1 - z) * new + z * h,)


def normalised(P, name, h, x):
    """A gate's sum with what comes from the state and from the input normalised apart."""

    def norm(a):
        return (a - a.mean()) / np.sqrt(a.var() + 1e-5)

    total = P[f"b.{name}"]
    total = total + P[f"p.{name}"] * norm(P[f"R.{name}"] @ h if f"R.{name}" in P else h)
    return total + P[f"q.{name}"] * norm(P[f"W.{name}"] @ x) if x is not None else total


def layer_norm_lstm_step(P, x, h, c):
    i, f, g, o = [normalised(P, name, h, x) for name in "ifgo"]
    c = sigma(f) * c + sigma(i) * np.tanh(g)
    return sigma(o) * np.tanh(normalised(P, "c", c, None)), c


def layer_norm_gru_step(P, x, h):
    z, r = [sigma(normalised(P, name, h, x)) for name in "zr"]
    n = P["W.n"] @ x
    n = P["q.n"] * (n - n.mean()) / np.sqrt(n.var() + 1e-5) + P["b.n"]
    n = np.tanh(n + r * normalised(P, "m", h, None))
    return ((1 - z) * h + z * n,)


STEPS = {
    "rnn": rnn_step,
    "relu_rnn": relu_rnn_step,
    "lstm": lstm_step,
    "coupled_lstm": lambda *a: lstm_step(*a, coupled=True),
    "peephole_lstm": lambda *a: lstm_step(*a, full=True),
    "diagonal_peephole_lstm": lambda *a: lstm_step(*a, diagonal=True),
    "coupled_peephole_lstm": lambda *a: lstm_step(*a, full=True, coupled=True),
    "gru": gru_step,
    "gru_reset_after": gru_reset_after_step,
    "layer_norm_lstm": layer_norm_lstm_step,
    "layer_norm_gru": layer_norm_gru_step,
}


@pytest.mark.parametrize("name", STEPS)
def test_one_step_is_what_the_specification_says(name):
    cell = CATALOGUE[name]
    numbers = draw_numbers(cell, 5, time=1, batch=1, input_size=5)
    P = {p.key: t.numpy() for p, t in zip(cell.parameters, numbers.parameters, strict=True)}
    expected = STEPS[name](P, numbers.x[0, 0].numpy(), *[s[0].numpy() for s in numbers.states])
    y, last = run(cell, numbers)
    assert len(last) == len(expected)
    for ours, theirs in zip([y[0], *last], [expected[0], *expected], strict=True):
        # float64, the same sums in another order
        np.testing.assert_allclose(ours[0].numpy(), theirs, rtol=1e-12, atol=1e-14)
