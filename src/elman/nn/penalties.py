"""What the outputs of a layer cost in training (Merity, McCann and Socher 2017)."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from elman.errors import OptionError
from elman.nn.pooling import running

Outputs = Float[Tensor, "time batch features"]


@dataclass(frozen=True)
class Penalties:
    """``activation`` times the mean square of outputs, ``temporal`` that of their changes.

    Steps after a row's end do not count.

    >>> import torch
    >>> y = torch.tensor([1.0, 3.0, 9.0]).reshape(3, 1, 1)
    >>> float(Penalties(activation=1.0).of(y, y, torch.tensor([2])))  # (1² + 3²) / 2
    5.0
    >>> float(Penalties(temporal=1.0).of(y, y, torch.tensor([2])))  # (3 - 1)²
    4.0
    """

    activation: float = 0.0
    temporal: float = 0.0

    def check(self, title: str) -> None:
        """Raise ``OptionError`` for what cannot be."""
        for name in ("activation", "temporal"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise OptionError(f"{title}: {name}_penalty is {value!r}; it must be at least 0.")

    def of(self, whole: Outputs, dropped: Outputs, lengths: Tensor | None) -> Tensor | None:
        """The penalty of outputs before and after dropout; ``None`` if there is none.

        Activations are those after dropout, changes those before, as in the paper's program.
        """
        found = []
        if self.activation:
            found.append(self.activation * _mean_square(dropped, lengths, 0))
        if self.temporal:
            found.append(self.temporal * _mean_square(whole[1:] - whole[:-1], lengths, 1))
        return sum(found[1:], found[0]) if found else None


def _mean_square(values: Outputs, lengths: Tensor | None, lost: int) -> Tensor:
    """The mean square over steps that count, of which each row has ``lost`` fewer than steps."""
    if lengths is None:
        return values.square().sum() / max(1, values.numel())
    left = (lengths - lost).clamp_min(0)
    inside = values * running(values, left)
    return inside.square().sum() / max(1, int(left.sum()) * values.shape[-1])
