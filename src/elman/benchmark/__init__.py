"""How fast a layer is, beside what else could run the same equations.

``timing`` takes the times, ``fair_loop`` writes the loop that a good user of torch would write,
``contestants`` are layers and loops with the same weights, ``contest`` holds that they agree
and times them, ``short`` is the command ``elman benchmark``.  The long form, with the engine's
targets, is ``benchmarks/engine.py`` of the repository.
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
