"""``describe``: the native engine's plan for a cell as text (``page.py``)."""

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
    """The native engine's plan for a layer of these sizes, as plain text.

    ``dtype`` is float32, float64 or bfloat16; ``target`` defaults to this machine's processor.

    >>> from elman.cells import lstm
    >>> print(describe(lstm, 128, 256).splitlines()[0])
    lstm, input 128, hidden 256, float32: the plan of the native engine
    """
    sizes = Sizes(input_size, hidden_size)
    return page(layer_of(cell.text, sizes, dtype, target or chosen_target()))
