"""The native engine's float32 is near float64, and what depends on nothing else is bit for bit so.

``test_gradients.py`` holds the engine to its equations, in float64 and small sizes; here are the
sizes at which blocks, tails, threads and stretches come into play.
"""

import itertools
from dataclasses import replace

import pytest
import torch

from backends.precision import (
    assert_near,
    assert_same,
    draw,
    hoists,
    outer_gradients,
    results,
    truth,
)
from cells.variants import VARIANTS
from elman.backends import find_engine
from elman.backends.engine import Call, Outputs
from elman.backends.native import engine as native_engine
from elman.backends.native import kernels, schedule, tuning
from elman.backends.native.llvm import team
from elman.backends.plan import make_plan
from elman.cells import CATALOGUE

NATIVE = find_engine("native")

CELLS = {**CATALOGUE, "gated_decay": VARIANTS["gated_decay"]}
#: lengths for 5 rows of 6 steps; in ``SHORTER`` nobody reaches the last two steps
RAGGED, SHORTER = (6, 0, 3, 6, 1), (4, 0, 3, 2, 1)

each_cell = pytest.mark.parametrize("name", CELLS)
each_way = pytest.mark.parametrize("hoisted", [False, True], ids=["in the step", "hoisted"])


@pytest.fixture
def hoist(monkeypatch):
    """Whether products with the input are computed ahead, decided by the test."""

    return lambda hoisted: monkeypatch.setattr(native_engine, "should_hoist", hoists(hoisted))


@pytest.fixture
def threads(monkeypatch):
    """Sets a number of threads that is used even for little work."""
    before = torch.get_num_threads()
    monkeypatch.setattr(tuning, "MIN_PARALLEL_WORK", 0)
    yield torch.set_num_threads
    torch.set_num_threads(before)


def in_all_orders(numbers):
    for lengths, reverse in itertools.product([None, RAGGED], [False, True]):
        given = None if lengths is None else torch.tensor(lengths)
        yield replace(numbers, lengths=given, reverse=reverse)


@each_way
@each_cell
def test_float32_is_within_1e_5_of_float64(name, hoisted, hoist):
    hoist(hoisted)
    cell = CELLS[name]
    for numbers in in_all_orders(draw(cell, 7, 19)):
        found = results(cell, numbers)
        assert_near(found, truth(cell, numbers), 1e-5)
        rest = (numbers.x, numbers.states, numbers.parameters, numbers.lengths, numbers.reverse)
        (y, last), _ = NATIVE.forward(Call(make_plan(cell), *rest, save=False))
        assert torch.equal(y, found["y"])
        for state, tensor in zip(cell.states, last, strict=True):
            assert torch.equal(tensor, found[f"last {state}"])


@pytest.mark.parametrize(("input_size", "hidden_size"), [(1, 17), (33, 1), (1, 1), (16, 32)])
@pytest.mark.parametrize("name", ["lstm", "gru", "peephole_lstm"])
def test_any_size_will_do(name, input_size, hidden_size):
    numbers = draw(CATALOGUE[name], input_size, hidden_size)
    numbers = replace(numbers, lengths=torch.tensor(RAGGED))
    assert_near(results(CATALOGUE[name], numbers), truth(CATALOGUE[name], numbers), 1e-5)


def test_more_units_than_a_tile_and_more_rows_than_a_chunk():
    cell = CATALOGUE["lstm"]
    numbers = draw(cell, 9, 521, time=5, batch=43)
    assert_near(results(cell, numbers), truth(cell, numbers), 1e-5)


def some_rows(numbers, outer, rows):
    tensors = [numbers.x[:, rows], *[s[rows] for s in numbers.states], *numbers.parameters]
    part = replace(numbers.with_tensors(tensors), lengths=numbers.lengths[rows])
    return part, [outer[0][:, rows], *[g[rows] for g in outer[1:]]]


