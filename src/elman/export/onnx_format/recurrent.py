"""Recurrent layers in an ONNX graph: the operator that ONNX has for the cell, or its equations.

``sequence`` runs a layer of one or both directions over whole sequences, ``step`` one time step.
Rows keep their own lengths: past it, the output is zero and the state stays as it was.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elman.export.onnx_format.equations import Equations
from elman.export.onnx_format.graph import Graph, Name
from elman.export.onnx_format.matrix_states import MatrixEquations
from elman.graph import Cell
from elman.graph.sizes import Sizes
from elman.passes.recognise import USUAL, Operator, recognise
from elman.passes.separate import is_of_units

#: the recurrent operators of ONNX
EVERY = frozenset(USUAL)


@dataclass(frozen=True)
class Lengths:
    """The rows' lengths in the forms that operators want."""

    #: (batch,), int32
    rows: Name
    #: (time, batch, 1), whether a row has this step
    inside: Name
    #: (batch, 1), whether a row has no step at all
    empty: Name


def lengths_of(graph: Graph, lengths: Name, x: Name) -> Lengths:
    """From lengths (batch,) int64 and x (time, batch, ...)."""
    time = graph.squeeze(graph.size(x, 0), 0)
    zero, one = graph.constant(0, np.int64), graph.constant(1, np.int64)
    steps = graph.unsqueeze(graph.op("Range", zero, time, one), 1)  # time 1
    inside = graph.op("Less", steps, lengths)  # time batch
    return Lengths(
        graph.cast(lengths, np.int32),
        graph.unsqueeze(inside, 2),
        graph.unsqueeze(graph.op("Equal", lengths, zero), 1),
    )


@dataclass(frozen=True)
class Layer:
    """A layer's equations and weights: ``parameters[direction]``, in the cell's order.

    ``native`` are the operators of ONNX to use; other cells' equations are written out.
    """

    cell: Cell
    sizes: Sizes
    parameters: Sequence[Sequence[np.ndarray]]
    native: Container[str] = EVERY

    def sequence(
        self,
        graph: Graph,
        x: Name,
        states: Sequence[Name],
        lengths: Lengths,
        sides: Sequence[Name] = (),
        *,
        reverse: bool = False,
    ) -> tuple[Name, list[Name]]:
        """The outputs (time, batch, directions * hidden) and the last states.

        ``x`` is (time, batch, input), each state (directions, batch, hidden), or with the axes of a
        matrix state, and each of the cell's side inputs (time, batch, size).  ``reverse`` is for a
        layer of one direction that runs from each row's end.
        """
        operator = self._operator()
        if operator is not None:
            return self._native(graph, operator, x, states, lengths, reverse=reverse)
        outputs, last = [], []
        for direction, parameters in enumerate(self.parameters):
            own = [
                graph.squeeze(graph.slice(state, 0, direction, direction + 1), 0)
                for state in states
            ]
            y, after = self._equations(parameters).scan(
                graph, x, own, lengths.inside, sides, reverse=reverse or direction == 1
            )
            outputs.append(y)
            last.append([graph.unsqueeze(state, 0) for state in after])
        return graph.join(outputs, 2), [graph.join(each, 0) for each in zip(*last, strict=True)]

    def step(
        self, graph: Graph, x: Name, states: Sequence[Name], sides: Sequence[Name] = ()
    ) -> tuple[Name, list[Name]]:
        """The output (batch, hidden) and the next states (batch, hidden) of x (batch, input).

        ``sides`` are the cell's side inputs, (batch, size).
        """
        operator = self._operator()
        if operator is None:
            following = self._equations(self.parameters[0]).step(graph, x, states, sides)
            return following[0], following
        time = graph.unsqueeze(x, 0)
        begun = [graph.unsqueeze(state, 0) for state in states]
        outputs = self._node(graph, operator, time, begun, "", "forward")
        following = [graph.squeeze(state, 0) for state in outputs[1:]]
        return following[0], following

    def _equations(self, parameters: Sequence[np.ndarray]) -> Equations | MatrixEquations:
        kind = MatrixEquations if self.cell.has_memory else Equations
        return kind(self.cell, self.sizes, parameters)

    def _operator(self) -> Operator | None:
        if not is_of_units(self.cell.text):
            return None
        found = recognise(self.cell)
        return found if found is not None and found.name in self.native else None

    def _native(
        self,
        graph: Graph,
        operator: Operator,
        x: Name,
        states: Sequence[Name],
        lengths: Lengths,
        *,
        reverse: bool,
    ) -> tuple[Name, list[Name]]:
        both = len(self.parameters) == 2
        direction = "bidirectional" if both else "reverse" if reverse else "forward"
        y, *last = self._node(graph, operator, x, states, lengths.rows, direction)
        if both:  # time direction batch hidden -> time batch direction * hidden
            y = graph.op("Transpose", y, perm=[0, 2, 1, 3])
            y = graph.op("Reshape", y, graph.integers(0, 0, 2 * self.sizes.hidden))
        else:
            y = graph.squeeze(y, 1)
        # ONNX Runtime gives zeros for the last state of a row without steps
        last = [
            graph.op("Where", lengths.empty, before, after)
            for before, after in zip(states, last, strict=True)
        ]
        return y, last

    def _node(
        self,
        graph: Graph,
        operator: Operator,
        x: Name,
        states: Sequence[Name],
        lengths: Name,
        direction: str,
    ) -> list[Name]:
        """The operator itself; y is (time, direction, batch, hidden)."""
        weights = [_weights(operator, self.cell, own, self.sizes) for own in self.parameters]
        stored = {
            name: graph.constant(np.stack([own[name] for own in weights]), hint=name)
            for name in weights[0]
        }
        given = [x, stored["W"], stored["R"], stored["B"], lengths, *states]
        if operator.name == "LSTM" and "P" in stored:
            given.append(stored["P"])
        attributes: dict[str, Any] = dict(operator.attributes)
        if operator.activations != USUAL[operator.name]:
            attributes["activations"] = [*operator.activations] * len(weights)
        if direction != "forward":
            attributes["direction"] = direction
        return graph.ops(
            operator.name,
            *given,
            outputs=1 + len(states),
            hidden_size=self.sizes.hidden,
            **attributes,
        )


def _weights(
    operator: Operator, cell: Cell, parameters: Sequence[np.ndarray], sizes: Sizes
) -> dict[str, np.ndarray]:
    """W, R, B and, where a gate sees the memory, P of one direction."""
    arrays = {
        (p.family, p.gate): array for p, array in zip(cell.parameters, parameters, strict=True)
    }
    vector = np.zeros(sizes.hidden, np.float32)
    matrices = {
        side: np.zeros((sizes.hidden, width), np.float32)
        for side, width in (("x", sizes.input), ("h", sizes.hidden))
    }
    w, r = [
        [gate.matrix(side, arrays, sizes, zeros) for gate in operator.gates]
        for side, zeros in matrices.items()
    ]
    biases = [
        gate.vector(f"bias_{side}", arrays, vector) for side in "xh" for gate in operator.gates
    ]
    found = {"W": np.concatenate(w), "R": np.concatenate(r), "B": np.concatenate(biases)}
    if any([gate.peephole for gate in operator.gates]):
        seeing = [gate.vector("peephole", arrays, vector) for gate in operator.gates[:3]]
        found["P"] = np.concatenate(seeing)
    return found
