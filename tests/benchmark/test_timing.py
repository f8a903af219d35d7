"""Contestants take turns, and a figure is what its definition says."""

import os
import time

import pytest

from elman.benchmark import Timing, geometric_mean, interleaved
from elman.benchmark.timing import clock_for


class Machine:
    """A clock, and runs that take the given seconds on it."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def run(self, name, *seconds):
        def one():
            taken = self.order.count(name)
            self.now += seconds[min(taken, len(seconds) - 1)]
            self.order.append(name)

        return one

    def clock(self):
        return self.now

    def time(self, runs, seconds, **options):
        clocks = {"clock": self.clock, "wall": self.clock}
        return interleaved(runs, seconds, **{**clocks, **options})


def test_the_contestants_take_turns_in_an_order_drawn_anew():
    machine = Machine()
    runs = {"a": machine.run("a", 1.0), "b": machine.run("b", 2.0)}
    times = machine.time(runs, 0.0, least=8)
    rounds = [machine.order[k : k + 2] for k in range(0, 16, 2)]
    assert all(sorted(each) == ["a", "b"] for each in rounds)
    assert ["a", "b"] in rounds
    assert ["b", "a"] in rounds
    assert times == {"a": Timing(1.0, 1.0, 8), "b": Timing(2.0, 2.0, 8)}


@pytest.mark.parametrize(
    ("seconds", "least", "most", "rounds"),
    [(0.0, 4, 9, 4), (5.0, 1, 99, 5), (5.5, 1, 99, 6), (100.0, 1, 7, 7), (100.0, 9, 7, 9)],
)
def test_the_rounds_end_with_the_time_within_their_bounds(seconds, least, most, rounds):
    machine = Machine()
    times = machine.time({"a": machine.run("a", 1.0)}, seconds, least=least, most=most)
    assert times["a"].runs == rounds


def test_short_work_is_repeated_within_one_time():
    machine = Machine()
    times = machine.time({"a": machine.run("a", 0.25)}, 0.0, least=2, repeat=8)
    assert len(machine.order) == 16
    assert times["a"] == Timing(0.25, 0.25, 2)


def test_a_burst_on_the_machine_does_not_move_the_median():
    machine = Machine()
    runs = {"a": machine.run("a", 1.0, 50.0, 1.0), "b": machine.run("b", 2.0, 80.0, 2.0)}
    times = machine.time(runs, 0.0, least=5)
    assert (times["a"].median, times["b"].median) == (1.0, 2.0)


def test_the_tenth_percentile_lies_between_runs():
    assert Timing.of([float(k) for k in range(11, 0, -1)]) == Timing(6.0, 2.0, 11)
    assert Timing.of([7.0]) == Timing(7.0, 7.0, 1)


def test_ratios_that_cancel_have_the_mean_one():
    assert geometric_mean([4.0, 0.25, 1.0]) == pytest.approx(1.0)
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)


def test_one_thread_is_timed_by_work_and_several_by_the_clock_on_the_wall(monkeypatch):
    assert clock_for(2) is time.perf_counter
    monkeypatch.setattr(os, "name", "posix")
    assert clock_for(1) is time.process_time
    monkeypatch.setattr(os, "name", "nt")
    assert clock_for(1) is time.perf_counter
