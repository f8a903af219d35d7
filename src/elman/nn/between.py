"""What stands between recurrent layers: normalisation, residual connections, merged directions.

``Recurrent`` (``stack.py``) and ``elman.Stack`` (``sequence.py``) compute it by these rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, cat, nn, where

from elman.errors import OptionError

Merge = Literal["concatenate", "sum", "mean"]
_MERGES = ", ".join([f'"{merge}"' for merge in get_args(Merge)])

#: what LayerNorm adds to the variance
EPSILON = 1e-5


class BetweenParameters(NamedTuple):
    """The parameters of layers besides the cells' own.

    ``norms`` are the weight and bias for the input of each layer but the first, or empty.
    ``initial`` are the initial states (layers * directions, 1, ...), or empty.
    """

    norms: Sequence[tuple[Tensor, Tensor]] = ()
    initial: tuple[Tensor, ...] = ()


#: of layers without such parameters
NO_PARAMETERS = BetweenParameters()


@dataclass(frozen=True)
class Between:
    """The options; see ``Recurrent``."""

    residual: bool = False
    norm: bool = False
    merge: Merge = "concatenate"
    learned_state: bool = False

    def check(self, title: str) -> None:
        """Raise ``OptionError`` for an invalid option."""
        if self.merge not in get_args(Merge):
            raise OptionError(f"{title}: merge is {self.merge!r}; it must be one of {_MERGES}.")

    def changed(self) -> dict[str, bool | str]:
        """The options that differ from plain layers.

        >>> Between(norm=True, merge="sum").changed()
        {'norm': True, 'merge': 'sum'}
        """
        return {
            name: value for name, value in vars(self).items() if value != getattr(Between, name)
        }

    @property
    def changes_steps(self) -> bool:
        """Whether a step is more than the cells' steps one after another."""
        return self.residual or self.norm

    def output_size(self, units: int, directions: int) -> int:
        """The number of features of a layer's output, from those of one direction."""
        return units * directions if self.merge == "concatenate" else units

    def merged(self, outputs: Sequence[Tensor]) -> Tensor:
        """The output of a layer from the outputs of its directions."""
        if len(outputs) == 1:
            return outputs[0]
        if self.merge == "concatenate":
            return cat([*outputs], -1)
        forward, reverse = outputs
        return forward + reverse if self.merge == "sum" else (forward + reverse) / 2

    def added(
        self,
        y: Float[Tensor, "*batch output"],
        given: Float[Tensor, "*batch input"],
        inside: Bool[Tensor, "*batch 1"] | None,
    ) -> Float[Tensor, "*batch output"]:
        """A layer's output with its input added, if it is to be and both have the same size.

        ``inside`` says which steps are within their row's length; past it, y stays zero.
        """
        if not self.residual or y.shape[-1] != given.shape[-1]:
            return y
        return y + (given if inside is None else where(inside, given, 0))


#: plain layers
PLAIN = Between()


def norm_parameters(title: str, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """The weight and bias of a norm; raises ``OptionError`` for a module of another kind."""
    if not isinstance(norm, nn.LayerNorm) or norm.eps != EPSILON or norm.weight is None:
        raise OptionError(
            f"{title}: a norm between the layers is {norm}; it must stay a LayerNorm with eps "
            f"{EPSILON:g}, a weight and a bias, whose values may change."
        )
    bias = torch.zeros_like(norm.weight) if norm.bias is None else norm.bias
    return norm.weight, bias


def normalised(
    y: Float[Tensor, "*batch units"], weight: Float[Tensor, " units"], bias: Float[Tensor, " units"]
) -> Float[Tensor, "*batch units"]:
    """Each step's values with mean 0 and variance 1, scaled and shifted (Ba et al. 2016)."""
    # torch.autocast would return float32
    return nn.functional.layer_norm(y, y.shape[-1:], weight, bias, EPSILON).to(y.dtype)
