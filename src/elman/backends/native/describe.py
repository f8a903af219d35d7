"""``describe``: the native engine's plan for a cell as text (``page.py``)."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from elman.backends.native.kernels import layer_of
from elman.backends.native.llvm.matrix_steps import CHUNK
from elman.backends.native.llvm.target import Target, chosen_target
from elman.backends.native.page import page
from elman.graph import Cell
from elman.graph.show import expression
from elman.graph.sizes import Sizes
from elman.passes.memory import memory_parts
from elman.passes.separate import separated


def describe(
    cell: Cell,
    input_size: int,
    hidden_size: int,
    *,
    sizes: Mapping[str, int] | None = None,
    dtype: torch.dtype = torch.float32,
    target: Target | None = None,
) -> str:
    """The native engine's plan for a layer of these sizes, as plain text.

    ``sizes`` are those of the cell's own; ``hidden_size`` where it does not name one.
    ``dtype`` is float32, float64 or bfloat16; ``target`` defaults to this machine's processor.  Of
    a cell with side inputs, the plan is that of the core (``passes/separate.py``), and of a cell
    with a matrix state that of its steps (``passes/memory.py``).

    >>> from elman.cells import lstm
    >>> print(describe(lstm, 128, 256).splitlines()[0])
    lstm, input 128, hidden 256, float32: the plan of the native engine
    """
    if cell.has_memory:
        return _of_matrix_state(cell, input_size, hidden_size)
    given, parts = sizes or {}, separated(cell.text, join=True)
    own = tuple([(name, given.get(name, hidden_size)) for name in cell.own_sizes])
    core, numbers = cell, Sizes(input_size, hidden_size, own=own)
    if parts is not None:
        core, numbers = parts.core, parts.sizes_of_core(numbers)
    found = page(layer_of(core.text, numbers, dtype, target or chosen_target()))
    if parts is None:
        return found
    named = zip(core.inputs, parts.early, strict=True)
    computed = [(name, value) for (name, _), value in named if value.operation != "side"]
    early = [f"  {name} = {expression(value, top=True)}" for name, value in computed]
    if parts.joined:
        beside = ", ".join([expression(value, top=True) for value in parts.joined])
        early.insert(0, f"  {cell.input} of the steps = [{beside}]")
    if not early:
        return found
    return "\n".join(
        [found.rstrip("\n"), "", "before it, torch computes for all steps", *early, ""]
    )


def _of_matrix_state(cell: Cell, input_size: int, hidden_size: int) -> str:
    """What is computed before the steps, and the steps of a head."""
    parts = memory_parts(cell.text)
    named = zip(parts.core.inputs, parts.early, parts.fixed, strict=True)
    lines = {False: [], True: []}  # type: dict[bool, list[str]]
    for (name, size), value, fixed in named:
        lines[fixed].append(f"  {name} = {expression(value, top=True)}  ({size})")
    title = f"{cell.name}, input {input_size}, hidden {hidden_size}"
    found = [f"{title}: the plan of the native engine"]
    if lines[True]:
        found += ["", "once per call, torch computes", *lines[True]]
    found += ["", "before the steps, torch computes for all of them", *lines[False]]
    found += ["", "then, for one head of one row after another, in a few loops over units and keys"]
    found += [f"  {line}" for line in str(parts.core).splitlines()]
    found += [
        "",
        f"backward computes {CHUNK} steps at a time again, from the states that forward saves.",
        "",
    ]
    return "\n".join(found)
