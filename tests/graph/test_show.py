"""A cell prints as its author would write it, and what it prints is what it computes."""

import pytest
from hypothesis import given, note
from matplotlib.mathtext import MathTextParser

from elman.cells import CATALOGUE
from elman.graph import (
    cell,
    cos,
    exp,
    floor,
    layer_norm,
    log,
    maximum,
    minimum,
    relu,
    sigmoid,
    sin,
    softplus,
    sqrt,
    tanh,
    where,
)
from elman.graph.node import Arithmetic, apply, as_node, intern
from elman.graph.ops import INTERNAL, LEAVES, TABLE
from elman.graph.show import expression
from graph.random_cells import quick, random_cells


@cell(gates="i f g o", init={"b.f": 1.0})
def lstm(x, h, c, *, W, b):
    f = sigmoid(W.f @ [h, x] + b.f)
    i = sigmoid(W.i @ [h, x] + b.i)
    g = tanh(W.g @ [h, x] + b.g)
    o = sigmoid(W.o @ [h, x] + b.o)
    c = f * c + i * g
    h = o * tanh(c)
    return h, c


def test_the_lstm_prints_as_written():
    assert str(lstm) == (
        "f = σ(W.f · [h, x] + b.f)\n"
        "i = σ(W.i · [h, x] + b.i)\n"
        "g = tanh(W.g · [h, x] + b.g)\n"
        "o = σ(W.o · [h, x] + b.o)\n"
        "c' = f * c + i * g\n"
        "h' = o * tanh(c')"
    )


def test_the_lstm_in_latex():
    assert lstm.latex() == (
        r"\begin{aligned}"
        "\n"
        r"f &= \sigma(W_{f} \cdot [h_{t-1}, x_{t}] + b_{f}) \\"
        "\n"
        r"i &= \sigma(W_{i} \cdot [h_{t-1}, x_{t}] + b_{i}) \\"
        "\n"
        r"g &= \tanh(W_{g} \cdot [h_{t-1}, x_{t}] + b_{g}) \\"
        "\n"
        r"o &= \sigma(W_{o} \cdot [h_{t-1}, x_{t}] + b_{o}) \\"
        "\n"
        r"c_{t} &= f \odot c_{t-1} + i \odot g \\"
        "\n"
        r"h_{t} &= o \odot \tanh(c_{t})"
        "\n"
        r"\end{aligned}"
    )


def test_long_names_and_greek_letters_in_latex():
    @cell
    def named(word_in, h_slow, alpha, *, W, lambda_):
        new_h = W.in_gate @ [word_in, h_slow] + lambda_.out * alpha
        return new_h * new_h, tanh(new_h)

    rows = named.latex().splitlines()
    assert rows[1] == (
        r"\mathrm{new}_{h} &= W_{in,gate} \cdot [\mathrm{word}_{in,t}, h_{slow,t-1}] "
        r"+ \lambda_{out} \odot \alpha_{t-1} \\"
    )
    assert rows[2] == r"h_{slow,t} &= \mathrm{new}_{h} \odot \mathrm{new}_{h} \\"
    assert rows[3] == r"\alpha_{t} &= \tanh(\mathrm{new}_{h})"


def written(h, c, p):
    return {
        "h - (c - h)": h - (c - h),
        "h - c - h": h - c - h,
        "h + (c + h)": h + (c + h),
        "(h + c) * h": (h + c) * h,
        "h * c + h": h * c + h,
        "h / (c * h)": h / (c * h),
        "h / c * h": h / c * h,
        "-h * c": -h * c,
        "-(h * c)": -(h * c),
        "-(h + c)": -(h + c),
        "1 - h": 1 - h,
        "h + (-0.5)": h + -0.5,
        "(-2) * h": -2 * h,
        "0.001 * h": 0.001 * h,
        "2e+06 * h": 2e6 * h,
        "where(h >= c, h, -c)": where(h >= c, h, -c),
        "where(h > c, 1, c)": where(c < h, 1, c),
        "max(h, 0) + min(h, c)": maximum(h, 0) + minimum(h, c),
        "relu(exp(log(softplus(h))))": relu(exp(log(softplus(h)))),
        "sqrt(abs(sin(h) + cos(floor(c))))": sqrt(abs(sin(h) + cos(floor(c)))),
        "p.f * layer_norm(h + c)": p.f * layer_norm(h + c),
    }


def test_parentheses_stand_where_they_must():
    shown = {}

    @cell
    def every(x, h, c, *, p):
        shown.update({text: expression(node) for text, node in written(h, c, p).items()})
        return h, c

    assert every.states == ("h", "c")
    assert len(shown) == 21
    assert list(shown) == list(shown.values())


def test_products_bind_tightest_and_bracket_what_they_take():
    @cell
    def products(x, h, *, W, p):
        return 2 * (W.a @ (p.r * h)) + W.a @ -h + W.b @ [h * 2, tanh(x)] - W.a @ (W.b @ [h, x])

    assert str(products) == (
        "h' = 2 * W.a · (p.r * h) + W.a · (-h) + W.b · [h * 2, tanh(x)] - W.a · W.b · [h, x]"
    )


def test_a_state_that_takes_the_value_of_another_has_a_line_of_its_own():
    @cell
    def handed_on(x, h, c, n, *, W, b):
        h = tanh(W.a @ [h, x])
        return h, h, b.n

    assert str(handed_on) == "h' = tanh(W.a · [h, x])\nc' = h'\nn' = b.n"

    @cell
    def swapped(x, h, c):
        return c, h

    assert str(swapped) == "h' = c\nc' = h"
    assert swapped.latex().splitlines()[1:3] == [r"h_{t} &= c_{t-1} \\", r"c_{t} &= h_{t-1}"]


