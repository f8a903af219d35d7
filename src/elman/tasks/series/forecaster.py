"""Many to many, unaligned: the past of a series becomes all steps of its forecast at once.

A recurrent encoder reads the past; a decoder of the same cell starts from its state and reads its
last output and what is known of the future, one step for each forecast (a direct forecast: none is
fed back; ``recursive.py`` feeds back).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.nn import Recurrent
from elman.nn.dropout import VariationalDropout
from elman.nn.pooling import pool_last
from elman.tasks.series.distributions import Distribution

#: the weights of the output begin small, so that the first forecasts are the anchor
_SMALL = 0.1


class Forecaster(nn.Module):
    """An encoder of the past and a decoder of the future, with the parameters of a distribution.

    >>> import elman, torch
    >>> from elman.tasks.series.distributions import Gaussian
    >>> encoder, decoder = [elman.Recurrent(elman.cells.gru, size, 8) for size in (5, 3 + 8)]
    >>> model = Forecaster(encoder, decoder, Gaussian(), targets=1)
    >>> x, future = torch.zeros(20, 2, 5), torch.zeros(4, 2, 3)
    >>> model(x, torch.tensor([20, 7]), future).shape  # horizon batch target parameter
    torch.Size([4, 2, 1, 2])
    """

    def __init__(
        self,
        encoder: Recurrent,
        decoder: Recurrent,
        distribution: Distribution,
        targets: int,
        *,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.distribution = distribution
        self.targets = targets
        self.dropout = VariationalDropout(dropout)
        start = distribution.start
        self.output = nn.Linear(decoder.output_size, targets * len(start))
        with torch.no_grad():
            self.output.weight.mul_(_SMALL)
            self.output.bias.copy_(torch.tensor(start).repeat(targets))

    def forward(
        self,
        x: Float[Tensor, "time batch feature"],
        lengths: Int64[Tensor, " batch"],
        future: Float[Tensor, "horizon batch known"],
    ) -> Float[Tensor, "horizon batch target parameter"]:
        """The parameters of the distribution of each step, in units of the window."""
        outputs, state = self.encoder(x, lengths=lengths)
        summary = pool_last(outputs, lengths).expand(future.shape[0], -1, -1)
        y, _ = self.decoder(torch.cat([future, summary], -1), state)
        found: Tensor = self.output(self.dropout(y))
        split: Tensor = found.unflatten(-1, (self.targets, len(self.distribution.start)))
        return split

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
        """The loss of each value; NaN where there is none."""
        there = torch.isfinite(target)
        filled = torch.where(there, target, mean)
        each = self.distribution.loss(self(x, lengths, future), anchor, filled, mean, std)
        return torch.where(there, each, torch.nan)

    def loss(
        self,
        x: Tensor,
        lengths: Tensor,
        future: Tensor,
        anchor: Float[Tensor, "horizon batch target"],
        mean: Float[Tensor, "batch target"],
        std: Float[Tensor, "batch target"],
        target: Float[Tensor, "horizon batch target"],
    ) -> Float[Tensor, ""]:
        """The mean loss of the values that are there."""
        there = torch.isfinite(target)
        each = self.losses(x, lengths, future, anchor, mean, std, target)
        return torch.where(there, each, 0.0).sum() / there.sum().clamp_min(1)


class Detector(Forecaster):
    """A forecaster, or a network that gives back what it reads, with a threshold for its errors."""

    threshold: Tensor

    def __init__(
        self,
        encoder: Recurrent,
        decoder: Recurrent,
        distribution: Distribution,
        targets: int,
        *,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(encoder, decoder, distribution, targets, dropout=dropout)
        #: the score from which on a step is an anomaly; set on validation data
        self.register_buffer("threshold", torch.zeros(()))
