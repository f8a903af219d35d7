"""An average of the weights (Polyak and Juditsky 1992), validated and saved in their place.

The average is exponential.  During a warm-up it forgets faster: after n steps it covers about the
last tenth of them, so that a short training does not average in its early weights.  While the
average is young, the loop validates the last weights too and keeps the better ones.  With ``decay``
1 it is the plain mean of all steps, as in averaged SGD.  ``LoopOptions.average_from`` decides when
averaging starts; "plateau" is the trigger of Merity, Keskar and Socher (2018).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average of a model's trainable parameters; with ``decay`` 0 nothing is averaged.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = WeightAverage(model, decay=0.5)
    >>> for step, weight in enumerate([2.0, 4.0, 8.0]):
    ...     _ = nn.init.constant_(model.weight, weight)
    ...     average.update(step)
    >>> with average.in_place():
    ...     round(model.weight.item(), 3)
    7.236
    >>> model.weight.item()
    8.0
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._parameters: list[Tensor] = [
            p for p in model.parameters() if decay and p.requires_grad
        ]
        self.values: list[Tensor] = [p.detach().clone() for p in self._parameters]

    def update(self, step: int) -> None:
        """Take in the current weights; ``step`` is the number of steps that the average has seen.

        At step 0 the average becomes the current weights.
        """
        if not self._parameters:
            return
        keep = step / (step + 1) if self.decay == 1 else min(self.decay, step / (step + 9))
        with torch.no_grad():
            torch._foreach_lerp_(self.values, self._parameters, 1 - keep)

    def is_young(self, step: int) -> bool:
        """Whether the average still depends on its warm-up, so that the last weights may be better.

        >>> average = WeightAverage(nn.Linear(1, 1), decay=0.99)
        >>> average.is_young(500), average.is_young(2000)
        (True, False)
        """
        return bool(self._parameters) and self.decay < 1 and step < 10 / (1 - self.decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Replace the model's parameters by their averages inside the ``with`` block."""
        own = [p.detach().clone() for p in self._parameters]
        self._put(self.values)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self._parameters, values, strict=True):
            parameter.copy_(value)  # not .data: engines detect changed weights by their version
