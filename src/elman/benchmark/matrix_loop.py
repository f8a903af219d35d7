"""Generate the loop over time that a user of torch would write for a cell with a matrix state.

What needs no state is computed for all steps at once (``passes/memory.py``); a step is the rest,
one torch call per operation, on values with the axes (batch, head, unit, key).  A matrix state is
read by a batched product.  ``fair_loop.py`` does the same for other cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from elman.benchmark.fair_loop import TORCH, Step, operation, step_of
from elman.graph import Cell
from elman.graph.node import Node, name_of
from elman.passes.memory import memory_parts
from elman.torch_mathematics import TorchMathematics

_FUNCTIONS = {
    **TORCH,
    "outer": torch.mul,
    # (batch, head, unit, key) times (batch, head, 1, key)
    "read": lambda state, keys: state @ keys.transpose(-1, -2),
    "head_sum": TorchMathematics.head_sum,
}


@dataclass(frozen=True)
class MatrixLoop:
    """A loop over time: ``source`` defines ``step``, which takes side inputs and states."""

    core: Cell
    source: str

    def in_torch(self) -> Callable[[Sequence[Tensor], Sequence[Tensor], int], Tensor]:
        """The loop in torch, which computes y (time, batch, head, unit, 1).

        It takes the core's side inputs, (time, batch, head, unit, key) or without time and batch,
        the states and the number of steps.
        """
        step: Step = step_of(self.source, self.core, _FUNCTIONS)

        def run(sides: Sequence[Tensor], states: Sequence[Tensor], time: int) -> Tensor:
            # x[t] in the loop would make backward O(time²)
            given = [side.unbind(0) if side.dim() == 5 else (side,) * time for side in sides]
            outputs, shape, now = [], states[0].shape, tuple(states)
            for t in range(time):
                now = step(*[side[t] for side in given], *now)
                outputs.append(now[0].expand(shape))
            return torch.stack(outputs)

        return run


@lru_cache(maxsize=64)
def matrix_loop(text: str) -> MatrixLoop:
    """The loop of the cell with this text.

    >>> from elman.cells import delta_net
    >>> print(matrix_loop(delta_net.text).source)
    def step(v_1, v_2, v_3, v_4, s_y, s_S):
        t1 = read(s_S, v_1)
        t2 = (v_2 - t1)
        t3 = (v_3 * t2)
        t4 = outer(t3, v_1)
        t5 = (s_S + t4)
        t6 = read(t5, v_4)
        return (t6, t5,)
    """
    core = memory_parts(text).core
    names: dict[Node, str] = {}
    lines: list[str] = []
    for node in core.nodes:
        if node.operation == "constant":
            names[node] = repr(node.attribute)
        elif node.operation == "state":
            names[node] = f"s_{name_of(node)}"
        elif node.operation == "side":
            names[node] = node.attribute[0]
        else:
            value = operation(node, [names[operand] for operand in node.operands])
            names[node] = f"t{len(lines) + 1}"
            lines.append(f"{names[node]} = {value}")
    arguments = [name for name, _ in core.inputs] + [f"s_{name}" for name in core.states]
    results = ", ".join([names[node] for node in core.next_states])
    body = [f"def step({', '.join(arguments)}):", *lines, f"return ({results},)"]
    return MatrixLoop(core, "\n    ".join(body))
