"""``describe``: what the native engine does for a cell, as a page to read (``page.py``)."""

from __future__ import annotations

import torch

from elman.backends.native.kernels import layer_of
from elman.backends.native.llvm.target import Target, chosen_target
from elman.backends.native.page import page
from elman.graph import Cell
from elman.graph.sizes import Sizes


def describe(
    cell: Cell,
    input_size: int,
    hidden_size: int,
    *,
    dtype: torch.dtype = torch.float32,
    target: Target | None = None,
) -> str:
    """What the native engine does for a layer of these sizes, as a page of plain text.

    ``dtype`` is float32, float64 or bfloat16, ``target`` the processor, which is else the one at
    hand.

    >>> from elman.cells import lstm
    >>> print(describe(lstm, 128, 256).splitlines()[0])
    lstm, input 128, hidden 256, float32: the plan of the native engine
    """
    sizes = Sizes(input_size, hidden_size)
    return page(layer_of(cell.text, sizes, dtype, target or chosen_target()))
