"""A recurrent layer that tells its cell which values are there, and since when (GRU-D).

Cells with the inputs m and d, such as ``elman.cells.gru_d``, read the features of ``features.py``
with the last value in place of a missing one, 1 in m where a value is there, and in d the time
since the last one (Che et al. 2018).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from elman.nn import Recurrent


class ObservedRecurrent(Recurrent):
    """A ``Recurrent`` of such a cell.

    x begins with ``targets`` values and as many flags that say which are there; with ``gaps`` it
    ends with log(1 + the time since the last value) for each.  All other features are there.

    >>> import elman, torch
    >>> layer = ObservedRecurrent(elman.cells.gru_d, 3, 8, targets=1, gaps=True)
    >>> layer(torch.zeros(5, 2, 3))[0].shape
    torch.Size([5, 2, 8])
    """

    def __init__(self, *arguments: Any, targets: int, gaps: bool, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.targets, self.gaps = targets, gaps

    def forward(self, x: Any, state: Any = None, **options: Any) -> Any:
        """Run over whole sequences, as a ``Recurrent`` does."""
        if "m" not in options:  # not called by ``step``
            options |= self._sides(x)
            x = _carried(x, self.targets)
        return super().forward(x, state, **options)

    def step(self, x: Tensor, state: Any = None, **options: Any) -> Any:
        """Run one time step, as a ``Recurrent`` does; a missing value is read as 0."""
        return super().step(x, state, **options, **self._sides(x))

    def _sides(self, x: Tensor) -> dict[str, Tensor]:
        count = self.targets
        there, since = torch.ones_like(x), torch.zeros_like(x)
        if count:
            there = torch.cat([x[..., count : 2 * count], there[..., count:]], -1)
        if count and self.gaps:
            since = torch.cat([torch.expm1(x[..., -count:]), since[..., count:]], -1)
        return {"m": there, "d": since}


def _carried(x: Tensor, targets: int) -> Tensor:
    """x (time, batch, feature) with the last value in place of a missing one, 0 before the first.

    >>> x = torch.tensor([[[5.0, 1.0]], [[0.0, 0.0]], [[7.0, 1.0]]])
    >>> _carried(x, 1)[:, 0, 0].tolist()
    [5.0, 5.0, 7.0]
    """
    if not targets:
        return x
    values, there = x[..., :targets], x[..., targets : 2 * targets] > 0
    steps = torch.arange(x.shape[0], device=x.device).view(-1, 1, 1)
    last = torch.where(there, steps, 0).cummax(0).values
    return torch.cat([values.gather(0, last), x[..., targets:]], -1)
