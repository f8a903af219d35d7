"""Step by step: each step of a forecast reads the one before it (a recursive forecast).

In training the decoder reads the true value of the step before (teacher forcing; Williams and
Zipser 1989).  To forecast, it reads its own: sample paths are drawn step by step, as DeepAR does
(Salinas, Flunkert, Gasthaus and Januschowski 2020), and the quantiles are those of the paths.  The
direct forecast of all steps at once is in ``forecaster.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from elman.nn.pooling import pool_last
from elman.tasks.series.features import Batch
from elman.tasks.series.forecaster import Forecaster
from elman.tasks.series.times import Floats

#: the parameters of a step, its anchor, and the mean and scale of its window
_Step = tuple[Tensor, Tensor, Tensor, Tensor]


class RecursiveForecaster(Forecaster):
    """A ``Forecaster`` whose decoder also reads the value of the step before, and if it is there.

    With ``follows`` a forecast is the difference to that value, not to a fixed anchor.

    >>> import elman, torch
    >>> from elman.tasks.series.distributions import Gaussian
    >>> encoder, decoder = [elman.Recurrent(elman.cells.gru, size, 8) for size in (5, 3 + 2 + 8)]
    >>> model = RecursiveForecaster(encoder, decoder, Gaussian(), targets=1)
    >>> x, future = torch.zeros(20, 2, 5), torch.zeros(4, 2, 3)
    >>> before = torch.zeros(4, 2, 2)
    >>> model(x, torch.tensor([20, 7]), torch.cat([future, before], -1)).shape
    torch.Size([4, 2, 1, 2])
    """

    follows = False

    def losses(
        self,
        x: Tensor,
        lengths: Tensor,
        future: Tensor,
        anchor: Float[Tensor, "horizon batch target"],
        mean: Float[Tensor, "batch target"],
        std: Float[Tensor, "batch target"],
        target: Float[Tensor, "horizon batch target"],
    ) -> Float[Tensor, "horizon batch target"]:
        """The loss of each value, given the true value of the step before; NaN where none is."""
        scaled = (target - mean) / std
        value, there = self._last(x, lengths)
        before = torch.cat([value[None], scaled[:-1].nan_to_num()])
        known = torch.cat([there[None], torch.isfinite(scaled[:-1]).to(x.dtype)])
        if self.follows:
            anchor = _carried(anchor, scaled)
        return super().losses(
            x, lengths, torch.cat([future, before, known], -1), anchor, mean, std, target
        )

    def _last(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, target): the last scaled value of the past, and whether it is there."""
        last = pool_last(x, lengths)
        return last[:, : self.targets], last[:, self.targets : 2 * self.targets]

    def paths(
        self, batch: Batch, count: int, seed: int
    ) -> Float[Tensor, "horizon batch path target"]:
        """Sample paths in the units of the values, each step drawn given the one before it.

        The draws of a window depend on ``seed`` only, not on the other windows of the batch.
        """
        draws = [np.random.default_rng(seed) for _ in batch.lengths]
        found = []

        def sampled(step: _Step) -> Tensor:
            value: Tensor = self.distribution.sample(*step, draws)
            found.append(value)
            return value

        self._walk(batch, count, sampled)
        paths: Tensor = torch.stack(found).unflatten(1, (len(draws), count))
        return paths

    def by_medians(self, batch: Batch, levels: Sequence[float]) -> Floats:
        """(horizon, batch, target, level): the quantiles, each step given the median before it."""
        found: list[Floats] = []

        def median(step: _Step) -> Tensor:
            found.append(self.distribution.quantiles(*step, levels))
            middle: Tensor = torch.from_numpy(found[-1][..., levels.index(0.5)])
            return middle.to(step[0].dtype)

        self._walk(batch, 1, median)
        return np.stack(found)

    def _walk(self, batch: Batch, count: int, following: Callable[[_Step], Tensor]) -> None:
        """Go through the horizon; ``following`` gives the value that the next step reads."""
        outputs, state = self.encoder(batch.x, lengths=batch.lengths)
        state = tuple([each.repeat_interleave(count, 1) for each in state])
        summary = pool_last(outputs, batch.lengths).repeat_interleave(count, 0)
        value, known = [
            each.repeat_interleave(count, 0) for each in self._last(batch.x, batch.lengths)
        ]
        mean, std = [each.repeat_interleave(count, 0) for each in (batch.mean, batch.std)]
        last = batch.anchor[0].repeat_interleave(count, 0)
        for future, fixed in zip(batch.future, batch.anchor, strict=True):
            read = torch.cat([future.repeat_interleave(count, 0), value, known, summary], -1)
            y, state = self.decoder.step(read, state)
            parameters = self.output(y).unflatten(-1, (self.targets, -1))
            anchor = last if self.follows else fixed.repeat_interleave(count, 0)
            last = value = (following((parameters, anchor, mean, std)) - mean) / std
            known = torch.ones_like(known)


class FollowingForecaster(RecursiveForecaster):
    """Forecasts the difference to the value of the step before."""

    follows = True


def quantiles_of(paths: Tensor, levels: Sequence[float]) -> Floats:
    """(horizon, batch, target, level): the quantiles of the sample paths.

    >>> quantiles_of(torch.arange(5.0).reshape(1, 1, 5, 1), (0.25, 0.5)).tolist()
    [[[[1.0, 2.0]]]]
    """
    found: Floats = np.moveaxis(np.quantile(paths.double().numpy(), levels, axis=2), 0, -1)
    return found


def _carried(first: Tensor, scaled: Tensor) -> Tensor:
    """The value of the step before each step, or the last that there is."""
    rows = [first[0]]
    for value in scaled[:-1]:
        rows.append(torch.where(torch.isfinite(value), value, rows[-1]))
    return torch.stack(rows)
