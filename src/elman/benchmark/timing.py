"""Comparable times: the contestants run in turn, so that a busy machine affects all of them."""

from __future__ import annotations

import math
import os
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Clock = Callable[[], float]


@dataclass(frozen=True)
class Timing:
    """Seconds of many runs: the median, the 10th percentile, and the number of runs."""

    median: float
    tenth: float
    runs: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        """Summarise the times of single runs.

        >>> Timing.of([3.0, 1.0, 2.0])
        Timing(median=2.0, tenth=1.2, runs=3)
        """
        ordered = sorted(seconds)
        place = 0.1 * (len(ordered) - 1)
        below = ordered[int(place)]
        above = ordered[min(int(place) + 1, len(ordered) - 1)]
        tenth = below + (above - below) * (place - int(place))
        return cls(statistics.median(ordered), tenth, len(ordered))


def interleaved(
    runs: Mapping[str, Callable[[], object]],
    seconds: float,
    *,
    least: int = 3,
    most: int = 300,
    repeat: int = 1,
    clock: Clock = time.perf_counter,
    wall: Clock = time.perf_counter,
) -> dict[str, Timing]:
    """Run all in rounds, until ``seconds`` have passed on the clock ``wall``.

    The order is drawn anew in each round: what runs before changes caches and branch predictors, so
    a fixed order favours some.  There are ``least`` to ``most`` rounds.  Each time is that of
    ``repeat`` calls on ``clock``, divided by ``repeat``; calls of a few microseconds need many.
    There is no warm-up: run each function before, such as to check that they agree.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    start, rounds, draw = wall(), 0, random.Random(0)
    while rounds < least or (rounds < most and wall() - start < seconds):
        for name, run in draw.sample([*runs.items()], len(runs)):
            begin = clock()
            for _ in range(repeat):
                run()
            taken[name].append((clock() - begin) / repeat)
        rounds += 1
    return {name: Timing.of(times) for name, times in taken.items()}


def clock_for(threads: int) -> Clock:
    """The clock for work on this many threads.

    For one thread it is the CPU time of the whole process, which other processes do not affect and
    which includes work on hidden threads.  For several threads it is the wall clock, also on
    Windows, where CPU time has a resolution of 16 ms.
    """
    return time.perf_counter if threads > 1 or os.name == "nt" else time.process_time


def geometric_mean(ratios: Sequence[float]) -> float:
    """The geometric mean of ratios.

    >>> geometric_mean([2.0, 0.5])
    1.0
    """
    return math.exp(statistics.fmean([math.log(ratio) for ratio in ratios]))
