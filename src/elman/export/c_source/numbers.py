"""What follows from a layer's weights alone, as numbers; matrices as int8 where that is wanted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from elman.errors import ExportError
from elman.graph import Cell
from elman.graph.node import OPERATIONS, Node, Size, ancestors
from elman.graph.sizes import Sizes
from elman.torch_mathematics import TorchMathematics

#: the largest magnitude of a weight in int8; -128 is not used, so that signs are alike
LARGEST = 127


class Numbers:
    """The weights of a layer and the values that follow from them, in float64.

    With ``quantized`` a matrix is integers from -127 to 127 and a scale for each row.
    Raises ``ExportError`` for a weight that is not a finite number.
    """

    def __init__(
        self, cell: Cell, parameters: Sequence[Tensor], sizes: Sizes, *, quantized: bool
    ) -> None:
        self.quantized, self._sizes, self._has_memory = quantized, sizes, cell.has_memory
        self._matrices: dict[tuple[str, str], Tensor] = {}
        self._scales: dict[tuple[str, str], Tensor] = {}
        self._values: dict[Node, Tensor] = {}
        self._vectors: dict[tuple[str, str], Tensor] = {}
        for parameter, tensor in zip(cell.parameters, parameters, strict=True):
            key, wide = (parameter.family, parameter.gate), tensor.double()
            if not bool(torch.isfinite(wide).all()):
                raise ExportError(
                    f"{cell.name}: {parameter.key} holds a number that is not finite, which no "
                    "file can compute with; train the model anew."
                )
            if parameter.kind == "vector":
                self._vectors[key] = wide.reshape(self._shape(parameter.size))
            elif quantized:
                self._matrices[key], self._scales[key] = to_int8(wide)
            else:
                self._matrices[key] = wide

    def matrix(self, key: tuple[str, str]) -> Tensor:
        """A matrix as it is stored."""
        return self._matrices[key]

    def scale(self, key: tuple[str, str]) -> Tensor:
        """The scale of each row of a matrix."""
        return self._scales[key]

    def flat(self, node: Node, size: Size) -> Tensor:
        """A value that follows from weights alone, repeated to a size, in the order of C's arrays.

        That of a value for each unit and key is [head][key][unit].
        """
        return as_array(self._value(node).expand(self._shape(size)), size)

    def _shape(self, size: Size) -> tuple[int, ...]:
        """(size,), or with a matrix state the axes (head, unit, key)."""
        return self._sizes.axes(size) if self._has_memory else (self._sizes.width((size,)),)

    def _value(self, node: Node) -> Tensor:
        for each in ancestors([node], self._values):
            if each not in self._values and each.operation != "matrix":
                self._values[each] = self._evaluate(each)
        return self._values[node]

    def _evaluate(self, node: Node) -> Tensor:
        if node.operation == "constant":
            return torch.tensor(node.attribute, dtype=torch.float64)
        if node.operation == "vector":
            return self._vectors[node.attribute[:2]]
        if node.operation == "product":
            leaf, *factors = node.operands
            key = leaf.attribute[:2]
            matrix = self._matrices[key]
            if key in self._scales:
                matrix = matrix * self._scales[key][:, None]
            whole = torch.cat([self.flat(factor, factor.size) for factor in factors])
            return (matrix @ whole).reshape(self._shape(node.size))
        rule = OPERATIONS[node.operation].evaluate
        assert rule is not None, node.operation
        found: Tensor = rule(TorchMathematics, *[self._values[n] for n in node.operands])
        return found


def as_array(value: Tensor, size: Size) -> Tensor:
    """A row's value in the order of C's arrays; that of a matrix state is [head][key][unit].

    >>> as_array(torch.tensor([[[1, 2], [3, 4]]]), "memory")
    tensor([1, 3, 2, 4])
    """
    return (value.transpose(-1, -2) if size == "memory" else value).reshape(-1)


def to_int8(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Integers from -127 to 127 and the scale of each row.

    >>> import torch
    >>> whole, scale = to_int8(torch.tensor([[1.0, -2.0], [0.0, 0.0]]))
    >>> whole.tolist(), [round(float(s), 4) for s in scale]
    ([[64.0, -127.0], [0.0, 0.0]], [0.0157, 1.0])
    """
    largest = matrix.abs().amax(1)
    scale = torch.where(largest > 0, largest / LARGEST, 1.0)
    return torch.round(matrix / scale[:, None]), scale


def as_int8(matrix: Tensor) -> Tensor:
    """The matrix as int8 holds it; the scale is written as a float."""
    whole, scale = to_int8(matrix.double())
    return (whole * scale.float().double()[:, None]).to(matrix.dtype)
