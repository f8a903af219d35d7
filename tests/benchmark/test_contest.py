"""Only what computes the same is timed, and what was found can be read by a program."""

import json
from dataclasses import replace

import pytest
import torch

import elman
from elman.benchmark import Contestant, Result, Shape, Timing, contest, eager_loop
from elman.benchmark.contest import difference
from elman.benchmark.contestants import rivals, torch_layer
from elman.benchmark.machine import machine, sentence
from elman.benchmark.short import row, short_benchmark
from elman.errors import OptionError

SMALL = Shape(4, 2, 3, 5)


def layer(cell=elman.cells.lstm):
    return elman.Recurrent(cell, SMALL.input, SMALL.hidden)


def result(ours, theirs):
    return Result("lstm", "training", "rival", SMALL, 1, 0.0, ours, theirs)


def test_a_ratio_is_the_rivals_time_by_elmans():
    one = result(Timing(2.0, 1.0, 9), Timing(5.0, 4.0, 9))
    assert (one.ratio, one.ratio_tenth) == (2.5, 4.0)


@pytest.mark.parametrize("work", ["training", "inference"])
def test_a_rival_with_other_weights_is_not_timed(work):
    ours = layer()
    wrong = replace(torch_layer(layer()), name="wrong")
    found = contest(ours, [wrong, eager_loop(ours)], SMALL, work, 1, 0.0)
    assert [(one.rival, one.agrees) for one in found] == [("wrong", False), ("eager loop", True)]
    assert found[0].difference > 1e-3
    assert found[0].ours is None
    assert "not timed" in row(found[0])[-1]
    assert "ratio" not in found[0].record()


def test_a_rival_with_a_wrong_gradient_alone_is_not_timed():
    ours = layer()
    right = eager_loop(ours)

    def forward(x):
        y = right.forward(x)
        return y.detach() + 2 * (y - y.detach())

    [found] = contest(ours, [replace(right, forward=forward)], SMALL, "training", 1, 0.0)
    assert found.difference == pytest.approx(1.0, rel=1e-4)
    [found] = contest(ours, [replace(right, forward=forward)], SMALL, "inference", 1, 0.0)
    assert found.agrees


def test_other_equations_are_timed_only_where_that_is_said():
    module = torch.nn.GRU(SMALL.input, SMALL.hidden)
    other = Contestant("other", list(module.parameters()), lambda x: module(x)[0], lambda p: [])
    gru = layer(elman.cells.gru)
    [found] = contest(gru, [other], SMALL, "inference", 1, 0.0)
    assert not found.agrees
    [found] = contest(gru, [replace(other, comparable=False)], SMALL, "training", 1, 0.0)
    assert found.agrees


@pytest.mark.parametrize("work", ["training", "inference"])
@pytest.mark.parametrize(("step", "agrees"), [(31, False), (32, True)])
def test_values_are_compared_over_the_first_steps(work, step, agrees):
    ours, shape = layer(), Shape(40, 2, 3, 5)
    right = eager_loop(ours)

    def forward(x):  # as rounding grows from step to step, in a cell that is chaotic
        y = right.forward(x)
        return y * torch.where(torch.arange(len(y)) < step, 1.0, 7.0)[:, None, None]

    [found] = contest(ours, [replace(right, forward=forward)], shape, work, 1, 0.0)
    assert found.agrees == agrees


def test_torchs_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    contest(layer(), [], SMALL, "inference", before + 1, 0.0)
    assert torch.get_num_threads() == before


def test_a_difference_is_relative_and_numbers_that_are_none_are_no_agreement():
    zeros, nan = torch.zeros(2), torch.tensor([1.0, float("nan")])
    assert difference({"y": torch.tensor([6.0, -8.0])}, {"y": torch.tensor([6.0, -5.5])}) == 0.25
    assert difference({"y": zeros}, {"y": zeros}) == 0.0
    both = {"y": torch.tensor([8.0]), "dx": torch.tensor([0.0])}
    assert difference(both, {**both, "dx": torch.tensor([0.004])}) == pytest.approx(0.5)
    assert difference({"y": zeros}, {"y": zeros + 1}) == float("inf")
    assert difference({"y": torch.ones(2)}, {"y": nan}) == float("inf")


def test_the_short_benchmark_reports_every_comparison():
    told = []
    before = torch.get_rng_state()
    report = short_benchmark(
        elman.cells.lstm, [1, 2], shapes=[SMALL], seconds=0.0, tell=told.append
    )
    assert torch.equal(before, torch.get_rng_state())
    assert list(report.results) == told
    assert {(r.threads, r.work, r.rival) for r in told} == {
        (threads, work, rival)
        for threads in (1, 2)
        for work in ("training", "inference")
        for rival in ("torch.nn.LSTM", "eager loop")
    }
    record = json.loads(json.dumps(report.record(), allow_nan=False))
    assert record["engine"].startswith("Recurrent(lstm): native engine (")
    assert record["results"][0]["shape"] == list(SMALL)
    assert record["results"][0]["ratio"] == told[0].ratio
    assert record["machine"]["torch"] == torch.__version__


def test_a_cell_that_torch_lacks_stands_beside_the_loop_alone():
    assert [one.name for one in rivals(layer(elman.cells.coupled_lstm))] == ["eager loop"]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(
    ("name", "options", "rivals", "words"),
    [
        ("gru_d", {}, {"eager loop"}, ""),
        ("orthogonal_rnn", {}, {"eager loop"}, ""),
        ("delta_net", {}, {"eager loop"}, "4 heads of as many keys as units."),
        ("mlstm", {"heads": 2, "key_size": 3}, {"eager loop"}, "2 heads of 3 keys."),
        ("lstmp", {"sizes": {"projection": 3}}, {"torch.nn.LSTM", "eager loop"}, "projection 3."),
        ("scrn", {"sizes": {"context": 3}}, {"eager loop"}, "context 3."),
    ],
)
def test_cells_of_every_kind_are_measured_beside_their_rivals(name, options, rivals, words):
    report = short_benchmark(
        elman.cells.ALL[name], [1], shapes=[Shape(4, 2, 3, 8)], seconds=0.0, **options
    )
    assert {result.rival for result in report.results} == rivals
    assert all([result.agrees for result in report.results])
    assert report.words == words
    json.dumps(report.record(), allow_nan=False)


def test_heads_of_a_cell_without_a_matrix_state_are_refused():
    with pytest.raises(OptionError, match="heads and key_size are for cells with a matrix state"):
        short_benchmark(elman.cells.gru, [1], heads=2)


def test_a_loop_with_wrong_side_inputs_is_not_timed():
    ours = layer(elman.cells.cfc)
    right = eager_loop(ours)
    wrong = replace(right, forward=lambda x, dt: right.forward(x, dt=dt + 1))
    [found] = contest(ours, [wrong], SMALL, "inference", 1, 0.0)
    assert not found.agrees


def test_the_machine_is_described_in_one_line():
    found = machine()
    assert found["elman"] in sentence(found)
    assert str(found["cores"]) in sentence(found)