@each_way
@each_cell
def test_a_row_is_the_same_bit_for_bit_in_any_batch(name, hoisted, hoist, threads):
    hoist(hoisted)
    cell = CELLS[name]
    numbers = replace(draw(cell, 7, 19, batch=40), lengths=torch.arange(40) % 6 + 1)
    outer = outer_gradients(cell, numbers)
    whole = results(cell, numbers, outer=outer)
    own = ["y", "dx", *[f"{what}{state}" for state in cell.states for what in ("last ", "d")]]
    batches = [[5], [11], [5, 0], [39, 11, 5], [5, 11, 2, 8, 14, 17, 23], list(range(39, -1, -1))]
    for rows, count in zip(batches, itertools.cycle([1, 2, 4]), strict=False):
        threads(count)
        given, given_outer = some_rows(numbers, outer, rows)
        part = results(cell, given, outer=given_outer)
        for key in own:
            there = whole[key][:, rows] if whole[key].dim() == 3 else whole[key][rows]
            assert torch.equal(part[key], there), f"{key} of rows {rows}"


@each_cell
def test_any_number_of_threads_gives_the_same_bits(name, threads, monkeypatch):
    used = []
    monkeypatch.setattr(kernels, "run_partitions", spy(kernels.run_partitions, used))
    cell = CELLS[name]
    for numbers in in_all_orders(draw(cell, 7, 19, batch=5)):
        threads(1)
        alone = results(cell, numbers)
        for count in (2, 4):
            threads(count)
            assert_same(results(cell, numbers), alone)
    shares = {len(bounds) - 1 for bounds, _, _ in used}
    assert shares >= ({1, 2, 4} if team.find_team() else {1})


def spy(call, used):
    def spied(function, address, table, bounds, begin, end):
        used.append((list(bounds), begin, end))
        call(function, address, table, bounds, begin, end)

    return spied


