"""Linear layers whose results do not depend on the number of rows, bit for bit.

Libraries of linear algebra choose a kernel by the shape of a product, and kernels add in different
orders: a row alone and the same row in a batch may differ in their last bits.  ``row_blocks``
computes linear layers in blocks of a fixed number of rows, so the shape is always the same.
Recurrent layers on the native engine need no such help.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

#: rows of a block; the last one is filled up with zeros
ROWS = 16


class row_blocks(TorchFunctionMode):  # noqa: N801 - a context manager
    """Inside the ``with`` block, linear layers compute ``ROWS`` rows at a time.

    >>> layer, x = nn.Linear(300, 5), torch.randn(100, 300)
    >>> with torch.no_grad(), row_blocks():
    ...     bool((layer(x)[7:8] == layer(x[7:8])).all())
    True
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is nn.functional.linear:
            return _linear(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    rows = input.reshape(-1, input.shape[-1])
    filled = nn.functional.pad(rows, (0, 0, 0, -len(rows) % ROWS))
    blocks = [nn.functional.linear(block, weight, bias) for block in filled.split(ROWS)]
    found = torch.cat(blocks)[: len(rows)]
    return found.reshape(*input.shape[:-1], weight.shape[0])
