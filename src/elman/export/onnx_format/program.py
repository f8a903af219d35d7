"""A torch program as an ONNX graph: what ``torch.export`` makes of a model, operator by operator.

The recurrent layers of a program are calls of one operator with their cells as text, and become
what ``recurrent.py`` makes of them; everything around them goes through the table in
``operators.py``.  What depends on no input is computed here and stored as a constant.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from elman.errors import ExportError
from elman.export.onnx_format.graph import Graph, Name
from elman.export.onnx_format.operators import IGNORED, OPERATORS
from elman.export.onnx_format.recurrent import EVERY
from elman.export.onnx_format.values import Dynamic, Size, Values
from elman.export.traced import decomposed, traced


def program_of(
    module: nn.Module, example: Sequence[Tensor], axes: Sequence[Sequence[str | int]]
) -> Any:
    """The traced program of a module, taken apart into operators that have a row.

    Raises ``ExportError`` where its Python cannot be traced.
    """
    program = traced(module, example, axes)
    if all([_has_a_row(node) for node in program.graph.nodes]):
        return program
    table = torch.export.default_decompositions()
    for operator in [*table]:
        if str(operator) in OPERATORS:
            del table[operator]
    return decomposed(program, table)


class Translator(Values):
    """Writes a program's nodes into a graph."""

    def __init__(self, graph: Graph, *, native: Container[str] = EVERY) -> None:
        super().__init__(graph, native=native)
        self._values: dict[Any, Any] = {}

    def run(self, program: Any, inputs: Sequence[Name]) -> list[Name]:
        """The names of the program's outputs."""
        given = iter(inputs)
        signature = program.graph_signature
        stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        tensors = {**program.state_dict, **program.constants}
        lifted = signature.inputs_to_lifted_tensor_constants
        outputs: list[Name] = []
        for node in program.graph.nodes:
            if node.op == "placeholder":
                if node.name in stored or node.name in lifted:
                    key = stored.get(node.name) or lifted[node.name]
                    self._values[node] = tensors[key].detach()
                else:
                    self._values[node] = Dynamic(next(given))
            elif node.op == "output":
                outputs = [self.tensor(value) for value in self.value(node.args[0])]
            elif node.op == "call_function":
                self._values[node] = self._call(node)
            else:
                raise ExportError(f"the program has a {node.op}, which has no ONNX form.")
        return outputs

    def _call(self, node: Any) -> Any:
        name = _operator(node)
        if name in IGNORED:
            return None
        args = [self.value(argument) for argument in node.args]
        options = {key: self.value(value) for key, value in node.kwargs.items()}
        if not any([isinstance(v, Dynamic | Size) for v in _leaves([args, options])]):
            with torch.no_grad():
                return node.target(*args, **options)
        rule = OPERATORS.get(name)
        if rule is None:
            raise ExportError(f"the operator {name} of torch has no ONNX form here.")
        return rule(self, node, *args, **options)

    def value(self, argument: Any) -> Any:
        """An argument of a node, with values in place of nodes."""
        if isinstance(argument, torch.fx.Node):
            return self._values[argument]
        if isinstance(argument, list | tuple):
            return [self.value(each) for each in argument]
        return argument


def _operator(node: Any) -> str:
    """The name of a node's operator, as the table has it."""
    return str(node.target) if hasattr(node.target, "_schema") else str(node.target.__name__)


def _has_a_row(node: Any) -> bool:
    return node.op != "call_function" or _operator(node) in IGNORED | OPERATORS.keys()


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [leaf for each in value for leaf in _leaves(each)]
    if isinstance(value, Mapping):
        return [leaf for each in value.values() for leaf in _leaves(each)]
    return [value]