@pytest.mark.thinned(2)
@pytest.mark.parametrize("lengths", [RAGGED, SHORTER], ids=["ragged", "shorter"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@each_cell
def test_padding_is_never_touched(name, reverse, lengths):
    cell = CELLS[name]
    numbers = replace(draw(cell, 7, 19), lengths=torch.tensor(lengths), reverse=reverse)
    outer = outer_gradients(cell, numbers)
    clean = results(cell, numbers, outer=outer)
    padding = torch.arange(6)[:, None] >= numbers.lengths
    x, dy = numbers.x.clone(), outer[0].clone()
    x[padding], dy[padding] = torch.nan, torch.nan
    spoilt = numbers.with_tensors([x, *numbers.tensors[1:]])
    assert_same(results(cell, spoilt, outer=[dy, *outer[1:]]), clean)
    assert (clean["y"][padding] == 0).all()
    assert (clean["dx"][padding] == 0).all()


@pytest.mark.thinned(3)
@pytest.mark.parametrize("lengths", [None, RAGGED, SHORTER], ids=["whole", "ragged", "shorter"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@each_way
@each_cell
def test_stretches_of_steps_give_the_same_gradients(
    name, hoisted, hoist, reverse, lengths, monkeypatch
):
    hoist(hoisted)
    cell = CELLS[name]
    given = None if lengths is None else torch.tensor(lengths)
    numbers = replace(draw(cell, 7, 19), lengths=given, reverse=reverse)
    expected = results(cell, numbers)
    for size in (1, 5000):
        monkeypatch.setattr(tuning, "CHUNK_BYTES", size)
        found = results(cell, numbers)
        assert_near(found, expected, 2e-6)  # sums over rows are taken in other parts
        names = ["y", "dx"] + [f"{kind}{k}" for kind in ("last ", "d") for k in cell.states]
        for each in names:
            assert torch.equal(found[each], expected[each]), each


def test_products_ahead_of_the_steps_need_memory_for_a_stretch_only(hoist, monkeypatch):
    hoist(True)
    made = []
    memory = kernels.CompiledLayer.memory
    monkeypatch.setattr(tuning, "CHUNK_BYTES", 5000)
    monkeypatch.setattr(
        kernels.CompiledLayer,
        "memory",
        lambda self, layout, buffer, rows: (
            made.append((buffer.name, rows)) or memory(self, layout, buffer, rows)
        ),
    )
    numbers = draw(CELLS["lstm"], 7, 19, time=50, batch=2)
    results(CELLS["lstm"], numbers)
    (rows,) = {rows for name, rows in made if name == "projected"}
    assert rows < 20


def test_there_are_as_many_stretches_as_the_bytes_ask_for(monkeypatch):
    for lengths in (None, torch.tensor(RAGGED)):
        for reverse in (False, True):
            made = schedule.make_schedule(6, 5, lengths, reverse)
            monkeypatch.setattr(tuning, "CHUNK_BYTES", 1)
            assert len(made.chunks(400)) == 6
            monkeypatch.setattr(tuning, "CHUNK_BYTES", 1 << 24)
            assert made.chunks(400) == [(0, 6, 0, made.total)]


@each_way
@pytest.mark.parametrize("name", ["lstm", "gru", "peephole_lstm", "layer_norm_lstm"])
def test_interruptions_change_no_bit(name, hoisted, hoist, monkeypatch, threads):
    hoist(hoisted)
    cell = CELLS[name]
    whole, *_, ragged = in_all_orders(draw(cell, 7, 19))
    for numbers in (whole, ragged):
        monkeypatch.setattr(tuning, "MAX_CALL_WORK", 1e18)
        expected = results(cell, numbers)
        for count in (1, 2):
            used = []
            with monkeypatch.context() as patch:
                patch.setattr(tuning, "MAX_CALL_WORK", 1.0)
                patch.setattr(kernels, "run_partitions", spy(kernels.run_partitions, used))
                threads(count)
                assert_same(results(cell, numbers), expected)
            for bounds, begin, end in used:
                if end != 0:  # which only sums over all rows have
                    assert end - begin == 1
                    rows = bounds[-1] - bounds[0]
                    assert rows <= 2 * count or numbers is ragged  # which are shared by length


@pytest.mark.thinned(2)
@pytest.mark.parametrize(("time", "batch"), [(0, 0), (0, 3), (4, 0), (4, 3)])
@each_cell
def test_without_a_step_states_stay_and_parameters_get_nothing(name, time, batch):
    cell = CELLS[name]
    numbers = draw(cell, 7, 19, time=time, batch=batch)
    for lengths in [torch.zeros(batch, dtype=torch.int64)] + [None] * (time * batch == 0):
        given = replace(numbers, lengths=lengths)
        outer = outer_gradients(cell, given)
        found = results(cell, given, outer=outer)
        for state, first, grad in zip(cell.states, given.states, outer[1:], strict=True):
            assert torch.equal(found[f"last {state}"], first)
            assert torch.equal(found[f"d{state}"], grad)
        for key in ("y", "dx", *[f"d{p.key}" for p in cell.parameters]):
            assert not found[key].any(), key


def test_a_hundred_thousand_steps_are_exact():
    cell = CATALOGUE["lstm"]
    results(cell, draw(cell, 4, 4, time=5, batch=1))  # compile
    numbers = draw(cell, 4, 4, time=100_000, batch=1)
    found = results(cell, numbers)
    last = numbers.with_tensors([numbers.x[-300:], *numbers.tensors[1:]])
    exact = truth(cell, last)  # what was 300 steps ago is forgotten
    for key in ("last h", "last c"):
        assert_near({key: found[key]}, {key: exact[key]}, 1e-5)


def test_what_is_not_needed_is_not_computed_and_the_rest_is_the_same():
    cell = CATALOGUE["gru"]
    numbers = draw(cell, 7, 19)
    outer = outer_gradients(cell, numbers)
    plan, given = make_plan(cell), (numbers.x, numbers.states, numbers.parameters, None)
    call = Call(plan, *given, False)
    outputs, saved = NATIVE.forward(call)
    bare, nothing = NATIVE.forward(replace(call, save=False))
    assert nothing == []
    assert torch.equal(bare.y, outputs.y)
    assert torch.equal(bare.states[0], outputs.states[0])
    grads = Outputs(outer[0], outer[1:])
    every = NATIVE.backward(call, outputs, saved, grads)
    for left_out in ("need_input", "need_parameters"):
        found = NATIVE.backward(call, outputs, saved, grads, **{left_out: False})
        assert torch.equal(found[1][0], every[1][0])
        if left_out == "need_input":
            assert found[0].numel() == 0
            assert all([torch.equal(a, b) for a, b in zip(found[2], every[2], strict=True)])
        else:
            assert torch.equal(found[0], every[0])
