"""Side inputs of a layer: tensors by name, and what the core of a cell takes instead of them.

``passes/separate.py`` splits a cell with side inputs or computed matrices.  The values that need no
state are computed here for all steps at once, with torch operations, which torch differentiates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from elman.autograd import autocasts
from elman.backends.arguments import unusual
from elman.errors import ShapeError
from elman.graph import Cell
from elman.graph.node import ancestors
from elman.graph.sizes import Sizes
from elman.nn.early_steps import Sides, running_steps, steps_of, value_of
from elman.passes.separate import Separated, separated


def checked(
    title: str,
    cell: Cell,
    given: Mapping[str, Tensor],
    x: Tensor,  # time batch input
    sizes: Sizes,
    *,
    batch_first: bool,
    unbatched: bool,
) -> dict[str, Tensor]:
    """The side inputs of a call; raises ``ShapeError`` if one is missing or does not match.

    A tensor with as many axes as the caller's x has a value for each step, one with an axis less a
    value for each sequence.
    """
    known = dict(cell.inputs)
    for name in given:
        if name not in known:
            takes = f"its side inputs are {', '.join(known)}" if known else "it has no side inputs"
            raise ShapeError(f"{title}: the cell takes no input {name}; {takes}.")
    time, batch, _ = x.shape
    found = {}
    for name, size in known.items():
        if name not in given:
            raise ShapeError(
                f"{title}: the cell needs the input {name}; pass it by name, as in "
                f"layer(x, {name}=...)."
            )
        tensor, last = given[name], sizes.width((size,))
        if not isinstance(tensor, Tensor) or not tensor.dtype.is_floating_point:
            raise ShapeError(f"{title}: {name} must be a tensor of floating-point numbers.")
        kind = unusual(tensor)
        if kind:
            raise ShapeError(f"{title}: {name} is {kind}.")
        axes = {"time": time, "batch": batch, size: last}
        order = ["batch", "time", size] if batch_first else ["time", "batch", size]
        order = ["time", size] if unbatched else order
        each_step = tuple([axes[axis] for axis in order])
        each_row = tuple([axes[axis] for axis in order if axis != "time"])
        per_step = _is_shape(tensor, each_step)
        if not per_step and not _is_shape(tensor, each_row):
            raise ShapeError(
                f"{title}: {name} has the shape {tuple(tensor.shape)}; it must be {each_step} "
                f"({', '.join(order)}), or {each_row} if it is the same at all steps."
            )
        if tensor.device != x.device:
            raise ShapeError(f"{title}: {name} is on {tensor.device}, but x is on {x.device}.")
        if unbatched:
            tensor = tensor.unsqueeze(-2)
        elif batch_first and per_step:
            tensor = tensor.transpose(0, 1)
        found[name] = tensor if per_step else tensor.unsqueeze(0)
    return found


def _is_shape(tensor: Tensor, wanted: tuple[int, ...]) -> bool:
    """Whether a tensor has this shape; axis by axis, as a compiler needs it for varying lengths."""
    if tensor.dim() != len(wanted):
        return False
    return all([own == other for own, other in zip(tensor.shape, wanted, strict=True)])


class Early:
    """What a cell computes before its core: the values that need no state.

    It is made of numbers and names, which torch.compile can trace.
    """

    def __init__(self, cell: Cell, parts: Separated) -> None:
        self.core = parts.core
        matrices = ancestors([part.value for part in parts.parts])
        nodes = tuple(dict.fromkeys([*matrices, *ancestors([*parts.early, *parts.joined])]))
        index = {node: k for k, node in enumerate(nodes)}
        self._steps = steps_of(cell, nodes)
        sized = zip(parts.early, parts.core.inputs, strict=True)
        self._results = [(index[node], size) for node, (_, size) in sized]
        self._joined = [index[node] for node in parts.joined]
        self._parts = [(index[part.value], part.blocks) for part in parts.parts]
        #: the steps that compute matrices, which come first
        self._matrices = len(matrices)

    def run(
        self,
        x: Tensor,  # time batch input
        sides: Sides,
        parameters: Sequence[Tensor],
        lengths: Tensor | None,
        sizes: Sizes,
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The core's x, parameters and side inputs (time, batch, size).

        Values are computed in at least float32.  Parameters are views of the cell's where possible;
        computed matrices have the type of the cell's.
        """
        kind = x.device.type
        with torch.autocast(kind, enabled=False) if autocasts(kind) else nullcontext():
            wide = torch.promote_types(x.dtype, torch.float32)
            # `to` alone costs a microsecond for each
            own = [p if p.dtype is wide else p.to(wide) for p in parameters]
            values: list[Tensor] = []
            for step in self._steps[: self._matrices]:
                values.append(value_of(step, values, x, {}, own, sizes))
            joined, found = self._sides(x.to(wide), sides, own, values, lengths, sizes)
            core_x = torch.cat(joined, -1).to(x.dtype) if joined else x
            return core_x, self._parameters(parameters, values, sizes), found

    def matrices(self, parameters: Sequence[Tensor], sizes: Sizes) -> list[Tensor]:
        """The parameters of the core alone."""
        with torch.no_grad():
            return self.run(
                parameters[0].new_empty(0, 0, sizes.input), {}, parameters, None, sizes
            )[1]

    def _parameters(
        self, given: Sequence[Tensor], values: Sequence[Tensor], sizes: Sizes
    ) -> list[Tensor]:
        found = []
        for position, blocks in self._parts:
            leaf = self._steps[position].leaf
            own = given[leaf] if isinstance(leaf, int) else None
            tensor = values[position].to(given[0].dtype) if own is None else own
            if blocks is not None:
                pieces = [tensor[:, sizes.columns(block)] for block in blocks]
                tensor = pieces[0] if len(pieces) == 1 else torch.cat(pieces, 1)
            found.append(tensor)
        return found

    def _sides(
        self,
        x: Tensor,  # time batch input
        sides: Sides,
        parameters: Sequence[Tensor],
        matrices: Sequence[Tensor],
        lengths: Tensor | None,
        sizes: Sizes,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The values that need no state: those that are joined, and the side inputs.

        Padding is not computed: what stands there may be no number, nor its gradient.
        """
        time, batch, _ = x.shape
        given = {name: tensor.to(x.dtype) for name, tensor in sides.items()}
        rows = None
        if lengths is not None:
            rows = running_steps(lengths, time).to(x.device)
            x = x.reshape(time * batch, x.shape[-1]).index_select(0, rows)
            given = {
                name: tensor.expand(time, batch, tensor.shape[-1])
                .reshape(time * batch, tensor.shape[-1])
                .index_select(0, rows)
                for name, tensor in given.items()
            }
        values = list(matrices)
        for step in self._steps[self._matrices :]:
            values.append(value_of(step, values, x, given, parameters, sizes))

        def at_all_steps(value: Tensor, width: int) -> Tensor:
            if rows is None:
                return value.expand(time, batch, width)
            return (
                value.new_zeros(time * batch, width)
                .index_copy(0, rows, value.expand(len(rows), width))
                .reshape(time, batch, width)
            )

        joined = [at_all_steps(values[k], values[k].shape[-1]) for k in self._joined]
        found = [at_all_steps(values[k], sizes.width((size,))) for k, size in self._results]
        return joined, found


def early_of(cell: Cell, *, ahead: bool = True, join: bool = False) -> Early | None:
    """What to compute before the core of a cell; ``None`` if an engine can run the whole cell.

    Without ``ahead``, that are matrices and what needs side inputs alone; with ``join``, the core
    multiplies side inputs where it can (``passes/separate.py``).
    """
    parts = separated(cell.text, ahead=ahead, join=join)
    return None if parts is None else Early(cell, parts)
