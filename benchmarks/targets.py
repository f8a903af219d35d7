"""The speed targets of the engine, and whether they are met.

A ratio is Elman's speed-up over the rival; targets of time are in milliseconds.  ``engine.py``
measures the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from elman.benchmark import geometric_mean

Verdict = Literal["missed", "met", "hoped for", ""]


@dataclass(frozen=True)
class Bound:
    """The required value and the goal; ``None`` means no bound."""

    required: float | None = None
    hoped: float | None = None


@dataclass(frozen=True)
class Target:
    """A row of the table: bounds for each value, and for the geometric mean of all values."""

    title: str
    each: Bound
    mean: Bound = Bound()
    at_most: bool = False
    unit: str = "×"


@dataclass(frozen=True)
class Summary:
    """The result of a target for a number of threads.

    ``differing`` rivals computed different values: they are excluded, and the target is missed.
    ``worst`` and ``mean`` are ``None`` if no rival remains.
    """

    target: Target
    threads: int
    values: int
    differing: int
    worst: float | None
    mean: float | None
    verdict: Verdict


TARGETS = {
    "lstm training": Target("LSTM training, torch.nn.LSTM", Bound(1.0), Bound(1.10, 1.2)),
    "lstm inference": Target("LSTM inference, torch.nn.LSTM", Bound(1.10, 1.25)),
    "gru training": Target("GRU training, torch.nn.GRU, batch 16 and more", Bound(1.3, 1.8)),
    "gru inference": Target("GRU inference, torch.nn.GRU, batch 16 and more", Bound(1.4, 2.0)),
    "gru training, batch 1": Target("GRU training, torch.nn.GRU, batch 1", Bound(10, 14)),
    "any cell": Target(
        "any cell's training, eager loop, batch 16 and more", Bound(), Bound(1.8, 2.2)
    ),
    "any cell, batch 1": Target("any cell's training, eager loop, batch 1", Bound(12, 16)),
    "jax": Target("training, JAX's scan", Bound(1.1), Bound(1.4, 1.7)),
    "onnx lstm": Target("LSTM inference, ONNX Runtime", Bound(1.0, 1.1)),
    "onnx gru": Target("GRU inference, ONNX Runtime", Bound(1.1, 1.25)),
    "step 64": Target("one step, ONNX Runtime, hidden 64", Bound(4, 6)),
    "step 128": Target("one step, ONNX Runtime, hidden 128", Bound(2.5, 3.3)),
    "step 256": Target("one step, ONNX Runtime, hidden 256", Bound(1.6, 2)),
    "step 512": Target("one step, ONNX Runtime, hidden 512", Bound(1.3, 1.5)),
    "trained step": Target("training step by step, torch.nn.LSTMCell, hidden 64", Bound(1, 2)),
    "ragged": Target(
        "ragged batch, its padded time × its share of valid steps", Bound(1.1), at_most=True
    ),
    # timing the same kernel twice differs by a few per cent
    "own cell": Target("a user's own cell, the catalogue's", Bound(0.95)),
    "compile": Target("the first call of a new kernel", Bound(300, 100), at_most=True, unit="ms"),
    "load": Target("the first call of a kernel in the cache", Bound(5), at_most=True, unit="ms"),
    "bf16 own": Target("bfloat16, Elman's float32", Bound(1.8, 1.95)),
    "bf16 torch": Target("bfloat16, torch.nn.LSTM in bfloat16", Bound(1.1, 1.2)),
}


def verdict(value: float, bound: Bound, at_most: bool = False) -> Verdict:
    """Whether a value reaches the required bound or the goal; "" if there is no bound.

    >>> verdict(1.2, Bound(1.1, 1.3)), verdict(4.0, Bound(5, 2), at_most=True)
    ('met', 'met')
    """
    sign = -1 if at_most else 1
    if bound.required is None:
        return ""
    if not sign * value >= sign * bound.required:  # NaN counts as missed
        return "missed"
    if bound.hoped is not None and sign * value >= sign * bound.hoped:
        return "hoped for"
    return "met"


def summarise(target: Target, threads: int, values: Sequence[float], differing: int = 0) -> Summary:
    """Summarise a target: it is met if every value and the mean reach the required bounds."""
    if not values:
        return Summary(target, threads, 0, differing, None, None, "missed")
    worst = max(values) if target.at_most else min(values)
    mean = geometric_mean(values)
    parts = [verdict(worst, target.each, target.at_most), verdict(mean, target.mean)]
    # a bound without a goal does not prevent "hoped for"
    asked = [
        part
        for part, bound in zip(parts, (target.each, target.mean), strict=True)
        if part and (part == "missed" or bound.hoped is not None)
    ] or [part for part in parts if part]
    order: Sequence[Verdict] = ("missed", "met", "hoped for")
    found: Verdict = "missed" if differing else min(asked, key=order.index)
    return Summary(target, threads, len(values), differing, worst, mean, found)
