"""Times that can be compared: the contestants take turns, so that a busy moment hits them all.

What a time is of is said in ``contest.py``.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Clock = Callable[[], float]


@dataclass(frozen=True)
class Timing:
    """Seconds of many runs: their median, their 10th percentile, and how many there were."""

    median: float
    tenth: float
    runs: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        """From the single runs.

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
    """Run all in turn, round after round, until ``seconds`` are over on the clock ``wall``.

    There are at least ``least`` rounds and at most ``most``.  Each time is that of ``repeat``
    calls on ``clock``, divided by ``repeat``; what takes microseconds needs many.  Nothing is
    run to warm up: whoever calls has run each before, if only to see that they agree.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    start, rounds = wall(), 0
    while rounds < least or (rounds < most and wall() - start < seconds):
        for name, run in runs.items():
            begin = clock()
            for _ in range(repeat):
                run()
            taken[name].append((clock() - begin) / repeat)
        rounds += 1
    return {name: Timing.of(times) for name, times in taken.items()}


def clock_for(threads: int) -> Clock:
    """The clock for work on this many threads.

    On one thread it is the processor time of the whole process: neighbours on the machine cannot
    lengthen it, and work that is handed to a hidden thread counts too.  On several it is the
    clock on the wall, as it is on Windows, whose processor time comes in steps of 16 ms.
    """
    return time.perf_counter if threads > 1 or os.name == "nt" else time.process_time


def geometric_mean(ratios: Sequence[float]) -> float:
    """The mean for ratios: that of 2 and 1/2 is 1.

    >>> geometric_mean([2.0, 0.5])
    1.0
    """
    return math.exp(statistics.fmean([math.log(ratio) for ratio in ratios]))
