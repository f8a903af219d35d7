"""How far a translation can be relied on: a probability, calibrated on validation data.

The mean of log p over the subwords of a translation says how sure the model is.  A logistic curve
(Platt 1999) turns it into the probability that the translation is close to a reference: that its
chrF is at least ``CLOSE``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

#: the chrF from which a translation counts as close to a reference
CLOSE = 50.0
#: fewer validation sentences say too little, and more take too long
FEWEST, MOST = 50, 300
#: below this, a translation is shown with its confidence
LOW = 0.4


def logistic_curve(means: Sequence[float], close: Sequence[bool]) -> tuple[float, float]:
    """The slope and the offset of the most likely logistic curve, with a weak prior.

    >>> slope, offset = logistic_curve([-2, -1, -1, -0.5, -0.1, -0.1], [0, 0, 1, 0, 1, 1])
    >>> confidence(-0.1, slope, offset) > 0.6 > 0.4 > confidence(-2, slope, offset)
    True
    """
    features = np.stack([np.asarray(means, float), np.ones(len(means))], 1)
    wanted = np.asarray(close, float)
    weights = np.zeros(2)
    for _ in range(50):  # Newton's method
        chances = 1 / (1 + np.exp(-(features @ weights).clip(-30, 30)))
        gradient = features.T @ (wanted - chances) - 0.1 * weights
        curvature = (features.T * (chances * (1 - chances))) @ features + 0.1 * np.eye(2)
        weights = weights + np.linalg.solve(curvature, gradient).clip(-2, 2)
    return float(weights[0]), float(weights[1])


def confidence(mean: float, slope: float, offset: float) -> float | None:
    """The probability that a translation with this mean log p is close to a reference.

    None for a model without a curve, whose slope is 0.

    >>> confidence(-1.0, 2.0, 2.0), confidence(-1.0, 0.0, 0.0)
    (0.5, None)
    """
    if slope == 0:
        return None
    return 1 / (1 + math.exp(-min(30.0, max(-30.0, slope * mean + offset))))
