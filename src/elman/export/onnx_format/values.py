"""Values of a torch program on its way into an ONNX graph.

A value is a constant (a tensor or a number), ``Dynamic``, the name of a tensor that depends on the
inputs, or ``Size``, the name of a length that does.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.export.onnx_format.graph import Graph, Name
from elman.export.onnx_format.recurrent import EVERY, Layer, Lengths, lengths_of
from elman.graph import Cell, read_cell
from elman.graph.sizes import Sizes


class Dynamic(str):
    """The name of a value that depends on the inputs."""

    __slots__ = ()


class Size(str):
    """The name of a vector of one int64 that depends on the inputs' shapes."""

    __slots__ = ()


class Values:
    """What the rules of ``operators.py`` need: the graph, and values as names in it."""

    def __init__(self, graph: Graph, *, native: Container[str] = EVERY) -> None:
        self.graph = graph
        self.native = native
        self._lengths: dict[tuple[str, str], Lengths] = {}

    def tensor(self, value: Any, dtype: torch.dtype | None = None) -> Dynamic:
        """A value as a name; a constant gets the type ``dtype``."""
        if isinstance(value, Dynamic):
            return value
        if isinstance(value, Size):
            return Dynamic(self.graph.squeeze(value, 0))
        if not isinstance(value, Tensor):
            value = torch.tensor(value, dtype=dtype)
        elif dtype is not None:
            value = value.to(dtype)
        if value.dtype is torch.float64:
            value = value.float()
        return Dynamic(self.graph.constant(value.numpy(), value.numpy().dtype, hint="weight"))

    def shape(self, sizes: Sequence[Any]) -> Name:
        """A vector of int64 from numbers and sizes."""
        if not any([isinstance(size, Size) for size in sizes]):
            return self.graph.integers(*sizes)
        return self.graph.join([self.size(size) for size in sizes], 0)

    def size(self, value: Any) -> Name:
        """A size or a number as a vector of one int64."""
        if isinstance(value, Size):
            return value
        if isinstance(value, Dynamic):
            return self.graph.unsqueeze(value, 0)
        return self.graph.integers(int(value))

    def recurrent(
        self,
        x: Name,
        states: Sequence[Name],
        parameters: Sequence[Tensor],
        lengths: Name | None,
        cell: str,
        reverse: bool,
    ) -> list[Dynamic]:
        """[y, last states ...] of one layer in one direction."""
        graph, chosen = self.graph, read_cell(cell)
        arrays = [parameter.float().numpy() for parameter in parameters]
        if lengths is None:
            lengths = graph.op("Expand", graph.size(x, 0), graph.size(x, 1))
        layer = Layer(chosen, _sizes(chosen, arrays), [arrays], self.native)
        return self._sequence(layer, x, states, lengths, (), reverse)

    def equations(
        self,
        x: Name,
        states: Sequence[Name],
        parameters: Sequence[Tensor],
        lengths: Name | None,
        cell: Cell,
        sizes: Sizes,
        sides: Sequence[Name],
        *,
        reverse: bool,
        single: bool,
    ) -> list[Dynamic]:
        """The same for a cell with side inputs or a matrix state; ``single`` is for one step."""
        graph = self.graph
        arrays = [parameter.float().numpy() for parameter in parameters]
        layer = Layer(cell, sizes, [arrays], self.native)
        if single and lengths is None:
            x, *own = [graph.squeeze(value, 0) for value in (x, *sides)]
            y, last = layer.step(graph, x, states, own)
            return [Dynamic(graph.unsqueeze(y, 0)), *[Dynamic(state) for state in last]]
        if lengths is None:
            lengths = graph.op("Expand", graph.size(x, 0), graph.size(x, 1))
        return self._sequence(layer, x, states, lengths, sides, reverse)

    def _sequence(
        self,
        layer: Layer,
        x: Name,
        states: Sequence[Name],
        lengths: Name,
        sides: Sequence[Name],
        reverse: bool,
    ) -> list[Dynamic]:
        graph = self.graph
        key = (str(lengths), str(x))
        if key not in self._lengths:
            self._lengths[key] = lengths_of(graph, lengths, x)
        begun = [graph.unsqueeze(state, 0) for state in states]
        y, last = layer.sequence(graph, x, begun, self._lengths[key], sides, reverse=reverse)
        return [Dynamic(y), *[Dynamic(graph.squeeze(state, 0)) for state in last]]


def _sizes(cell: Cell, arrays: Sequence[np.ndarray]) -> Sizes:
    """The sizes of a layer, from its parameters alone."""
    sizes: Sizes = cell.bind(1, [arrays[0].shape[0]], [array.shape for array in arrays])
    for p, array in zip(cell.parameters, arrays, strict=True):
        count = p.columns.count("input") if p.kind == "matrix" else 0
        if count:  # what is left of a matrix that meets the input
            others = sizes.width([size for size in p.columns if size != "input"])
            return replace(sizes, input=int((array.shape[1] - others) // count))
    return sizes
