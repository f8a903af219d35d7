"""Layers of cells with a matrix state: the values before the steps, and the shapes of states.

``passes/memory.py`` splits such a cell.  What needs no state is computed here for all steps at
once, with torch's operations; ``matrix_scan.py`` runs the steps.  Every value has the axes (head,
unit, key) last, of length 1 where it has no such axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn.functional import linear

from elman.autograd import autocasts
from elman.graph import Cell
from elman.graph.node import ancestors
from elman.graph.sizes import Sizes
from elman.matrix_scan import scan
from elman.nn.early_steps import EarlyStep, Sides, running_steps, steps_of, value_of
from elman.passes.memory import memory_parts


def matrix_states_of(cell: Cell) -> MatrixStates | None:
    """How a layer of the cell runs, if it has a matrix state."""
    return MatrixStates(cell) if cell.has_memory else None


class MatrixStates:
    """What a layer computes before the steps of a cell with a matrix state, and their run.

    It is made of numbers and names, which torch.compile can trace.
    """

    def __init__(self, cell: Cell) -> None:
        parts = memory_parts(cell.text)
        self.core = parts.core.text
        nodes = ancestors(parts.early)
        index = {node: k for k, node in enumerate(nodes)}
        self._steps = steps_of(cell, nodes)
        #: each side input of the core: its value's position, its size, whether it never varies
        self._sides = [
            (index[node], size, fixed)
            for node, (_, size), fixed in zip(
                parts.early, parts.core.inputs, parts.fixed, strict=True
            )
        ]
        self._states = [cell.state_size(name) for name in cell.states]

    def run(
        self,
        x: Tensor,  # time batch input
        sides: Sides,
        states: Sequence[Tensor],
        parameters: Sequence[Tensor],
        lengths: Tensor | None,
        reverse: bool,
        sizes: Sizes,
        backend: str,
        truncate: int | None,
    ) -> tuple[Tensor, list[Tensor]]:
        """The outputs (time, batch, hidden) and the last states, of the types of x.

        Values are computed in at least float32.
        """
        time, batch, _ = x.shape
        kind = x.device.type
        with torch.autocast(kind, enabled=False) if autocasts(kind) else nullcontext():
            given = self.early(x, sides, parameters, lengths, sizes)
            wide = given[0].dtype if given else torch.promote_types(x.dtype, torch.float32)
            now = [
                state.to(wide).reshape(batch, *sizes.axes(size))
                for state, size in zip(states, self._states, strict=True)
            ]
            # a compiler leaves its graph for the steps, since it cannot trace nodes
            steps = torch.compiler.disable(scan) if torch.compiler.is_compiling() else scan
            size = truncate or max(time, 1)
            outputs: dict[int, Tensor] = {}
            starts = range(0, max(time, 1), size)
            for start in reversed(starts) if reverse else starts:
                if outputs:
                    now = [state.detach() for state in now]
                stop = min(start + size, time)
                part = None if lengths is None else (lengths - start).clamp(0, stop - start)
                cut = [side[start:stop] if side.dim() == 5 else side for side in given]
                outputs[start], now = steps(
                    self.core, cut, now, stop - start, part, reverse, backend
                )
            y = torch.cat([outputs[start] for start in starts])
        last = [
            state.reshape(batch, *sizes.of_row(size)).to(x.dtype)
            for state, size in zip(now, self._states, strict=True)
        ]
        return y.reshape(time, batch, sizes.hidden).to(x.dtype), last

    def early(
        self,
        x: Tensor,
        sides: Sides,
        parameters: Sequence[Tensor],
        lengths: Tensor | None,
        sizes: Sizes,
    ) -> list[Tensor]:
        """The side inputs of the core: (time, batch, head, unit, key), or (head, unit, key).

        Padding is not computed: what stands there may be no number, nor its gradient.
        """
        time, batch, _ = x.shape
        wide = torch.promote_types(x.dtype, torch.float32)
        flat = {"x": x} | {name: s.expand(time, batch, s.shape[-1]) for name, s in sides.items()}
        flat = {name: s.reshape(time * batch, s.shape[-1]).to(wide) for name, s in flat.items()}
        rows = None
        if lengths is not None:
            rows = running_steps(lengths, time).to(x.device)
            flat = {name: s.index_select(0, rows) for name, s in flat.items()}
        own = [parameter.to(wide) for parameter in parameters]
        values: list[Tensor] = []
        for step in self._steps:
            values.append(value_with_axes(step, values, flat, own, sizes))
        found = []
        count = flat["x"].shape[0]  # len() would fix it while torch exports
        for position, size, fixed in self._sides:
            axes = sizes.axes(size)
            if fixed:
                found.append(values[position].expand(axes))
                continue
            value = values[position].expand(count, *axes)
            if rows is not None:
                whole = value.new_zeros(time * batch, *axes)
                value = whole.index_copy(0, rows, value)
            found.append(value.reshape(time, batch, *axes))
        return found


def value_with_axes(
    step: EarlyStep,
    values: Sequence[Tensor],
    given: Mapping[str, Tensor],
    parameters: Sequence[Tensor],
    sizes: Sizes,
) -> Tensor:
    """The value of a step at all times, with the three axes; of a matrix, with its own."""
    if step.operation == "input":
        return given["x"].reshape(-1, *sizes.axes("input"))
    if step.operation == "side":
        assert isinstance(step.leaf, str)
        return given[step.leaf].reshape(-1, *sizes.axes(step.size))
    if step.operation == "vector":
        assert isinstance(step.leaf, int)
        return parameters[step.leaf].reshape(sizes.axes(step.size))
    if step.operation == "product":
        matrix, *factors = [values[k] for k in step.operands]
        total: Tensor | None = None
        for factor, block in zip(factors, step.blocks, strict=True):
            width = sizes.width((block.size,))
            flat = factor.expand(-1, *sizes.axes(block.size)).reshape(-1, width)
            term = linear(flat, matrix[:, sizes.columns(block)])
            total = term if total is None else total + term
        assert total is not None
        return total.reshape(-1, *sizes.axes(step.size))
    return value_of(step, values, given["x"], {}, parameters, sizes)
