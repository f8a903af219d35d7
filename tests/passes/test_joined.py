"""Which products with side inputs an engine multiplies, and by which columns."""

import pytest

from elman import cell, tanh
from elman.cells import gru_d
from elman.graph.show import expression
from elman.graph.sizes import Sizes
from elman.passes.separate import separated

INPUTS = {"u": "input", "v": "hidden"}


@cell(inputs=INPUTS)
def with_x(x, h, u, v, *, W, b):
    return tanh(W.a @ [h, x] + W.b @ [h, x, u] + b.h + v)


@cell(inputs=INPUTS)
def with_two_operands(x, h, u, v, *, W, b):
    return tanh(W.a @ [h, u] + W.b @ [u] + W.c @ [h, v] + W.d @ [x, v] + b.h)


@cell(inputs=INPUTS)
def around_the_state(x, h, u, v, *, W, b):
    return tanh(W.a @ [x, h, tanh(u)] + W.b @ [v * h, x, tanh(u)] + b.h)


@cell(inputs=INPUTS)
def with_one_matrix(x, h, u, v, *, W, b):
    return tanh(W.a @ [h, x, u] + W.a @ [h, u, x] + v)


def joined(own):
    parts = separated(own.text, join=True)
    return parts, [expression(node) for node in parts.joined]


def columns(parts):
    return {p.key: p.columns for p in parts.core.parameters if p.kind == "matrix"}


def test_the_products_of_gru_d_stay_in_its_core():
    parts, operands = joined(gru_d)
    assert operands[1] == "m"
    assert columns(parts) == {f"W.{gate}": ("hidden", "input") for gate in "zrh"}
    assert [expression(node) for node in parts.early] == ["W.s · d"]
    assert parts.sizes_of_core(Sizes(4, 5)) == Sizes(8, 5)


def test_what_most_products_have_is_joined_and_torch_multiplies_the_rest():
    parts, operands = joined(with_two_operands)
    assert operands == ["u"]
    assert columns(parts) == {"W.a": ("hidden", "input"), "W.b": ("input",), "W.c": ("hidden",)}
    (rest,) = parts.early
    assert expression(rest) in ("W.c · v + W.d · [x, v]", "W.d · [x, v] + W.c · v")


@pytest.mark.parametrize("own", [with_x, with_one_matrix], ids=lambda own: own.name)
def test_nothing_is_joined_where_another_product_needs_x(own):
    parts, operands = joined(own)
    assert operands == []
    assert parts.sizes_of_core(Sizes(4, 5)) == Sizes(4, 5)


def test_columns_that_are_apart_are_put_together():
    parts, operands = joined(around_the_state)
    assert operands == ["x", "tanh(u)"]
    assert columns(parts) == {"W.a": ("input", "hidden"), "W.b": ("hidden", "input")}
    apart, whole = [part.blocks for part in parts.parts if part.value.operation == "matrix"]
    assert [block.size for block in apart] == ["input", "input", "hidden"]
    assert whole is None
