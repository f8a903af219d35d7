"""What a forecast says of a value: quantiles, or the parameters of a distribution.

The network's outputs are parameters in units of the scale of its window, around the anchor.  Each
class gives the loss of values and the quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from elman.tasks.series.beta import regularised_beta
from elman.tasks.series.times import Floats

#: keeps scales above zero
_LEAST = 1e-3

Parameters = Float[Tensor, "*step target parameter"]
Values = Float[Tensor, "*step target"]
#: a generator for each part of the rows
Draws = Sequence[np.random.Generator]


class Distribution(Protocol):
    """The distribution of one value."""

    @property
    def start(self) -> Sequence[float]:
        """The parameters with which training begins, one for each output."""

    def loss(
        self, parameters: Parameters, anchor: Values, target: Values, mean: Values, std: Values
    ) -> Values:
        """The loss of each value; ``target`` has no NaN."""

    def quantiles(
        self,
        parameters: Parameters,
        anchor: Values,
        mean: Values,
        std: Values,
        levels: Sequence[float],
    ) -> Floats:
        """(step, target, level): the quantiles."""

    def sample(
        self, parameters: Parameters, anchor: Values, mean: Values, std: Values, draws: Draws
    ) -> Values:
        """(row, target): a value of each distribution; each generator draws for as many rows."""


class Quantiles:
    """Quantiles by the pinball loss (Koenker and Bassett 1978), sorted where they cross.

    Sorting never makes them worse (Chernozhukov et al. 2010).
    """

    def __init__(self, levels: Sequence[float]) -> None:
        self.levels = tuple(levels)

    @property
    def start(self) -> Sequence[float]:
        return [0.5 * math.sqrt(2) * _erfinv(2 * level - 1) for level in self.levels]

    def loss(
        self, parameters: Parameters, anchor: Values, target: Values, mean: Values, std: Values
    ) -> Values:
        """The mean pinball loss over all levels, twice: an estimate of the CRPS."""
        error = ((target - mean) / std - anchor)[..., None] - parameters
        levels = torch.tensor(self.levels, dtype=error.dtype)
        return 2 * torch.maximum(levels * error, (levels - 1) * error).mean(-1)

    def quantiles(
        self,
        parameters: Parameters,
        anchor: Values,
        mean: Values,
        std: Values,
        levels: Sequence[float],
    ) -> Floats:
        """The quantiles of training; ``levels`` are the same."""
        found = (parameters.sort(-1).values + anchor[..., None]) * std[..., None] + mean[..., None]
        return found.double().numpy()

    def sample(
        self, parameters: Parameters, anchor: Values, mean: Values, std: Values, draws: Draws
    ) -> Values:
        """By interpolation between the quantiles; the tails go on as straight lines."""
        found = parameters.sort(-1).values
        if len(self.levels) > 1:
            levels = torch.tensor(self.levels, dtype=found.dtype)
            drawn = _drawn(draws, anchor, lambda each, shape: each.random(shape))
            above = torch.searchsorted(levels, drawn).clamp(1, len(levels) - 1)
            low, high = [found.gather(-1, at[..., None])[..., 0] for at in (above - 1, above)]
            part = (drawn - levels[above - 1]) / (levels[above] - levels[above - 1])
            middle = low + part * (high - low)
        else:
            middle = found[..., 0]
        return (middle + anchor) * std + mean


class Gaussian:
    """A normal distribution."""

    start = (0.0, 0.5)

    def loss(
        self, parameters: Parameters, anchor: Values, target: Values, mean: Values, std: Values
    ) -> Values:
        """The negative log likelihood in units of the window."""
        scale = softplus(parameters[..., 1]) + _LEAST
        z = ((target - mean) / std - anchor - parameters[..., 0]) / scale
        return 0.5 * z.square() + scale.log() + 0.5 * math.log(2 * math.pi)

    def quantiles(
        self,
        parameters: Parameters,
        anchor: Values,
        mean: Values,
        std: Values,
        levels: Sequence[float],
    ) -> Floats:
        """Location plus scale times the quantiles of the standard normal."""
        scale = (softplus(parameters[..., 1]) + _LEAST).double()
        z = torch.tensor([math.sqrt(2) * _erfinv(2 * level - 1) for level in levels])
        found = (anchor + parameters[..., 0])[..., None] + scale[..., None] * z
        return (found * std[..., None] + mean[..., None]).double().numpy()

    def sample(
        self, parameters: Parameters, anchor: Values, mean: Values, std: Values, draws: Draws
    ) -> Values:
        """Location plus scale times a standard normal number."""
        scale = softplus(parameters[..., 1]) + _LEAST
        z = _drawn(draws, anchor, lambda each, shape: each.standard_normal(shape))
        return (anchor + parameters[..., 0] + scale * z) * std + mean


class StudentT:
    """Student's t distribution, with more than two degrees of freedom."""

    start = (0.0, 0.5, 2.0)

    def _parts(self, parameters: Parameters) -> tuple[Tensor, Tensor]:
        return softplus(parameters[..., 1]) + _LEAST, 2 + softplus(parameters[..., 2])

    def loss(
        self, parameters: Parameters, anchor: Values, target: Values, mean: Values, std: Values
    ) -> Values:
        """The negative log likelihood in units of the window."""
        scale, freedom = self._parts(parameters)
        z = ((target - mean) / std - anchor - parameters[..., 0]) / scale
        constant = torch.lgamma((freedom + 1) / 2) - torch.lgamma(freedom / 2)
        density = constant - 0.5 * (freedom * math.pi).log() - scale.log()
        return (freedom + 1) / 2 * torch.log1p(z.square() / freedom) - density

    def quantiles(
        self,
        parameters: Parameters,
        anchor: Values,
        mean: Values,
        std: Values,
        levels: Sequence[float],
    ) -> Floats:
        """Location plus scale times the quantiles of the standard t."""
        scale, freedom = [each.double().numpy() for each in self._parts(parameters)]
        location = (anchor + parameters[..., 0]).double().numpy()
        found = [location + scale * student_quantile(level, freedom) for level in levels]
        wide: Floats = np.stack(found, -1) * std.double().numpy()[..., None]
        wide += mean.double().numpy()[..., None]
        return wide

    def sample(
        self, parameters: Parameters, anchor: Values, mean: Values, std: Values, draws: Draws
    ) -> Values:
        """Location plus scale times a number of the standard t distribution."""
        scale, freedom = self._parts(parameters)
        z = _drawn(draws, anchor, lambda each, _, own: each.standard_t(own), freedom)
        return (anchor + parameters[..., 0] + scale * z) * std + mean


