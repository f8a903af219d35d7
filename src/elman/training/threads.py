"""The fastest number of threads, measured on real training steps.

Small recurrent models often train several times faster with one thread than with all: threads that
wait for each other on a busy machine cost more than they gain.  The result depends on the machine,
so the steps themselves are timed for about a second.
"""

import copy
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from elman.training.optimizers import make_optimizer, take_step
from elman.training.options import LoopOptions
from elman.training.processes import LossModule

# More threads occupy more of the machine, so they must be clearly faster.
CLEARLY_FASTER = 0.85


@dataclass(frozen=True)
class ThreadChoice:
    """The chosen number of threads, and the milliseconds per step for each number tried."""

    threads: int
    milliseconds: dict[int, float]

    def __str__(self) -> str:
        """One line for the user.

        >>> print(ThreadChoice(1, {1: 12.04, 2: 31.5}))
        1 thread: a step takes 12.0 ms with 1 thread, 31.5 ms with 2 threads.
        >>> print(ThreadChoice(1, {}))
        1 thread: no more are available.
        """
        chosen = number_of_threads(self.threads)
        if not self.milliseconds:
            return f"{chosen}: no more are available."
        times = [
            f"{ms:.1f} ms with {number_of_threads(count)}"
            for count, ms in self.milliseconds.items()
        ]
        return f"{chosen}: a step takes {', '.join(times)}."


def number_of_threads(count: int) -> str:
    """The count with its noun.

    >>> number_of_threads(1), number_of_threads(2)
    ('1 thread', '2 threads')
    """
    return f"{count} thread" if count == 1 else f"{count} threads"


def available_threads() -> int:
    """``OMP_NUM_THREADS`` if it is set, otherwise the cores that this process may use.

    Launchers of several processes set it so that each uses only its part of the machine.
    """
    setting = os.environ.get("OMP_NUM_THREADS", "")
    if setting.isdecimal() and int(setting) >= 1:
        return int(setting)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_threads(
    step: Callable[[], None],
    *,
    most: int | None = None,
    seconds: float = 1.0,
    rounds: int = 15,
    clock: Callable[[], float] = time.perf_counter,
) -> ThreadChoice:
    """Time ``step`` with one thread and with ``most`` (default: all), and choose the faster.

    The two alternate, so that a busy moment of the machine affects both.  Medians are compared, and
    one thread wins unless more are at least 15 % faster.  The first round is a warm-up.  Timing
    ends after ``rounds`` more, after one more if ``seconds`` have passed by then, or with the
    warm-up if that took three times as long.  ``step`` should work on a copy of the model because
    it runs many times.  torch's number of threads and its generator are restored afterwards.

    >>> choose_threads(lambda: None, most=1)
    ThreadChoice(threads=1, milliseconds={})
    """
    many = available_threads() if most is None else most
    if many <= 1:
        return ThreadChoice(1, {})
    before = torch.get_num_threads()
    times: dict[int, list[float]] = {1: [], many: []}
    try:
        with torch.random.fork_rng(devices=[]):
            start = clock()
            while True:
                done, taken = len(times[many]), clock() - start
                if done > rounds or (done >= 2 and taken >= seconds):
                    break
                if done == 1 and taken >= 3 * seconds:  # steps too long for a round without warm-up
                    break
                for count, measured in times.items():
                    torch.set_num_threads(count)
                    begin = clock()
                    step()
                    measured.append(clock() - begin)
    finally:
        torch.set_num_threads(before)
    median = {  # without the first step of each, which warms caches, if there are more
        count: 1000 * statistics.median(measured[1:] or measured)
        for count, measured in times.items()
    }
    return ThreadChoice(many if median[many] < CLEARLY_FASTER * median[1] else 1, median)


def choose_training_threads(
    model: nn.Module, options: LoopOptions, batch: dict[str, Tensor]
) -> ThreadChoice:
    """Time training steps on ``batch`` with a throw-away copy of ``model``, and choose."""
    trial = copy.deepcopy(model).train()
    loss_of, optimizer = LossModule(trial), make_optimizer(trial, options)

    def step() -> None:
        optimizer.zero_grad()
        loss_of(batch).backward()
        take_step(optimizer)

    return choose_threads(step)
