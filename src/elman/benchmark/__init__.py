"""Compare the speed of a layer with other implementations of the same equations.

``timing`` measures times, ``fair_loop`` generates the loop that an experienced user of torch would
write, ``contestants`` wraps layers and loops with the same weights, ``contest`` checks that they
agree and times them, ``short`` is the command ``elman benchmark``.  The full benchmark, with the
engine's targets, is ``benchmarks/engine.py`` in the repository.
"""

from elman.benchmark.contest import Result, Shape, contest
from elman.benchmark.contestants import Contestant, eager_loop, elman_layer, torch_layer
from elman.benchmark.fair_loop import FairLoop, fair_loop
from elman.benchmark.machine import machine
from elman.benchmark.timing import Timing, geometric_mean, interleaved

__all__ = [
    "Contestant",
    "FairLoop",
    "Result",
    "Shape",
    "Timing",
    "contest",
    "eager_loop",
    "elman_layer",
    "fair_loop",
    "geometric_mean",
    "interleaved",
    "machine",
    "torch_layer",
]