class NegativeBinomial:
    """The negative binomial distribution of counts, by mean and dispersion (DeepAR's, 2020).

    The mean is a softplus of the parameter, so that it is positive; 0 gives the anchor.
    """

    start = (0.0, 0.0)

    def _parts(
        self, parameters: Parameters, anchor: Values, mean: Values, std: Values
    ) -> tuple[Tensor, Tensor]:
        """The expected count and the dispersion: the variance is m + a m^2."""
        base = ((anchor * std + mean) / std).clamp_min(0.05)
        # the inverse of softplus
        expected = std * softplus(parameters[..., 0] + base + torch.log(-torch.expm1(-base)))
        return expected + 1e-6, softplus(parameters[..., 1]) + 1e-6

    def loss(
        self, parameters: Parameters, anchor: Values, target: Values, mean: Values, std: Values
    ) -> Values:
        """The negative log likelihood."""
        expected, dispersion = self._parts(parameters, anchor, mean, std)
        r = 1 / dispersion
        log_p = torch.lgamma(target + r) - torch.lgamma(r) - torch.lgamma(target + 1)
        log_p = log_p - r * torch.log1p(dispersion * expected)
        return -(log_p + target * (dispersion * expected / (1 + dispersion * expected)).log())

    def quantiles(
        self,
        parameters: Parameters,
        anchor: Values,
        mean: Values,
        std: Values,
        levels: Sequence[float],
    ) -> Floats:
        """The smallest counts that are reached with these probabilities."""
        expected, dispersion = [
            each.double().numpy() for each in self._parts(parameters, anchor, mean, std)
        ]
        return np.stack([count_quantile(level, expected, dispersion) for level in levels], -1)

    def sample(
        self, parameters: Parameters, anchor: Values, mean: Values, std: Values, draws: Draws
    ) -> Values:
        """Counts."""
        expected, dispersion = self._parts(parameters, anchor, mean, std)
        return _drawn(
            draws,
            anchor,
            lambda each, _, r, p: each.negative_binomial(r, p),
            1 / dispersion,
            1 / (1 + dispersion * expected),
        )


def _drawn(draws: Draws, like: Values, draw: Callable[..., Floats], *parameters: Values) -> Values:
    """Random numbers of the shape of ``like``, each part of the rows by a generator of its own."""
    count = len(like) // len(draws)
    parts = [
        draw(each, (count, *like.shape[1:]), *[own.double().numpy() for own in one])
        for each, *one in zip(draws, *[every.split(count) for every in parameters], strict=True)
    ]
    return torch.from_numpy(np.concatenate(parts)).to(like.dtype)


def _erfinv(x: float) -> float:
    return float(torch.erfinv(torch.tensor(x, dtype=torch.float64)))


def student_quantile(level: float, freedom: Floats) -> Floats:
    """The quantile of Student's t for each number of degrees of freedom.

    >>> student_quantile(0.975, np.array([3.0, 10.0])).round(4).tolist()
    [3.1824, 2.2281]
    """
    if level == 0.5:
        return np.zeros_like(freedom)
    tail = min(level, 1 - level)
    low, high = np.zeros_like(freedom), np.full_like(freedom, 1.0)

    def above(t: Floats) -> Floats:
        return 0.5 * regularised_beta(freedom / (freedom + t * t), freedom / 2, 0.5 + 0 * freedom)

    while (wide := above(high) > tail).any():
        high = np.where(wide, 2 * high, high)
    for _ in range(60):
        middle = (low + high) / 2
        beyond = above(middle) > tail
        low, high = np.where(beyond, middle, low), np.where(beyond, high, middle)
    return (high + low) / 2 * (1 if level > 0.5 else -1)


def count_quantile(level: float, expected: Floats, dispersion: Floats) -> Floats:
    """The smallest count with at least this probability up to it, for each distribution.

    >>> count_quantile(0.5, np.array([3.0, 40.0]), np.array([0.5, 0.1])).tolist()
    [2.0, 39.0]
    """
    r = 1 / dispersion
    p = 1 / (1 + dispersion * expected)

    def reached(count: Floats) -> Floats:
        return np.where(count < 0, 0.0, regularised_beta(p, r, np.maximum(count, 0) + 1))

    low, high = np.full_like(expected, -1.0), np.maximum(np.ceil(expected), 1.0)
    while (short := reached(high) < level).any():
        high = np.where(short, 2 * high, high)
    while (high - low > 1.5).any():
        middle = np.floor((low + high) / 2)
        enough = reached(middle) >= level
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high


def distribution_of(likelihood: str, levels: Sequence[float]) -> Distribution:
    """The distribution that the option ``likelihood`` names."""
    known: dict[str, Distribution] = {
        "gaussian": Gaussian(),
        "student_t": StudentT(),
        "negative_binomial": NegativeBinomial(),
    }
    return known.get(likelihood, Quantiles(levels))
