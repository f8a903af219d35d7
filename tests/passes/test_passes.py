"""Each pass keeps every value, and does what it is for."""

import torch
from hypothesis import given

from elman.backends.plan import make_plan
from elman.backends.reference.schedule import schedule_of
from elman.cells import CATALOGUE
from elman.graph.node import ancestors, intern
from elman.graph.verify import problems
from elman.passes import PackedProduct, differentiate, hoist, pack, simplify
from graph.plain import draw_numbers, values_of
from graph.random_cells import quick, random_cells


def assert_same_values(cell, roots):
    """The roots, computed from one row's numbers, are the cell's next states."""
    numbers = draw_numbers(cell, 5)
    states = [state[0] for state in numbers.states]
    given = (cell, numbers.x[0, 0], states, numbers)
    expected, found = [values_of(ancestors(n), *given) for n in (cell.next_states, roots)]
    for wanted, root in zip(cell.next_states, roots, strict=True):
        torch.testing.assert_close(found[root], expected[wanted], rtol=1e-10, atol=1e-12)


@quick
@given(random_cells())
def test_simplify_and_hoist_keep_every_value_and_stay_in_the_grammar(cell):
    simple = simplify(cell.next_states)
    hoisted = hoist(simple)
    for roots in (simple, hoisted.roots):
        assert_same_values(cell, roots)
        assert list(problems(ancestors(roots))) == []
    assert len(ancestors(simple)) <= len(ancestors(cell.next_states))


@quick
@given(random_cells())
def test_what_is_hoisted_needs_no_state_and_nothing_that_could_be_is_left(cell):
    hoisted = hoist(simplify(cell.next_states))
    for node in ancestors(hoisted.roots):
        needs_state = any(n.operation == "state" for n in ancestors([node]))
        if node.operands:
            assert (node in hoisted.before) == (not needs_state)


def test_simplify_removes_what_changes_nothing():
    h, c = (intern("state", (), name) for name in "hc")
    assert simplify([1 * h, h + 0, h - 0, h / 1, -h * -1, 0 + h]) == (h,) * 6
    assert simplify([h * -1])[0] is simplify([-h])[0]
    assert simplify([(2 * h) * (3 - 3) + c])[0].operation in {"add", "state"}
    [kept] = simplify([0 * h])  # a vector of zeros, not the number 0
    assert kept.size == h.size


def test_products_that_share_an_operand_are_packed_and_no_others():
    for cell in CATALOGUE.values():
        for schedule in (schedule_of(make_plan(cell)).before, schedule_of(make_plan(cell)).step):
            products = [item for item in schedule if isinstance(item, PackedProduct)]
            assert len({item.operand for item in products}) == len(products)
            for item in products:
                assert all(product.operands[1] is item.operand for product in item.products)


def test_packing_keeps_every_value_and_computes_no_value_before_its_operands():
    for cell in CATALOGUE.values():
        schedule = [n for n in ancestors(hoist(simplify(cell.next_states)).roots) if n.operands]
        done = set()
        for item in pack(schedule):
            for node in item.products if isinstance(item, PackedProduct) else (item,):
                assert all(o in done or not o.operands for o in node.operands)
            done |= set(item.products if isinstance(item, PackedProduct) else (item,))
        assert done == set(schedule)


@quick
@given(random_cells())
def test_every_phase_of_a_plan_has_what_it_needs_when_it_needs_it(cell):
    plan = make_plan(cell)
    schedule = schedule_of(plan)
    leaves = {"input", "state", "vector", "matrix", "constant"}

    def walk(schedule, known):
        for item in schedule:
            nodes = item.products if isinstance(item, PackedProduct) else (item,)
            for node in nodes:
                assert all(o in known or o.operation in leaves for o in node.operands), node
            known |= set(nodes)
        return known

    forward = walk(schedule.step, walk(schedule.before, set()))
    assert all(node in forward or node.operation in leaves for node in plan.next_states)
    kept = set(schedule.saved)
    assert all(node in forward or node.operation == "state" for node in kept)
    # a state's value at each step is kept, not read as the leaf that stands for the first
    leaves -= {"state"}
    back = walk(schedule.back, kept | set(plan.gradient.seeds))
    assert set(schedule.crossing) <= back
    walk(schedule.after, kept | set(schedule.crossing))


def test_the_adjoint_of_a_cell_without_a_way_back_has_none():
    x = intern("input", (), None)
    h = intern("state", (), "h")
    gradient = differentiate((h, intern("state", (), "c")), (h + 0.5, h * h))
    assert gradient.input is None
    assert gradient.states[1] is None
    assert gradient.states[0] is not None
    assert differentiate((intern("state", (), "h"),), (x,)).states == (None,)
