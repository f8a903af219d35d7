"""An average of the weights (Polyak and Juditsky 1992), validated and saved in their place.

It begins as the plain mean of the first steps and grows into the exponential one, so that the
random starting weights do not linger in it; with ``decay`` 1 it stays the plain mean, as in
averaged SGD.  When it begins is for the loop to say: ``LoopOptions.average_from``, whose "plateau"
is the trigger of Merity, Keskar and Socher (2018).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average of a model's trained parameters; with ``decay`` 0 it keeps nothing.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = WeightAverage(model, decay=0.5)
    >>> for step, weight in enumerate([2.0, 4.0, 8.0]):
    ...     _ = nn.init.constant_(model.weight, weight)
    ...     average.update(step)
    >>> with average.in_place():
    ...     model.weight.item()
    5.5
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
        """Take in the weights of a step when ``step`` are in; at 0 they are the average."""
        if not self._parameters:
            return
        keep = min(self.decay, step / (step + 1))
        with torch.no_grad():
            torch._foreach_lerp_(self.values, self._parameters, 1 - keep)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the ``with``, the model's parameters are their averages."""
        own = [p.detach().clone() for p in self._parameters]
        self._put(self.values)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self._parameters, values, strict=True):
            parameter.copy_(value)  # not .data: engines see by the version that a weight changed
