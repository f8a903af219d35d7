"""The memory that training needs, as a sentence of the backend report."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from elman.backends import find_engine
from elman.backends.engine import Call
from elman.backends.native import matrix_states
from elman.backends.plan import plan_of
from elman.graph import Cell
from elman.graph.sizes import Sizes
from elman.passes.memory import memory_parts
from elman.passes.separate import separated


def memory(name: str, cell: Cell, layers: Sequence[Sizes], dtype: torch.dtype) -> str:
    """The bytes saved in training, as a sentence; ``layers`` holds the sizes of each direction."""
    saved = sum([saved_bytes(name, cell, sizes, dtype) for sizes in layers])
    where = "" if len(layers) == 1 else f" in its {len(layers)} layers and directions"
    return (
        f"Training saves {saved:,} bytes per row and step{where}, besides inputs and outputs; "
        "the reference engine computes second derivatives."
    )


def saved_bytes(name: str, cell: Cell, sizes: Sizes, dtype: torch.dtype) -> int:
    """The bytes that forward saves for backward, per row and step."""
    if cell.has_memory:
        return matrix_states.saved_bytes(memory_parts(cell.text).core.text, sizes, dtype)
    parts = separated(cell.text, join=True)
    if parts is not None:
        cell, sizes = parts.core, parts.sizes_of_core(sizes)
    x = torch.empty(1, 1, sizes.input, dtype=dtype, device="meta")
    states = [x.new_empty(1, *sizes.of_row(cell.state_size(state))) for state in cell.states]
    parameters = [x.new_empty(p.shape(sizes)) for p in cell.parameters]
    saved = find_engine(name).saved_like(
        Call(plan_of(cell.text), x, states, parameters, None, False)
    )
    return sum([tensor.numel() * tensor.itemsize for tensor in saved])
