"""The faster number of threads is chosen, one when it is close, and nothing else changes."""

import pytest
import torch

from elman.training.threads import available_threads, choose_threads


class Machine:
    """A clock, and steps that take the given seconds by torch's number of threads."""

    def __init__(self, seconds: dict[int, list[float]]) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.order: list[int] = []

    def step(self) -> None:
        count = torch.get_num_threads()
        taken = self.order.count(count)
        times = self.seconds[count]
        self.now += times[min(taken, len(times) - 1)]
        self.order.append(count)
        torch.rand(3)

    def clock(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("one", "two", "chosen"),
    [
        ([0.010], [0.006], 2),
        ([0.010], [0.009], 1),  # not clearly faster
        ([0.010], [0.030], 1),
        ([0.5, 0.010], [0.006], 2),  # the first step warms up and does not count
        ([0.010], [1.3, 0.006], 2),  # not even when it is the longest by far
        ([0.010], [0.006, 0.006, 0.9, 0.006], 2),  # a busy moment does not count
    ],
)
def test_the_clearly_faster_number_of_threads_is_chosen(
    one: list[float], two: list[float], chosen: int
) -> None:
    machine = Machine({1: one, 2: two})
    choice = choose_threads(machine.step, most=2, clock=machine.clock)
    assert choice.threads == chosen
    assert choice.milliseconds == pytest.approx({1: 1000 * one[-1], 2: 1000 * two[-1]})


def test_the_two_take_turns_and_stop_in_time() -> None:
    machine = Machine({1: [0.2], 2: [0.2]})
    choose_threads(machine.step, most=2, seconds=1.0, clock=machine.clock)
    assert machine.order == [1, 2, 1, 2, 1, 2]
    slow = Machine({1: [30.0], 2: [20.0]})
    assert choose_threads(slow.step, most=2, clock=slow.clock).threads == 2
    assert slow.order == [1, 2]


def test_threads_and_random_numbers_are_put_back() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    machine = Machine({1: [0.1], 2: [0.1]})
    choose_threads(machine.step, most=2, clock=machine.clock)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)

    def fails() -> None:
        raise ValueError("a step that fails")

    with pytest.raises(ValueError, match="a step that fails"):
        choose_threads(fails, most=2)
    assert torch.get_num_threads() == threads


def test_the_environment_says_how_many_threads_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert available_threads() == 3
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 4, 5, 9}, raising=False)
    for nothing in ("", "0", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", nothing)
        assert available_threads() == 4


def test_where_one_thread_is_all_there_is_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    choice = choose_threads(lambda: pytest.fail("a step was made"))
    assert str(choice) == "1 thread: no more are available."
