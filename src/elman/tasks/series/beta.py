"""The regularised incomplete beta function, with which Student's t and counts have quantiles.

By the continued fraction of Lentz (1976) as in Press et al., Numerical Recipes (2007, 6.4).
"""

from __future__ import annotations

import math

import numpy as np

from elman.tasks.series.times import Floats

_TINY = 1e-300
#: the fraction converges in about the square root of the larger parameter
_MOST_TERMS = 20_000

_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


def regularised_beta(x: Floats, a: Floats, b: Floats) -> Floats:
    """I_x(a, b), element by element, for x from 0 to 1 and positive a and b.

    >>> regularised_beta(np.array([0.5]), np.array([2.0]), np.array([3.0])).round(6).tolist()
    [0.6875]
    """
    x, a, b = np.broadcast_arrays(x, a, b)
    swap = x > (a + 1) / (a + b + 2)
    z, p, q = np.where(swap, 1 - x, x), np.where(swap, b, a), np.where(swap, a, b)
    inside = np.clip(z, _TINY, 1.0)
    front = _log_gamma(p + q) - _log_gamma(p) - _log_gamma(q) + p * np.log(inside)
    front = front + q * np.log1p(-np.minimum(z, 1 - 1e-16))
    found = np.exp(front) * _fraction(z, p, q) / p
    found = np.where(z <= 0, 0.0, found)
    result: Floats = np.clip(np.where(swap, 1 - found, found), 0.0, 1.0)
    return result


def _fraction(x: Floats, a: Floats, b: Floats) -> Floats:
    c = np.ones_like(x)
    d = 1 / _off_zero(1 - (a + b) * x / (a + 1))
    h = d
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = np.ones_like(x)
        for term in (even, odd):
            d = 1 / _off_zero(1 + term * d)
            c = _off_zero(1 + term / c)
            change = c * d
            h = h * change
        if (abs(change - 1) < 1e-12).all():
            break
    return h


def _off_zero(x: Floats) -> Floats:
    return np.where(abs(x) < _TINY, _TINY, x)
