"""A cell's equations as ONNX operators: one step inline, or all steps by a ``Scan``.

An operation's own row in the table of operations says what it is made of, so writing it down
for ONNX is evaluating it with a graph under construction for numbers.  What needs no state is
computed for all steps before the loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from elman.errors import ExportError
from elman.export.onnx_format.graph import Graph, Name
from elman.export.onnx_format.matrices import matrices_of, name_of_matrix
from elman.graph import Cell
from elman.graph.node import OPERATIONS, Node, ancestors, intern
from elman.graph.ops import CONDITIONS
from elman.graph.sizes import Sizes
from elman.passes import PackedProduct, hoist, pack, simplify

INPUT = intern("input", (), None)
#: the leaves that have a value at each step
VARYING = frozenset({"input", "side"})


class OnnxMathematics:
    """The functions in which the table of operations is written (``ops.Mathematics``)."""

    _OPERATORS: ClassVar[dict[str, str]] = {
        "add": "Add",
        "subtract": "Sub",
        "multiply": "Mul",
        "divide": "Div",
        "negate": "Neg",
        "exp": "Exp",
        "log": "Log",
        "softplus": "Softplus",
        "sqrt": "Sqrt",
        "sin": "Sin",
        "cos": "Cos",
        "floor": "Floor",
        "tanh": "Tanh",
        "sigmoid": "Sigmoid",
        "relu": "Relu",
        "maximum": "Max",
        "minimum": "Min",
        "greater": "Greater",
        "at_least": "GreaterOrEqual",
        "where": "Where",
    }

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __getattr__(self, function: str) -> object:
        operator = self._OPERATORS.get(function)
        if operator is None:
            raise ExportError(f"the function {function} of the language of cells has no ONNX form.")
        return lambda *operands: self.graph.op(operator, *operands)

    def mean(self, a: Name) -> Name:
        """Over the last axis, which stays."""
        return self.graph.reduce("ReduceMean", a, -1)

    def key_sum(self, a: Name) -> Name:
        """Over the keys of each head, the last axis, which stays."""
        return self._sum(a, -1)

    def unit_sum(self, a: Name) -> Name:
        """Over the units of each head."""
        return self._sum(a, -2)

    def head_sum(self, a: Name) -> Name:
        """Over the units and keys of each head."""
        return self._sum(a, -2, -1)

    def _sum(self, a: Name, *axes: int) -> Name:
        return self.graph.op("ReduceSum", a, self.graph.integers(*axes), keepdims=1)

    def rsqrt(self, a: Name, offset: float) -> Name:
        """1 / sqrt(a + offset)"""
        shifted = self.graph.op("Add", a, self.graph.constant(offset))
        return self.graph.op("Reciprocal", self.graph.op("Sqrt", shifted))


def loop(
    graph: Graph,
    body: Graph,
    name: str,
    states: Sequence[Name],
    sequences: Sequence[Name],
    *,
    reverse: bool,
) -> tuple[Name, list[Name]]:
    """The outputs of all steps, and the last states, of a body that runs over sequences."""
    direction = int(reverse)
    *last, outputs = graph.ops(
        "Scan",
        *states,
        *sequences,
        outputs=len(states) + 1,
        body=body.proto(name),
        num_scan_inputs=len(sequences),
        scan_input_directions=[direction] * len(sequences),
        scan_output_directions=[direction],
    )
    return outputs, last


@dataclass(frozen=True)
class Equations:
    """A cell with its parameters, in the cell's order, ready to be written into a graph."""

    cell: Cell
    sizes: Sizes
    parameters: Sequence[np.ndarray]

    def step(
        self, graph: Graph, x: Name, states: Sequence[Name], sides: Sequence[Name] = ()
    ) -> list[Name]:
        """The next states (batch, hidden) from x (batch, input) and the states.

        ``sides`` are the cell's side inputs, (batch, size).
        """
        roots = hoist(simplify(self.cell.next_states)).roots
        values = self._given(x, sides) | self._state_values(states)
        self._write(graph, nodes_of(roots), values)
        return [
            self._fill(graph, root, values[root], state)
            for root, state in zip(roots, states, strict=True)
        ]

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
        hoisted = hoist(simplify(self.cell.next_states))
        everything = nodes_of(hoisted.roots)
        values = self._given(x, sides)
        self._write(graph, [node for node in everything if node in hoisted.before], values)
        # values of each step go into the loop as sequences, those of parameters are seen from it
        step = [node for node in everything if node not in hoisted.before]
        used = {operand for node in step for operand in node.operands} | {*hoisted.roots}
        each_step = [node for node in values if node in used and _is_made_of(node, VARYING)]

        body = Graph(graph.opset, graph)
        widths = [self.sizes.width((leaf.size,)) for leaf in self.cell.state_leaves]
        # the names of outputs of the whole graph, such as y, stay free
        old = [
            body.input(f"{name}_before", np.float32, ["batch", width])
            for name, width in zip(self.cell.states, widths, strict=True)
        ]
        here = {n: value for n, value in values.items() if not _is_made_of(n, VARYING)}
        running = body.input("running", np.bool_, ["batch", 1])
        for node in each_step:
            here[node] = body.input(
                "x_t" if node is INPUT else node.operation,
                np.bool_ if node.operation in CONDITIONS else np.float32,
                ["batch", self.sizes.width((node.size,))],
            )
        here |= self._state_values(old)
        self._write(body, step, here)
        following = [
            body.op("Where", running, here[root], state)
            for root, state in zip(hoisted.roots, old, strict=True)
        ]
        y = body.op("Where", running, here[hoisted.roots[0]], body.constant(0.0))
        for name, value, width in zip(self.cell.states, following, widths, strict=True):
            body.output(f"{name}_after", value, np.float32, ["batch", width])
        body.output("y_t", y, np.float32, ["batch", widths[0]])

        sequences = [inside, *[values[node] for node in each_step]]
        return loop(graph, body, self.cell.name, states, sequences, reverse=reverse)

    def _given(self, x: Name, sides: Sequence[Name]) -> dict[Node, Name]:
        return {INPUT: x} | dict(zip(self.cell.side_leaves, sides, strict=True))

    def _state_values(self, states: Sequence[Name]) -> dict[Node, Name]:
        return dict(zip(self.cell.state_leaves, states, strict=True))

    def _write(self, graph: Graph, nodes: Iterable[Node], values: dict[Node, Name]) -> None:
        """Add operators for these nodes, operands first; ``values`` gains their names."""
        arrays: dict[tuple[str, ...], np.ndarray] = {
            (p.kind, p.family, p.gate): array
            for p, array in zip(self.cell.parameters, self.parameters, strict=True)
        }
        mathematics = OnnxMathematics(graph)
        wanted = [node for node in nodes if node not in values and node.size != "matrix"]
        matrices = matrices_of(self.cell, nodes, self.parameters, self.sizes)
        for node in [leaf for leaf in _leaves_of(wanted) if leaf not in values]:
            if node.operation == "constant":
                values[node] = graph.constant(node.attribute)
            elif node.operation == "vector":
                family, gate = node.attribute[:2]
                values[node] = graph.constant(
                    arrays["vector", family, gate], hint=f"{family}.{gate}"
                )
        for item in pack([node for node in wanted if node.operands]):
            if isinstance(item, PackedProduct):
                self._product(graph, item, matrices, values)
                continue
            rule = OPERATIONS[item.operation].evaluate
            if rule is None:
                raise ExportError(
                    f"{self.cell.name}: the operation {item.operation} has no ONNX form."
                )
            values[item] = rule(mathematics, *[values[operand] for operand in item.operands])

    def _product(
        self,
        graph: Graph,
        item: PackedProduct,
        matrices: Mapping[Node, np.ndarray],
        values: dict[Node, Name],
    ) -> None:
        """Products of one operand with several matrices as one product."""
        blocks = [
            matrices[node.operands[0]][:, self.sizes.columns(node.attribute)]
            for node in item.products
        ]
        keys = [name_of_matrix(node.operands[0]) for node in item.products]
        matrix = graph.constant(np.concatenate(blocks).T, hint="_".join(keys))
        product = graph.op("MatMul", values[item.operand], matrix)
        if len(blocks) == 1:
            parts = [product]
        else:
            heights = graph.integers(*[len(block) for block in blocks])
            parts = graph.ops("Split", product, heights, outputs=len(blocks), axis=-1)
        values.update(zip(item.products, parts, strict=True))

    def _fill(self, graph: Graph, node: Node, value: Name, like: Name) -> Name:
        """A value that is made from parameters only, repeated for each row."""
        if _is_made_of(node, VARYING | {"state"}):
            return value
        return graph.op("Expand", value, graph.op("Shape", like))


def nodes_of(roots: Sequence[Node]) -> tuple[Node, ...]:
    """The nodes that roots depend on, without what matrices are computed from."""
    return ancestors(roots, {node for node in ancestors(roots) if node.size == "matrix"})


def _is_made_of(node: Node, leaves: Set[str]) -> bool:
    """Whether one of these leaves has a part in the value."""
    return any([leaf.operation in leaves for leaf in ancestors([node])])


def _leaves_of(nodes: Iterable[Node]) -> list[Node]:
    """The constants and vectors that nodes are made from, and those among them."""
    every = [leaf for node in nodes for leaf in (node, *node.operands)]
    return [*dict.fromkeys([leaf for leaf in every if leaf.operation in {"constant", "vector"}])]
