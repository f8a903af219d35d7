"""Initial values of parameters, for ``elman.Recurrent(..., init={"b.f": chrono(300)})``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from elman.errors import OptionError


def chrono(longest: int, *, negative: bool = False) -> Callable[[Tensor], Tensor]:
    """Biases that let units remember from 1 to ``longest`` steps (Tallec and Ollivier 2018).

    A forget gate's bias is drawn as log(u), u uniform from 1 to ``longest`` - 1; ``negative`` gives
    an input gate's bias.  Raises ``OptionError`` if ``longest`` is less than 3.

    >>> import elman
    >>> start = {"b.f": elman.nn.chrono(300), "b.i": elman.nn.chrono(300, negative=True)}
    >>> layer = elman.Recurrent(elman.cells.lstm, 3, 4, init=start)
    >>> bool((layer.layers[0][0].b.f >= 0).all() and (layer.layers[0][0].b.i <= 0).all())
    True
    """
    if longest < 3:
        raise OptionError(f"chrono: longest is {longest}; it must be at least 3 steps.")
    return partial(_fill_chrono, longest=longest, sign=-1 if negative else 1)


@torch.no_grad()
def _fill_chrono(tensor: Tensor, longest: int, sign: int) -> Tensor:
    return tensor.uniform_(1, longest - 1).log_().mul_(sign)


@torch.no_grad()
def hippo_(tensor: Tensor) -> Tensor:
    """Fill a square matrix with HiPPO-LegS, which keeps a history as polynomials (Gu et al. 2020).

    Row n, column k: -sqrt((2n + 1)(2k + 1)) below the diagonal, -(n + 1) on it, 0 above.  Raises
    ``OptionError`` if the tensor is not a square matrix.

    >>> hippo_(torch.empty(2, 2))
    tensor([[-1.0000,  0.0000],
            [-1.7321, -2.0000]])
    """
    if tensor.dim() != 2 or tensor.shape[0] != tensor.shape[1]:
        raise OptionError(
            f"hippo_ fills a square matrix, but the parameter has the shape {tuple(tensor.shape)}."
        )
    order = torch.arange(len(tensor), dtype=torch.float64)
    root = (2 * order + 1).sqrt()
    values = torch.outer(root, -root).tril(-1) - torch.diag(order + 1)
    return tensor.copy_(values)
