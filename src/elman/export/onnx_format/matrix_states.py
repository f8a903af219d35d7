"""The equations of a cell with a matrix state as ONNX operators.

``passes/memory.py`` splits such a cell: what needs no state is computed for all steps at once, and
a ``Scan`` runs the rest.  Values have the axes (head, unit, key) last, of length 1 where they have
no such axis, after (time, batch) or, in a single step, after (batch,).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from elman.export.onnx_format.equations import VARYING, OnnxMathematics, loop, nodes_of
from elman.export.onnx_format.graph import Graph, Name
from elman.export.onnx_format.matrices import matrices_of, name_of_matrix
from elman.graph import Cell
from elman.graph.node import OPERATIONS, Node, ancestors, intern
from elman.graph.sizes import Sizes, columns_of
from elman.passes.memory import MemoryParts, memory_parts


@dataclass(frozen=True)
class MatrixEquations:
    """A cell with its parameters, in the cell's order, ready to be written into a graph."""

    cell: Cell
    sizes: Sizes
    parameters: Sequence[np.ndarray]

    @property
    def _parts(self) -> MemoryParts:
        return memory_parts(self.cell.text)

    def step(
        self, graph: Graph, x: Name, states: Sequence[Name], sides: Sequence[Name] = ()
    ) -> list[Name]:
        """The next states from x (batch, input), states and side inputs (batch, size)."""
        values = self._early(graph, x, sides, 1)
        old = self._with_axes(graph, states)
        found = self._following(graph, values, old)
        like = [graph.op("Shape", state) for state in old]
        found = [graph.op("Expand", v, shape) for v, shape in zip(found, like, strict=True)]
        return self._as_rows(graph, found)

    def scan(
        self,
        graph: Graph,
        x: Name,
        states: Sequence[Name],
        inside: Name,
        sides: Sequence[Name] = (),
        *,
        reverse: bool,
    ) -> tuple[Name, list[Name]]:
        """The outputs (time, batch, hidden) and the last states of x (time, batch, input).

        ``inside`` (time, batch, 1) says which steps a row has: elsewhere its states stay as they
        are and its output is zero.  ``sides`` are the cell's side inputs, (time, batch, size).
        """
        core, fixed = self._parts.core, self._parts.fixed
        values = self._early(graph, x, sides, 2)
        body = Graph(graph.opset, graph)
        shapes = [self.sizes.axes(self.cell.state_size(name)) for name in self.cell.states]
        old = [
            body.input(f"{name}_before", np.float32, ["batch", *shape])
            for name, shape in zip(self.cell.states, shapes, strict=True)
        ]
        running = body.input("running", np.bool_, ["batch", 1, 1, 1])
        here, sequences = [], [graph.unsqueeze(inside, 3, 4)]
        for (name, size), value, same in zip(core.inputs, values, fixed, strict=True):
            if same:  # seen from the loop as it is
                here.append(value)
                continue
            here.append(body.input(name, np.float32, ["batch", *self.sizes.axes(size)]))
            sequences.append(value)
        found = self._following(body, here, old)
        following = [
            body.op("Where", running, new, state) for new, state in zip(found, old, strict=True)
        ]
        y = body.op("Where", running, following[0], body.constant(0.0))
        for name, value, shape in zip(self.cell.states, following, shapes, strict=True):
            body.output(f"{name}_after", value, np.float32, ["batch", *shape])
        body.output("y_t", y, np.float32, ["batch", *shapes[0]])
        begun = self._with_axes(graph, states)
        outputs, last = loop(graph, body, self.cell.name, begun, sequences, reverse=reverse)
        y = graph.op("Reshape", outputs, graph.integers(0, 0, self.sizes.hidden))
        return y, self._as_rows(graph, last)

    def _with_axes(self, graph: Graph, states: Sequence[Name]) -> list[Name]:
        """States of rows with the axes (head, unit, key)."""
        sizes = [self.cell.state_size(name) for name in self.cell.states]
        return [
            graph.op("Reshape", state, graph.integers(0, *self.sizes.axes(size)))
            for state, size in zip(states, sizes, strict=True)
        ]

    def _as_rows(self, graph: Graph, states: Sequence[Name]) -> list[Name]:
        """States as a layer returns them, (batch, hidden), (batch, head, unit, key) ..."""
        sizes = [self.cell.state_size(name) for name in self.cell.states]
        return [
            graph.op("Reshape", state, graph.integers(0, *self.sizes.of_row(size)))
            for state, size in zip(states, sizes, strict=True)
        ]

    def _following(self, graph: Graph, sides: Sequence[Name], states: Sequence[Name]) -> list[Name]:
        """The next states of the core, from its side inputs and the old states."""
        core, mathematics = self._parts.core, OnnxMathematics(graph)
        leaves = [intern("side", (), side) for side in core.inputs]
        values = dict(zip([*leaves, *core.state_leaves], [*sides, *states], strict=True))
        for node in core.nodes:
            if node not in values:
                values[node] = self._value(graph, mathematics, node, values)
        return [values[node] for node in core.next_states]

    def _early(self, graph: Graph, x: Name, sides: Sequence[Name], leading: int) -> list[Name]:
        """The side inputs of the core; ``leading`` are the axes of x before the last."""
        parts, mathematics = self._parts, OnnxMathematics(graph)
        flat = {intern("input", (), None): x}
        leaves = [intern("side", (), side) for side in self.cell.inputs]
        flat |= dict(zip(leaves, sides, strict=True))
        values = {
            node: self._reshaped(graph, name, leading, *self.sizes.axes(node.size))
            for node, name in flat.items()
        }
        nodes = nodes_of(parts.early)
        matrices = matrices_of(self.cell, nodes, self.parameters, self.sizes)
        vectors = {
            (p.family, p.gate): array
            for p, array in zip(self.cell.parameters, self.parameters, strict=True)
        }
        for node in nodes:
            if node in values or node.size == "matrix":
                continue
            if node.operation == "vector":
                family, gate = node.attribute[:2]
                array = vectors[family, gate].reshape(self.sizes.axes(node.size))
                values[node] = graph.constant(array, hint=f"{family}.{gate}")
            elif node.operation == "product":
                values[node] = self._product(graph, node, matrices, values, flat, leading)
            else:
                values[node] = self._value(graph, mathematics, node, values)
        return [
            graph.op("Expand", values[node], graph.integers(*self.sizes.axes(size)))
            for node, (_, size) in zip(parts.early, parts.core.inputs, strict=True)
        ]

    def _product(
        self,
        graph: Graph,
        node: Node,
        matrices: Mapping[Node, np.ndarray],
        values: dict[Node, Name],
        flat: dict[Node, Name],
        leading: int,
    ) -> Name:
        """A matrix times one operand, or the sum of its blocks times several."""
        matrix, *factors = node.operands
        total: Name | None = None
        blocks = columns_of([factor.size for factor in factors])
        for factor, block in zip(factors, blocks, strict=True):
            axes = leading if _is_varying(factor) else 0
            row = flat.get(factor)
            if row is None:
                whole = graph.integers(*self.sizes.axes(block.size))
                row = graph.op("Expand", values[factor], whole)
                row = self._reshaped(graph, row, axes, self.sizes.width((block.size,)))
            weights = matrices[matrix][:, self.sizes.columns(block)].T
            stored = graph.constant(weights, hint=name_of_matrix(matrix))
            term = graph.op("MatMul", row, stored)
            term = self._reshaped(graph, term, axes, *self.sizes.axes(node.size))
            total = term if total is None else graph.op("Add", total, term)
        assert total is not None
        return total

    def _value(
        self, graph: Graph, mathematics: OnnxMathematics, node: Node, values: dict[Node, Name]
    ) -> Name:
        if node.operation == "constant":
            return graph.constant(node.attribute)
        rule = OPERATIONS[node.operation].evaluate
        assert rule is not None, f"{node.operation} has no definition"
        value: Name = rule(mathematics, *[values[operand] for operand in node.operands])
        return value

    def _reshaped(self, graph: Graph, value: Name, leading: int, *row: int) -> Name:
        """The value with another shape after its leading axes."""
        return graph.op("Reshape", value, graph.integers(*[0] * leading, *row))


def _is_varying(node: Node) -> bool:
    """Whether a value has been computed from x or side inputs."""
    return any([leaf.operation in VARYING for leaf in ancestors([node])])
