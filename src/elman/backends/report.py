"""How an engine runs a layer, in two sentences: for ``Recurrent.backend_report``.

The whole plan of the native engine is a page, see ``describe.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from elman.backends import engine
from elman.backends.plan import plan_of
from elman.graph import Cell
from elman.graph.sizes import Sizes


def conditions(name: str, dtype: torch.dtype, device: torch.device) -> str:
    """Type of number, processor and threads, as a sentence."""
    number = str(dtype).removeprefix("torch.")
    threads = torch.get_num_threads()
    several = f"up to {threads} of torch's threads" if threads > 1 else "one thread"
    if name == "native":
        from elman.backends.kernels import INSIDE, SCALARS
        from elman.backends.llvm.target import WIDTH, chosen_target
        from elman.backends.llvm.team import find_team

        target, scalar = chosen_target(), SCALARS[INSIDE[dtype]]
        if dtype is torch.bfloat16:
            number += f" ({'sums and states' if target.multiplies_bfloat16 else 'all'} in float32)"
        if find_team() is None:
            several = "one thread, since torch's team of OpenMP threads is not there"
        return (
            f"{number}, compiled for {target.cpu} with vectors of {target.lanes(scalar)} numbers "
            f"({8 * WIDTH[scalar] * target.lanes(scalar)} bits); {several}."
        )
    where = several if device.type == "cpu" else f"on {device}"
    return f"{number}, by torch's own operations; {where}."


def memory(name: str, cell: Cell, layers: Sequence[Sizes], dtype: torch.dtype) -> str:
    """What training keeps, as a sentence; ``layers`` has the sizes of each layer's directions."""
    kept = sum([kept_bytes(name, cell, sizes, dtype) for sizes in layers])
    where = "" if len(layers) == 1 else f" in its {len(layers)} layers and directions"
    return (
        f"Training keeps {kept:,} bytes for each row and step{where}, beside inputs and outputs; "
        "second derivatives are taken by the reference engine."
    )


def kept_bytes(name: str, cell: Cell, sizes: Sizes, dtype: torch.dtype) -> int:
    """What forward keeps for backward, for each row and step."""
    x = torch.empty(1, 1, sizes.input, dtype=dtype, device="meta")
    states = [torch.empty(1, sizes.hidden, dtype=dtype, device="meta") for _ in cell.states]
    kept = engine(name).kept_like(plan_of(cell.text), x, states)
    return sum([tensor.numel() * tensor.itemsize for tensor in kept])
