"""A recurrent module as an ONNX model: whole sequences, or one step.

Whole sequences: ``x`` (time, batch, input), batch first where the module is, and, if one likes,
``lengths`` (batch,) and ``state.h`` ... (layers * directions, batch, size) by the cell's names;
left out, rows are full and states zero.  Out come ``y`` and ``next_state.h`` ...: an ONNX graph
has one value of a name, so what is to be fed in again as ``state.h`` comes out with "next_"
before it.  One step: ``x`` (batch, input) and all states, which are needed then.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np

from elman.export.layers import Layers
from elman.export.onnx_format.graph import Graph, Name
from elman.export.onnx_format.recurrent import EVERY, Layer, lengths_of


@dataclass(frozen=True)
class LayerExport:
    """A recurrent module on its way into an ONNX model."""

    layers: Layers
    opset: int
    native: Container[str] = EVERY

    def layer(self, k: int) -> Layer:
        """One layer with its weights as arrays."""
        weights = [[p.numpy() for p in own] for own in self.layers.parameters[k]]
        return Layer(self.layers.cell, self.layers.sizes(k), weights, self.native)

    def sequence(self) -> Graph:
        """The graph over whole sequences."""
        graph, stack = Graph(self.opset), self.layers.stack
        axes: list[int | str] = ["batch", "time"] if stack.batch_first else ["time", "batch"]
        given = graph.input("x", np.float32, [*axes, stack.input_size])
        none = np.zeros((0,), np.int64)
        lengths = graph.input("lengths", np.int64, ["rows"], none)
        rows = stack.num_layers * stack.directions
        starts = [
            graph.input(
                f"state.{name}",
                np.float32,
                [rows, "rows", stack.hidden_size],
                np.zeros((rows, 1, stack.hidden_size), np.float32),
            )
            for name in self.layers.cell.states
        ]
        x = graph.op("Transpose", given, perm=[1, 0, 2]) if stack.batch_first else given
        batch = graph.size(x, 1)
        shape = graph.join([graph.integers(rows), batch, graph.integers(stack.hidden_size)], 0)
        starts = [graph.op("Expand", start, shape) for start in starts]
        # behind the lengths that are given, if any, those of full rows
        full = graph.op("Expand", graph.size(x, 0), batch)
        zero = graph.integers(0)
        lengths = graph.op("Slice", graph.join([lengths, full], 0), zero, batch, zero)
        ends = lengths_of(graph, lengths, x)
        last: list[list[Name]] = []
        for k in range(stack.num_layers):
            first = k * stack.directions
            own = [graph.slice(state, 0, first, first + stack.directions) for state in starts]
            x, after = self.layer(k).sequence(graph, x, own, ends)
            last.append(after)
        y = graph.op("Transpose", x, perm=[1, 0, 2]) if stack.batch_first else x
        graph.output("y", y, np.float32, [*axes, stack.hidden_size * stack.directions])
        for name, values in zip(self.layers.cell.states, zip(*last, strict=True), strict=True):
            shape_of_state: list[int | str] = [rows, "batch", stack.hidden_size]
            graph.output(f"next_state.{name}", graph.join(values, 0), np.float32, shape_of_state)
        return graph

    def step(self) -> Graph:
        """The graph of one step."""
        graph, stack = Graph(self.opset), self.layers.stack
        x = graph.input("x", np.float32, ["batch", stack.input_size])
        shape: list[int | str] = [stack.num_layers, "batch", stack.hidden_size]
        starts = [
            graph.input(f"state.{name}", np.float32, shape) for name in self.layers.cell.states
        ]
        last: list[list[Name]] = []
        for k in range(stack.num_layers):
            own = [graph.squeeze(graph.slice(state, 0, k, k + 1), 0) for state in starts]
            x, after = self.layer(k).step(graph, x, own)
            last.append([graph.unsqueeze(state, 0) for state in after])
        graph.output("y", x, np.float32, ["batch", stack.hidden_size])
        for name, values in zip(self.layers.cell.states, zip(*last, strict=True), strict=True):
            graph.output(f"next_state.{name}", graph.join(values, 0), np.float32, shape)
        return graph

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the file says of itself."""
        stack = self.layers.stack
        return {
            "elman.cell": self.layers.cell.name,
            "elman.equations": str(self.layers.cell),
            "elman.cell_graph": self.layers.cell.text,
            "elman.input_size": str(stack.input_size),
            "elman.hidden_size": str(stack.hidden_size),
            "elman.num_layers": str(stack.num_layers),
            "elman.bidirectional": str(stack.bidirectional).lower(),
            "elman.batch_first": str(stack.batch_first).lower(),
        }
