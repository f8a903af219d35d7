"""A step is cut where its equations ask for it, whoever's cell it is."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import elman
from backends.precision import assert_near, assert_same, draw, hoists, results, truth
from cells.variants import EDGES, VARIANTS
from elman import tanh
from elman.backends.native import engine as native_engine
from elman.backends.native.programs import programs_of
from elman.cells import CATALOGUE
from graph.random_cells import cell_from_source


@elman.cell(gates="a b c")
def three_in_a_row(x, h, *, W, b):
    """Each product waits for all units of the one before."""
    a = tanh(W.a @ [h, x] + b.a)
    c = tanh(W.b @ [a * h, x] + b.b)
    return tanh(W.c @ [c, a] + b.c)


@elman.cell
def four_states_in_one(x, h, c, n, m, *, W):
    """All products see values of the step before."""
    return tanh(W.a @ [h, x]), tanh(W.b @ [h, c, x]), tanh(W.c @ [c, n]), tanh(W.d @ [h, c, n, m])


@elman.cell
def sum_of_states(x, h, c, *, W, b):
    """The adjoint of c is a term of that of h, which has a product too and comes a phase later."""
    return tanh(W.a @ [h, x] + b.a), tanh(h + c)


FORWARD = {
    "rnn": 1,
    "lstm": 1,
    "coupled_lstm": 1,
    "diagonal_peephole_lstm": 1,
    "gru_reset_after": 1,
    "gru": 2,
    "peephole_lstm": 2,
    "coupled_peephole_lstm": 2,
    "minimal_gated_unit": 2,
    "three_in_a_row": 3,
    "four_states_in_one": 1,
}
OWN = {cell.name: cell for cell in (three_in_a_row, four_states_in_one, sum_of_states)}
CELLS = {**CATALOGUE, **VARIANTS, **EDGES, **OWN}


@pytest.mark.parametrize("hoisted", [False, True], ids=["in the step", "hoisted"])
@pytest.mark.parametrize("save", [False, True], ids=["inference", "keeping"])
@pytest.mark.parametrize("name", FORWARD)
def test_a_step_has_as_many_phases_as_products_wait_for_each_other(name, save, hoisted):
    program = programs_of(CELLS[name].text).forward(save=save, hoisted=hoisted)
    assert len(program.phases) == FORWARD[name]


def test_the_products_of_a_phase_are_taken_together():
    sums = {}
    for name in ("lstm", "gru", "peephole_lstm", "three_in_a_row", "gru_reset_after"):
        program = programs_of(CELLS[name].text).forward(save=False, hoisted=False)
        sums[name] = [len(phase.accumulators) for phase in program.phases]
    assert sums["lstm"] == [4]
    assert sums["gru"] == [1, 2]  # the update gate is not needed before the candidate
    assert sums["peephole_lstm"] == [3, 1]
    assert sums["three_in_a_row"] == [1, 1, 1]
    assert sums["gru_reset_after"] == [4]  # the product with the input is outside of r * (...)


USERS = [*OWN, "layer_norm_lstm", "exponential_gates", "shared_matrix", "product_of_a_parameter"]


@pytest.mark.thinned(2)
@pytest.mark.parametrize("name", USERS)
@pytest.mark.parametrize("hoisted", [False, True], ids=["in the step", "hoisted"])
def test_cells_of_users_run_natively_in_values_and_gradients(name, hoisted, monkeypatch):
    monkeypatch.setattr(native_engine, "should_hoist", hoists(hoisted))
    ragged = replace(draw(CELLS[name], 7, 19), lengths=torch.tensor((6, 0, 3, 6, 1)))
    for numbers in (ragged, replace(ragged, reverse=True)):
        assert_near(results(CELLS[name], numbers), truth(CELLS[name], numbers), 1e-5)
    assert elman.backends.choose("auto", torch.float32, torch.device("cpu"))[0] == "native"


SUMS = [
    "W.a @ [h, x] + b.a",
    "W.a @ h + tanh(W.b @ x)",
    "W.a @ h + sigmoid(W.b @ x) * tanh(W.c @ x)",
    "W.a @ h + W.b @ h + (W.c @ x + W.d @ x + b.a)",
    "W.b @ x - W.a @ h + b.a",
    "(W.a @ h + W.c @ x) * (W.b @ h + W.c @ x)",
]


@pytest.mark.parametrize("line", SUMS)
def test_what_is_computed_ahead_changes_no_bit(line, monkeypatch):
    summed = cell_from_source(f"def random_cell(x, h, *, W, b, p):\n    return tanh({line})")
    numbers = draw(summed, 7, 19)
    found = []
    for hoisted in (False, True):
        monkeypatch.setattr(native_engine, "should_hoist", hoists(hoisted))
        found.append(results(summed, numbers))
    assert_same(*found)


@pytest.mark.parametrize("name", CELLS)
def test_all_that_a_phase_reads_is_in_memory_by_then(name):
    """A value comes from a buffer, from its own phase, or from one that has stored it."""
    programs = programs_of(CELLS[name].text)
    kinds = [(keep, hoisted) for keep in (False, True) for hoisted in (False, True)]
    all_programs = [
        programs.forward(save=k, hoisted=h) for k, h in kinds if programs.hoisted or not h
    ]
    all_programs += [programs.projection, programs.backward]
    all_programs += [p for p in (programs.precompute, programs.into_input) if p is not None]
    for program in all_programs:
        written = {place.buffer for places in program.stores.values() for place in places}
        done = set()
        for phase in program.phases:
            here = set(phase.values)
            totals = phase.accumulators
            sums = {total.value for total in totals}
            reads = {o for total in totals for o in total.rest} - here
            reads |= {o for v in phase.values if v not in sums for o in v.operands} - here
            leaves = {"vector", "constant", "matrix"}  # which are not in rows
            equations = {n: program.loads.get(n) for n in reads if n.operation not in leaves}
            fed = {term.operand for total in totals for term in total.terms}
            products = {node: program.operands.get(node) for node in fed}
            for node, place in [*equations.items(), *products.items()]:
                assert place is not None, f"{program.name} has no place for {node.operation}"
                if place.buffer.name == "spilled" or (place.buffer in written and not place.shift):
                    assert node in done, f"{program.name} reads {node.operation} before it is there"
            done |= set(phase.stored)
        roots = [*program.stores]
        assert set(roots) <= done


def words(path):
    """The names and texts of a module without its docstrings and comments."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings
        ):
            yield node.value
        for name in ("id", "attr", "name", "arg"):
            if isinstance(getattr(node, name, None), str):
                yield getattr(node, name)


def test_no_engine_and_no_pass_knows_a_cell():
    package = Path(elman.__file__).parent
    paths = [*(package / "backends").rglob("*.py"), *(package / "passes").rglob("*.py")]
    assert len(paths) > 15
    # these name the operators of ONNX and the kernels of torch, which they recognise by equations
    operators = {package / "passes/recognise.py", package / "backends/torch_kernels/engine.py"}
    assert operators < set(paths)
    known = re.compile("|".join([rf"\b{name}\b" for name in CATALOGUE]) + "|lstm|gru")
    for path in set(paths) - operators:
        for word in words(path):
            assert not known.search(word.lower()), f"{path}: {word}"
    (cells,) = (package / "cells").glob("gated_recurrent_unit.py")
    assert any([known.search(word) for word in words(cells)])
