"""A recurrent module as an ONNX model: whole sequences, or one step.

Whole sequences: ``x`` (time, batch, input), batch first where the module is, and, if one likes,
``lengths`` (batch,) and ``state.h`` ... (layers * directions, batch, size) by the cell's names;
left out, rows are full and states zero, or those that the layer has learned to begin with.  Out
come ``y`` and ``next_state.h`` ...: an ONNX graph has one value of a name, so what is to be fed in
again as ``state.h`` comes out with "next_" before it.  One step: ``x`` (batch, input) and all
states, which are needed then, unless the layer has learned some.

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
from elman.nn.between import EPSILON


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
        starts = self._starts(graph, rows)
        sides = self._sides(graph, ["batch", "steps"] if stack.batch_first else ["steps", "batch"])
        x = graph.op("Transpose", given, perm=[1, 0, 2]) if stack.batch_first else given
        batch = graph.size(x, 1)
        starts = self._for_each_row(graph, starts, rows, batch)
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
            first, given = k * stack.directions, self._input(graph, k, x)
            own = [graph.slice(state, 0, first, first + stack.directions) for state in starts]
            y, after = self.layer(k).sequence(graph, given, own, ends, sides)
            x = self._output(graph, k, y, given, ends.inside)
            last.append(after)
        y = graph.op("Transpose", x, perm=[1, 0, 2]) if stack.batch_first else x
        graph.output("y", y, np.float32, [*axes, stack.output_size])
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

    def _starts(self, graph: Graph, rows: int) -> list[Name]:
        """The initial states, as inputs of the graph that may be left out."""
        initial = self.layers.others.initial
        found = []
        for n, name in enumerate(self.layers.cell.states):
            _, row = self.layers.state_axes(name)
            zeros = np.zeros((rows, 1, *row), np.float32)
            default = initial[n].numpy() if initial else zeros
            found.append(graph.input(f"state.{name}", np.float32, [rows, "rows", *row], default))
        return found

    def _for_each_row(self, graph: Graph, starts: list[Name], rows: int, batch: Name) -> list[Name]:
        """Initial states of one row, or of each."""
        axes = [self.layers.state_axes(name)[1] for name in self.layers.cell.states]
        return [
            graph.op("Expand", start, graph.join([graph.integers(rows), batch, row], 0))
            for start, row in zip(starts, [graph.integers(*row) for row in axes], strict=True)
        ]

    def _input(self, graph: Graph, k: int, x: Name) -> Name:
        """The input of layer k from the output of the one below."""
        if k == 0 or not self.layers.stack.between.norm:
            return x
        scale, bias = [
            graph.constant(tensor.numpy(), hint=f"norm_{k}")
            for tensor in self.layers.others.norms[k - 1]
        ]
        return graph.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=EPSILON)

    def _output(self, graph: Graph, k: int, y: Name, given: Name, inside: Name | None) -> Name:
        """The output of layer k from those of its directions, side by side, and its input."""
        stack = self.layers.stack
        between, units = stack.between, stack.output_units
        if between.merge != "concatenate":
            both = [graph.slice(y, 2, d * units, (d + 1) * units) for d in range(2)]
            y = graph.op("Add", *both)
            y = y if between.merge == "sum" else graph.op("Mul", y, graph.constant(0.5))
        if not between.residual or stack.layer_input_size(k) != stack.output_size:
            return y
        if inside is not None:
            given = graph.op("Where", inside, given, graph.constant(0.0))
        return graph.op("Add", y, given)

    def step(self) -> Graph:
        """The graph of one step."""
        graph, stack = Graph(self.opset), self.layers.stack
        x = graph.input("x", np.float32, ["batch", stack.input_size])
        shapes: dict[str, Shape] = {
            name: [stack.num_layers, "batch", *self.layers.state_axes(name)[1]]
            for name in self.layers.cell.states
        }
        if self.layers.others.initial:
            starts = self._starts(graph, stack.num_layers)
            starts = self._for_each_row(graph, starts, stack.num_layers, graph.size(x, 0))
        else:
            starts = [graph.input(f"state.{n}", np.float32, shape) for n, shape in shapes.items()]
        sides = self._sides(graph, ["batch"])
        last: list[list[Name]] = []
        for k in range(stack.num_layers):
            own = [graph.squeeze(graph.slice(state, 0, k, k + 1), 0) for state in starts]
            given = self._input(graph, k, x)
            y, after = self.layer(k).step(graph, given, own, sides)
            x = self._output(graph, k, y, given, None)
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
            **{
                f"elman.{name}": json.dumps(value)
                for name, value in stack.between.changed().items()
            },
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
