"""Exact Jacobians of a cell's steps, and the product of many of them.

∂(next states)/∂(states) is a matrix with a row and a column for each unit of each state.  The
adjoint step computes it, with the rows of the identity as seeds.  The gradient at distance k is
multiplied by the product of the last k Jacobians: its largest singular value bounds the growth of
a gradient, its smallest the decay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elman.diagnose.whole import AnyTrajectory

#: rows of Jacobians computed at once
ROWS_AT_ONCE = 8192
#: Jacobians of more values of a row are not computed, as of a matrix state of 64 units and keys
WIDEST = 1024
#: distances with singular values, and steps with eigenvalues; fewer if a Jacobian is wider than
#: ``WIDE``, because the work is cubic in its width
PLACES, WIDE = 32, 256


@dataclass(frozen=True)
class Jacobians:
    """The spectrum of products of Jacobians, from the last step of some sequences backwards.

    ``largest`` and ``smallest`` are (distances, sequences): singular values of ∂(states at the
    end)/∂(states ``distances`` steps before).  ``spectral_radius`` is (steps, sequences): the
    largest magnitude of an eigenvalue of one step's Jacobian.  NaN after a sequence's end.
    """

    distances: NDArray[np.int64]
    largest: NDArray[np.float64]
    smallest: NDArray[np.float64]
    steps: NDArray[np.int64]
    spectral_radius: NDArray[np.float64]


@torch.no_grad()
def step_jacobians(trajectory: AnyTrajectory, sequence: int) -> Tensor:
    """∂(next states)/∂(states) of each step of a sequence, (steps, states * hidden, the same).

    States are concatenated in the cell's order.

    >>> import elman
    >>> from elman.diagnose.trajectory import run_in_float64
    >>> layer = elman.Recurrent(elman.cells.lstm, 2, 3)
    >>> parameters = [p for p in layer.parameters()]
    >>> start = [torch.zeros(1, 3), torch.zeros(1, 3)]
    >>> x, length = torch.randn(5, 1, 2), torch.tensor([5])
    >>> step_jacobians(run_in_float64(layer.cell, parameters, x, start, length), 0).shape
    torch.Size([5, 6, 6])
    """
    widths = [state.shape[-1] for state in trajectory.states]
    width, length = sum(widths), int(trajectory.lengths[sequence])
    identity = torch.eye(width, dtype=torch.float64)
    at_once = max(1, ROWS_AT_ONCE // width)
    parts = []
    for start in range(0, length, at_once):
        steps = torch.arange(start, min(start + at_once, length))
        rows = (steps * trajectory.batch + sequence).repeat_interleave(width)
        seeds = identity.repeat(len(steps), 1).split(widths, 1)
        entering, _ = trajectory.step_back(rows, seeds)
        parts.append(torch.cat(entering, 1).reshape(len(steps), width, width))
    return torch.cat(parts) if parts else identity.new_zeros(0, width, width)


def spectrum(trajectory: AnyTrajectory, sequences: list[int], distance: int) -> Jacobians:
    """Singular values of products and spectral radii of steps, of some sequences.

    The smallest singular value is the inverse of the largest one of the inverse product, whose
    rounding errors do not hide it; where a step cannot be inverted, it is 0.
    """
    distance = min(distance, int(trajectory.lengths[sequences].max()))
    width = sum([state.shape[-1] for state in trajectory.states])
    most = max(4, PLACES * WIDE // max(WIDE, width))
    distances = _spread(1, distance, most)
    steps = _spread(0, int(trajectory.lengths[sequences].max()) - 1, most)
    largest = np.full((len(distances), len(sequences)), math.nan)
    smallest, radius = largest.copy(), np.full((len(steps), len(sequences)), math.nan)
    for column, sequence in enumerate(sequences):
        jacobians = step_jacobians(trajectory, sequence)
        for row, step in enumerate(steps):
            if step < len(jacobians):
                radius[row, column] = float(torch.linalg.eigvals(jacobians[step]).abs().max())
        found = _extremes(jacobians, {int(k) for k in distances})
        for row, k in enumerate(distances):
            largest[row, column], smallest[row, column] = found.get(int(k), (math.nan, math.nan))
    return Jacobians(distances, largest, smallest, steps, radius)


def _extremes(jacobians: Tensor, distances: set[int]) -> dict[int, tuple[float, float]]:
    """The largest and smallest singular value of the product of the last k, for each distance k."""
    found: dict[int, tuple[float, float]] = {}
    identity = torch.eye(jacobians.shape[-1], dtype=torch.float64)
    product, product_log, inverse, inverse_log = identity, 0.0, identity, 0.0
    invertible = True
    for k, step in enumerate(reversed(jacobians), 1):
        # matrices are normalised, and the logarithms of their norms stored separately
        product, product_log = _scaled(product @ step, product_log)
        if invertible:
            solved, problem = torch.linalg.solve_ex(step, inverse)
            invertible = not int(problem) and bool(torch.isfinite(solved).all())
            if invertible:
                inverse, inverse_log = _scaled(solved, inverse_log)
        if k in distances:
            found[k] = (
                _exp(product_log) * _largest(product),
                1 / (_exp(inverse_log) * _largest(inverse)) if invertible else 0.0,
            )
    return found


def _scaled(matrix: Tensor, log: float) -> tuple[Tensor, float]:
    size = float(matrix.norm())
    return (matrix / size, log + math.log(size)) if size else (matrix, log)


def _exp(log: float) -> float:
    return math.exp(log) if log < 709 else math.inf


def _largest(matrix: Tensor) -> float:
    return float(torch.linalg.matrix_norm(matrix, 2))


def _spread(first: int, last: int, most: int) -> NDArray[np.int64]:
    """At most ``most`` integers from ``first`` to ``last``, evenly."""
    return np.unique(np.linspace(first, max(first, last), most).round().astype(np.int64))