def test_a_next_state_stands_before_what_is_made_of_it():
    @cell
    def two(x, h, c):
        new = -tanh(h)
        return tanh(h), new

    assert str(two).splitlines() == ["h' = tanh(h)", "c' = -h'"]


def test_a_name_means_one_thing():
    @cell
    def renamed(x, h, c):
        old = c
        c = tanh(c)
        h = old + c
        return h, h * h

    assert str(renamed) == "h' = c + tanh(c)\nc' = h' * h'"


def test_an_earlier_value_of_a_name_has_a_number_where_it_is_used_twice():
    @cell
    def unfolded(x, h, *, W):
        for _ in range(3):
            h = h * (1 - h)
        return h

    assert str(unfolded) == "h_1 = h * (1 - h)\nh_2 = h_1 * (1 - h_1)\nh' = h_2 * (1 - h_2)"
    assert unfolded.latex().splitlines()[1] == r"h_{1} &= h_{t-1} \odot (1 - h_{t-1}) \\"


def test_numbers_of_names_avoid_names_that_are_taken():
    @cell
    def taken(x, h, u_2):
        u = tanh(h)
        u_1 = u + u_2
        u = u * u_1
        u = u * u
        return u + u_1 * u_1, u

    assert str(taken) == (
        "u_3 = tanh(h)\nu_1 = u_3 + u_2\nu_4 = u_3 * u_1\nu_2' = u_4 * u_4\nh' = u_2' + u_1 * u_1"
    )


def test_a_loop_of_many_rounds_prints_in_as_many_lines():
    @cell
    def many(x, h, *, W):
        for _ in range(70):
            h = h * (1 - h)
        return h

    assert len(str(many).splitlines()) == 70


def test_adjoints_and_what_passes_write_can_be_read():
    h, adjoint = intern("state", (), "h"), intern("adjoint", (), ("h", "hidden"))
    assert expression(adjoint * tanh(h)) == "∂L/∂h * tanh(h)"
    assert expression(adjoint, in_latex=True) == r"\partial L / \partial h"


class Written(Arithmetic):
    """A parameter in printed equations; ``**`` stands for ``·``, which binds as tightly."""

    __slots__ = ("key",)

    def __init__(self, *key):
        self.key = key

    def __pow__(self, operands):
        operands = operands if isinstance(operands, list) else [operands]
        return apply("product", intern("matrix", (), self.key), *operands)

    def __node__(self):
        return intern("vector", (), self.key)


class WrittenFamily:
    def __init__(self, name):
        self._name = name

    def __getattr__(self, gate):
        return Written(self._name, gate)


def read_back(printed):
    """The next states that the printed equations say."""
    names = {
        "σ": sigmoid,
        "tanh": tanh,
        "relu": relu,
        "exp": exp,
        "log": log,
        "softplus": softplus,
        "sqrt": sqrt,
        "abs": abs,
        "sin": sin,
        "cos": cos,
        "floor": floor,
        "max": maximum,
        "min": minimum,
        "where": where,
        "layer_norm": layer_norm,
        printed.input: intern("input", (), None),
    }
    names |= {state: intern("state", (), state) for state in printed.states}
    names |= {p.family: WrittenFamily(p.family) for p in printed.parameters}
    for line in str(printed).splitlines():
        left, right = line.replace("'", "_next").replace("·", "**").split(" = ", 1)
        assert left not in names, f"{left} is written twice"
        names[left] = as_node(eval(right, names))
    return tuple([names[f"{state}_next"] for state in printed.states])


@pytest.mark.parametrize("printed", CATALOGUE.values(), ids=list(CATALOGUE))
def test_the_catalogue_computes_what_it_prints(printed):
    assert read_back(printed) == printed.next_states


@quick
@given(random_cells())
def test_random_cells_compute_what_they_print(printed):
    note(str(printed))
    assert read_back(printed) == printed.next_states


def test_every_operation_of_the_table_prints_and_is_latex():
    """A new row has signs for both; a parser of LaTeX's mathematics accepts the second."""
    parser = MathTextParser("path")
    h, c = intern("state", (), "h"), intern("state", (), "c")
    for row in TABLE:
        if row.name in LEAVES or row.arity is None:
            continue
        operands = [h > c, h, c] if row.name == "where" else [h, c][: row.arity]
        if row.kind == "memory":
            continue  # sizes differ: test_matrix_states.py prints them
        if row.kind == "matrix":
            operands = [intern("matrix", (), ("W", name)) for name in "hc"[: row.arity]]
        node = apply(row.name, *operands)
        written = expression(node)
        assert all(name in written for name in ("h", "c")[: row.arity]), row.name
        parser.parse(f"${expression(node, in_latex=True)}$")
    assert {row.name for row in TABLE if row.name in INTERNAL} == INTERNAL


@pytest.mark.parametrize("printed", CATALOGUE.values(), ids=list(CATALOGUE))
def test_the_latex_of_the_catalogue_is_latex(printed):
    parser = MathTextParser("path")
    lines = printed.latex().splitlines()
    assert (lines[0], lines[-1]) == (r"\begin{aligned}", r"\end{aligned}")
    for line in lines[1:-1]:
        left, right = line.removesuffix(r" \\").split(" &= ")
        parser.parse(f"${left} = {right}$")
