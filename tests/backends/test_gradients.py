"""The gradient pass, run by the reference engine: every operation, the catalogue, random cells.

``gradient_check.check`` holds each against torch's autograd, two ways, and central differences.
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import elman.graph
from backends.gradient_check import call_of, check, forward, gradients
from elman.backends import find_engine
from elman.cells import CATALOGUE
from elman.graph import cell, tanh, where
from elman.graph.node import OPERATIONS
from elman.graph.ops import INTERNAL, MATRICES, MEMORY, PRODUCTS
from engines import ANY_CELL
from graph.plain import FUNCTIONS, draw_numbers
from graph.random_cells import (
    NO_OPERAND,
    ONE_OPERAND,
    TWO_OPERANDS,
    cell_from_source,
    numbers_away_from_kinks,
    quick,
    random_cells,
)

pytestmark = pytest.mark.every_cell

#: operations that are not a function of numbers: leaves, and products, which plain.py spells out
LEAVES = {"input", "state", "vector", "matrix", "adjoint", "constant", "mask", "side"}


each_engine = pytest.mark.parametrize("backend", ANY_CELL)


@pytest.mark.thinned(3)
@each_engine
@pytest.mark.parametrize("lengths", [None, (2, 4, 0)], ids=["whole", "ragged"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("name", CATALOGUE)
def test_every_cell_of_the_catalogue(name, reverse, lengths, backend):
    chosen = CATALOGUE[name]
    numbers = numbers_away_from_kinks(chosen, lengths=lengths, reverse=reverse)
    check(chosen, numbers, backend=backend)


LINES = {**NO_OPERAND, **ONE_OPERAND, **TWO_OPERANDS}


@each_engine
@pytest.mark.parametrize("line", LINES)
def test_every_operation_in_a_cell_of_its_own(line, backend):
    source = f"""def one(x, h, c, *, W, b, p):
    u = {line.format(a="h", b="c", k="0.7", g="u")}
    v = {line.format(a="c", b="x_", k="-0.3", g="v")}
    return tanh(u) + 0.5 * c, tanh(v) * h
""".replace("x_", "tanh(W.x @ x)")
    one = cell_from_source(source.replace("def one", "def random_cell"))
    check(one, numbers_away_from_kinks(one), backend=backend)


def test_the_lines_above_have_every_operation():
    seen = set()
    for line in LINES:
        text = line.format(a="h", b="c", k="0.7", g="u")
        names = {name: getattr(elman.graph, name) for name in elman.graph.__all__}
        made = {}
        exec(f"def one(x, h, c, *, W, b, p):\n    return {text}, c + tanh(W.y @ x)", names, made)
        seen |= {node.operation for node in cell(made["one"]).nodes}
    functions = set(OPERATIONS) - LEAVES - PRODUCTS - INTERNAL - MATRICES - MEMORY
    assert functions <= set(FUNCTIONS)
    assert functions - seen <= {"at_least"}  # a <= b is b >= a turned, below
    assert any("<=" in line for line in LINES)


@each_engine
@quick
@given(
    drawn=random_cells(),
    lengths=st.sampled_from([None, (2, 4, 0), (0, 1, 3)]),
    reverse=st.booleans(),
)
def test_random_cells(drawn, lengths, reverse, backend):
    numbers = numbers_away_from_kinks(drawn, lengths=lengths, reverse=reverse)
    check(drawn, numbers, backend=backend)


@each_engine
@pytest.mark.parametrize(("time", "batch"), [(0, 3), (1, 1)])
@pytest.mark.parametrize("name", ["lstm", "gru", "peephole_lstm"])
def test_no_steps_and_one_step_of_one_row(name, time, batch, backend):
    chosen = CATALOGUE[name]
    numbers = draw_numbers(chosen, 0, time=time, batch=batch)
    check(chosen, numbers, differences=False, backend=backend)


@each_engine
@pytest.mark.parametrize(("line", "slope"), [("relu(x)", 0.0), ("maximum(x, 0.0 * x)", 0.5)])
def test_on_a_kink_the_derivative_is_torchs(line, slope, backend):
    tied = cell_from_source(
        f"def random_cell(x, h, *, W, b, p):\n    return W.o @ ({line}) + 0 * h"
    )
    numbers = draw_numbers(tied, 0, time=1)
    numbers = numbers.with_tensors([torch.zeros_like(numbers.x), *numbers.tensors[1:]])
    check(tied, numbers, differences=False, backend=backend)
    outer = [torch.ones(1, 3, 3).double(), torch.zeros(3, 3).double()]
    dx, *_ = gradients(tied, numbers, outer, backend)
    weight = numbers.parameters[0]
    assert torch.allclose(dx[0, 0], slope * weight.sum(0))


@cell
def keeps_a_condition(x, h, *, W, b):
    a = tanh(W.a @ [h, x])
    return where(a > h, a * b.a, W.b @ x)


@pytest.mark.parametrize("time", [0, 4])
@each_engine
def test_a_condition_is_kept_for_any_number_of_steps(backend, time):
    numbers = draw_numbers(keeps_a_condition, 3, time=time, batch=3)
    outputs, kept = forward(keeps_a_condition, numbers, backend)
    likely = find_engine(backend).saved_like(call_of(keeps_a_condition, numbers))
    assert [(k.shape, k.dtype) for k in kept] == [(k.shape, k.dtype) for k in likely]
    check(keeps_a_condition, numbers, differences=time > 0, backend=backend)
    assert outputs[0].shape == (time, 3, outputs[1].shape[-1])
