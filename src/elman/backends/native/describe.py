"""``describe``: the native engine's plan for a cell as text (``page.py``)."""

from __future__ import annotations

import torch

from elman.backends.native.kernels import layer_of
from elman.backends.native.llvm.target import Target, chosen_target
from elman.backends.native.page import page
from elman.graph import Cell
from elman.graph.show import expression
from elman.graph.sizes import Sizes
from elman.passes.separate import separated


def describe(
    cell: Cell,
    input_size: int,
    hidden_size: int,
    *,
    dtype: torch.dtype = torch.float32,
    target: Target | None = None,
) -> str:
    """The native engine's plan for a layer of these sizes, as plain text.

    ``dtype`` is float32, float64 or bfloat16; ``target`` defaults to this machine's processor.  Of
    a cell with side inputs, the plan is that of the core (``passes/separate.py``).

    >>> from elman.cells import lstm
    >>> print(describe(lstm, 128, 256).splitlines()[0])
    lstm, input 128, hidden 256, float32: the plan of the native engine
    """
    sizes, parts = Sizes(input_size, hidden_size), separated(cell.text)
    core = cell if parts is None else parts.core
    found = page(layer_of(core.text, sizes, dtype, target or chosen_target()))
    if parts is None:
        return found
    named = zip(core.inputs, parts.early, strict=True)
    computed = [(name, value) for (name, _), value in named if value.operation != "side"]
    if not computed:
        return found
    early = [f"  {name} = {expression(value, top=True)}" for name, value in computed]
    return "\n".join(
        [found.rstrip("\n"), "", "before it, torch computes for all steps", *early, ""]
    )
