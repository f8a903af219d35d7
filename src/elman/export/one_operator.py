"""Layers with side inputs or a matrix state as calls of one operator, ``elman::equations``.

Elman computes what such a cell needs before the steps by torch's operations, and the steps of a
matrix state one by one, which is not what an exporter wants to read.  While a module is traced
(``traced.py``), each direction of such a layer is one call of this operator, with the whole cell as
text; exporters write it out.  It has shapes, but never runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields

import torch
from torch import Tensor, nn

from elman.export.layers import is_written_whole
from elman.nn.early_steps import Sides
from elman.nn.recurrent import Recurrent
from elman.nn.stack import Stack, Training

torch.library.define(
    "elman::equations",
    "(Tensor x, Tensor[] states, Tensor[]? parameters, Tensor? lengths, str cell, bool reverse, "
    "int heads, int keys, Tensor[]? sides) -> Tensor[]",
)


@torch.library.register_fake("elman::equations")  # type: ignore[untyped-decorator]
def _(
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor] | None,
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    heads: int,
    keys: int,
    sides: Sequence[Tensor] | None,
) -> list[Tensor]:
    y = x.new_empty(*x.shape[:2], states[0].shape[-1])
    return [y, *[x.new_empty(state.shape) for state in states]]


class _Traced(Stack):
    """A stack whose directions are calls of the operator."""

    def run_direction(
        self,
        k: int,
        parameters: Sequence[Tensor],
        x: Tensor,  # time batch input
        states: Sequence[Tensor],
        lengths: Tensor | None,
        reverse: bool,
        training: Training | None,
        sides: Sides,
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """The outputs (time, batch, hidden) and the last states, in evaluation."""
        cell = self.in_evaluation
        given = [sides[name].expand(*x.shape[:2], -1) for name, _ in cell.inputs]
        y, *last = torch.ops.elman.equations(
            x, list(states), list(parameters), lengths, cell.text, reverse, self.heads, self.keys,
            given,
        )  # fmt: skip
        return y, last


@contextmanager
def as_one_operator(module: nn.Module) -> Iterator[None]:
    """Within it, the module's layers that need this are calls of the operator."""
    own = {
        layer: layer.stack
        for layer in module.modules()
        if isinstance(layer, Recurrent) and is_written_whole(layer)
    }
    try:
        for layer, stack in own.items():
            values = {f.name: getattr(stack, f.name) for f in fields(stack) if f.init}
            layer.stack = _Traced(**values)
        yield
    finally:
        for layer, stack in own.items():
            layer.stack = stack
