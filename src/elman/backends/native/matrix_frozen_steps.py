"""Steps of cells with a matrix state, with weights and memory that never change.

The products of a layer with its input are one call of compiled code (``frozen_steps.py``), the rest
of its step another: ``passes/memory.py`` leaves everything but products to the core.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

from elman.backends.engine import StepLayer
from elman.backends.native.frozen_steps import FrozenSteps
from elman.backends.native.matrix_states import Prepared, Run
from elman.graph import Cell, cell
from elman.graph.node import OPERATIONS, Node
from elman.graph.sizes import Sizes
from elman.passes.memory import MemoryParts, memory_parts
from elman.torch_mathematics import TorchMathematics

#: the parameters of a layer by family and gate
Parameters = dict[tuple[str, str], Tensor]

# unlike CFUNCTYPE, keeps the GIL: to release it takes as long as a small step
_CALL = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 4)


@cell
def _product(x, h, *, W):  # type: ignore[no-untyped-def]
    return W.o @ x


def can_be_frozen(own: Cell) -> bool:
    """Whether the products of a cell with a matrix state are of parameters with x alone."""
    parts = memory_parts(own.text, all_inside=True)
    varying = [node for node, fixed in zip(parts.early, parts.fixed, strict=True) if not fixed]
    return not own.inputs and all(map(_is_plain_product, varying))


def _is_plain_product(value: Node) -> bool:
    return [operand.operation for operand in value.operands] == ["matrix", "input"]


class MatrixFrozenSteps:
    """The layers' steps, one after another; see ``backends.engine.FrozenSteps``."""

    def __init__(self, layers: Sequence[StepLayer], batch: int, dtype: torch.dtype) -> None:
        self._parts: list[_Layer | FrozenSteps] = []
        for each in layers:
            if each.cell.has_memory:
                self._parts.append(_Layer(each, batch, dtype))
            else:
                self._parts.append(FrozenSteps([each], batch, dtype))
        for below, above in zip(self._parts, self._parts[1:], strict=False):
            above.expect(below.y)
        self.y = self._parts[-1].y

    def expect(self, x: Tensor) -> None:
        """Accept tensors like x from the next step on; the caller has checked it."""
        self._parts[0].expect(x)

    def step(self, x: Tensor) -> Tensor | None:
        """Run a step; returns ``y``, or ``None`` if x is not as expected."""
        for part in self._parts:
            y = part.step(x)
            if y is None:
                return None
            x = y
        return x

    def states(self) -> list[list[Tensor]]:
        """The states of each layer, in its memory."""
        return [state for part in self._parts for state in part.states()]


class _Layer:
    """One layer: its products, and the kernel of its core."""

    def __init__(self, layer: StepLayer, batch: int, dtype: torch.dtype) -> None:
        parts = memory_parts(layer.cell.text, all_inside=True)
        sizes = layer.sizes
        own: Parameters = {
            (p.family, p.gate): tensor.detach().to(dtype, copy=True)
            for p, tensor in zip(layer.cell.parameters, layer.parameters, strict=True)
        }
        self._products: list[FrozenSteps] = []
        sides = self._sides(parts, own, sizes, batch, dtype)
        states = [
            torch.zeros(batch, *sizes.axes(layer.cell.state_size(name)), dtype=dtype)
            for name in layer.cell.states
        ]
        run = Run(parts.core.text, sides, states, 1, None, False)
        call = Prepared(run)
        # the kernel runs one step on this memory, which the tensors here keep alive
        self._call = call
        self._record = call.recorded(states)
        self.y = torch.zeros(batch, sizes.hidden, dtype=dtype)
        words = [*call.numbers, self.y.data_ptr(), self._record.data_ptr(), 0]
        self._table = array("q", [*words, *[side.data_ptr() for side in call.sides]])
        self._arguments = (self._table.buffer_info()[0], 0, batch * sizes.heads, 1, 0)
        self._kernel = _CALL(call.compiled.address("forward"))

    def _sides(
        self,
        parts: MemoryParts,
        own: Parameters,
        sizes: Sizes,
        batch: int,
        dtype: torch.dtype,
    ) -> list[Tensor]:
        """The side inputs of the core: parameters, and where the products are written."""
        products = [node for node, fixed in zip(parts.early, parts.fixed, strict=True) if not fixed]
        matrices = [own[node.operands[0].attribute[:2]] for node in products]
        # one product if its parts lie one after another
        groups = [matrices] if batch == 1 else [[matrix] for matrix in matrices]
        outputs: list[Tensor] = []
        for group in groups:
            joined = torch.cat(group)
            shape = Sizes(sizes.input, len(joined))
            steps = FrozenSteps([StepLayer(_product, [joined], shape)], batch, dtype)
            self._products.append(steps)
            outputs += steps.y.split([len(matrix) for matrix in group], 1)
        found, written = [], iter(outputs)
        for node, (_, size), fixed in zip(parts.early, parts.core.inputs, parts.fixed, strict=True):
            axes = sizes.axes(size)
            if fixed:
                found.append(_fixed(node, own, sizes).expand(axes))
            else:
                found.append(next(written).view(1, batch, *axes))
        return found

    def expect(self, x: Tensor) -> None:
        """Accept tensors like x."""
        for product in self._products:
            product.expect(x)

    def step(self, x: Tensor) -> Tensor | None:
        """Run a step."""
        for product in self._products:
            if product.step(x) is None:
                return None
        self._kernel(*self._arguments)
        return self.y

    def states(self) -> list[list[Tensor]]:
        """The states as views of the kernel's memory, (batch, head, ...)."""
        return [self._call.views(self._record)]


def _fixed(node: Node, own: Parameters, sizes: Sizes) -> Tensor:
    """A value that depends on parameters alone, with the axes head, unit and key."""
    if node.operation == "vector":
        return own[node.attribute[:2]].reshape(sizes.axes(node.size))
    if node.operation == "constant":
        return torch.full((), node.attribute, dtype=next(iter(own.values())).dtype)
    rule = OPERATIONS[node.operation].evaluate
    assert rule is not None, f"{node.operation} has no definition"
    value: Tensor = rule(TorchMathematics, *[_fixed(o, own, sizes) for o in node.operands])
    return value
