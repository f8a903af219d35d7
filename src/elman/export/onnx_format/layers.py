"""A recurrent module as an ONNX model: whole sequences, or one step.

Whole sequences: ``x`` (time, batch, input), batch first where the module is, and, if one likes,
``lengths`` (batch,) and ``state.h`` ... (layers * directions, batch, size) by the cell's names;
left out, rows are full and states zero.  Out come ``y`` and ``next_state.h`` ...: an ONNX graph
has one value of a name, so what is to be fed in again as ``state.h`` comes out with "next_"
before it.  One step: ``x`` (batch, input) and all states, which are needed then.

A cell's inputs beside x are ``input.dt`` ..., of a length 1 or of all steps, in the order of x's
axes.  They are needed in either graph.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np

from elman.export.layers import Layers
from elman.export.onnx_format.graph import Graph, Name, Shape
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
        names = self.layers.cell.states
        own_axes = {name: self.layers.state_axes(name)[1] for name in names}
        starts = [
            graph.input(
                f"state.{name}",
                np.float32,
                [rows, "rows", *row],
                np.zeros((rows, 1, *row), np.float32),
            )
            for name, row in own_axes.items()
        ]
        sides = self._sides(graph, ["batch", "steps"] if stack.batch_first else ["steps", "batch"])
        x = graph.op("Transpose", given, perm=[1, 0, 2]) if stack.batch_first else given
        batch = graph.size(x, 1)
        starts = [
            graph.op("Expand", start, graph.join([graph.integers(rows), batch, row], 0))
            for start, row in zip(
                starts, [graph.integers(*row) for row in own_axes.values()], strict=True
            )
        ]
        if stack.batch_first:
            sides = [graph.op("Transpose", side, perm=[1, 0, 2]) for side in sides]
        every = graph.join([graph.size(x, 0), batch, graph.integers(1)], 0) if sides else ""
        sides = [graph.op("Expand", side, every) for side in sides]
        # behind the lengths that are given, if any, those of full rows
        full = graph.op("Expand", graph.size(x, 0), batch)
        zero = graph.integers(0)
        lengths = graph.op("Slice", graph.join([lengths, full], 0), zero, batch, zero)
        ends = lengths_of(graph, lengths, x)
        last: list[list[Name]] = []
        for k in range(stack.num_layers):
            first = k * stack.directions
            own = [graph.slice(state, 0, first, first + stack.directions) for state in starts]
            x, after = self.layer(k).sequence(graph, x, own, ends, sides)
            last.append(after)
        y = graph.op("Transpose", x, perm=[1, 0, 2]) if stack.batch_first else x
        graph.output("y", y, np.float32, [*axes, stack.output_units * stack.directions])
        for (name, row), values in zip(own_axes.items(), zip(*last, strict=True), strict=True):
            shape: Shape = [rows, "batch", *row]
            graph.output(f"next_state.{name}", graph.join(values, 0), np.float32, shape)
        return graph

    def _sides(self, graph: Graph, axes: list[str]) -> list[Name]:
        """The cell's side inputs, as inputs of the graph."""
        sizes = self.layers.sizes(0)
        return [
            graph.input(f"input.{name}", np.float32, [*axes, sizes.width((size,))])
            for name, size in self.layers.cell.inputs
        ]

    def step(self) -> Graph:
        """The graph of one step."""
        graph, stack = Graph(self.opset), self.layers.stack
        x = graph.input("x", np.float32, ["batch", stack.input_size])
        shapes: dict[str, Shape] = {
            name: [stack.num_layers, "batch", *self.layers.state_axes(name)[1]]
            for name in self.layers.cell.states
        }
        starts = [graph.input(f"state.{name}", np.float32, shape) for name, shape in shapes.items()]
        sides = self._sides(graph, ["batch"])
        last: list[list[Name]] = []
        for k in range(stack.num_layers):
            own = [graph.squeeze(graph.slice(state, 0, k, k + 1), 0) for state in starts]
            x, after = self.layer(k).step(graph, x, own, sides)
            last.append([graph.unsqueeze(state, 0) for state in after])
        graph.output("y", x, np.float32, ["batch", stack.output_units])
        for (name, shape), values in zip(shapes.items(), zip(*last, strict=True), strict=True):
            graph.output(f"next_state.{name}", graph.join(values, 0), np.float32, shape)
        return graph

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the file says of itself."""
        stack = self.layers.stack
        heads = {"elman.heads": str(stack.heads), "elman.key_size": str(stack.keys)}
        return {
            **(heads if self.layers.cell.has_memory else {}),
            **({"elman.sizes": json.dumps(dict(stack.own))} if stack.own else {}),
            "elman.cell": self.layers.cell.name,
            "elman.equations": str(self.layers.cell),
            "elman.cell_graph": self.layers.cell.text,
            "elman.input_size": str(stack.input_size),
            "elman.hidden_size": str(stack.hidden_size),
            "elman.num_layers": str(stack.num_layers),
            "elman.bidirectional": str(stack.bidirectional).lower(),
            "elman.batch_first": str(stack.batch_first).lower(),
        }
