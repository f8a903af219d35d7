"""Steps of a layer with a matrix state, with weights and memory that never change.

Products of matrices with x are kernels of their own, other values that need no state another
(``row_values.py``); the rest of a step is the kernel of the core that ``passes/memory.py`` leaves.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from elman.backends.engine import StepLayer
from elman.backends.native.frozen_steps import Link, Steps, link_of, steps_of_layer
from elman.backends.native.known import Parameters, by_name, known_values
from elman.backends.native.layer_calls import INPUT, inputs_of
from elman.backends.native.matrix_states import Prepared, Run
from elman.backends.native.row_values import RowValues, Wanted, can_compute
from elman.graph import cell
from elman.graph.node import OPERATIONS, Node, intern
from elman.graph.sizes import Sizes
from elman.passes.memory import MemoryParts, memory_parts
from elman.torch_mathematics import TorchMathematics


class NotFrozen(Exception):
    """The kernels do not have what a step needs."""


@cell
def _product(x, h, *, W):  # type: ignore[no-untyped-def]
    return W.o @ x


#: where the kernel's table has the addresses of y and of the states' record
Y_WORD, RECORD_WORD = 4, 5


@dataclass
class MatrixSteps(Steps):
    """The steps of a layer; a head's states are ``record`` numbers of a tensor (..., record).

    ``parts_of`` returns the states in such a tensor, as views: (..., unit), (..., unit, key) ...
    """

    record: int = 0
    parts_of: Callable[[Tensor], list[Tensor]] = list


def steps_of_matrix_layer(layer: StepLayer, batch: int, dtype: torch.dtype) -> MatrixSteps:
    """The steps of a layer whose cell has a matrix state.

    Raises ``NotFrozen`` if x or a side input is used in a way that no kernel has.
    """
    parts = memory_parts(layer.cell.text, all_inside=True)
    sizes = layer.sizes
    own = by_name(layer.cell, layer.parameters, dtype)
    before = _Before(layer, parts, own, batch, dtype)
    states = [
        torch.zeros(batch, *sizes.axes(layer.cell.state_size(name)), dtype=dtype, device="cpu")
        for name in layer.cell.states
    ]
    call = Prepared(Run(parts.core.text, before.values, states, 1, None, False))
    record = call.recorded(states)
    y = torch.zeros(batch, sizes.hidden, dtype=dtype, device="cpu")
    words = [*call.numbers, y.data_ptr(), record.data_ptr(), 0]
    first = len(words)
    table = array("q", [*words, *[side.data_ptr() for side in call.sides]])
    given = [(first + k, number) for k, number in before.given]
    link = Link(call.compiled.address("step"), [table.buffer_info()[0]] * 2, [table], sides=given)
    kept = [before, call, record, table]
    return MatrixSteps(
        [*before.links, link], y, lambda turn: call.views(record), kept, call.record, call.views
    )


class _Before:
    """What a core takes: constants, products, the caller's side inputs, and other values."""

    def __init__(
        self,
        layer: StepLayer,
        parts: MemoryParts,
        own: Parameters,
        batch: int,
        dtype: torch.dtype,
    ) -> None:
        self.links: list[Link] = []
        #: the values as tensors with the axes head, unit and key
        self.values: list[Tensor] = []
        #: which of them are side inputs of the caller's
        self.given: list[tuple[int, int]] = []
        self._kept: list[object] = []
        sizes, of = layer.sizes, layer.cell
        sides = {intern("side", (), side): k for k, side in enumerate(of.inputs)}
        varying = [n for n, fixed in zip(parts.early, parts.fixed, strict=True) if not fixed]
        wanted = {
            node: _width(sizes, size)
            for node, (_, size) in zip(parts.early, parts.core.inputs, strict=True)
        }
        # a number that the core has for each head is repeated, as a value of its own
        numbers = {
            node: sides[node]
            for node in varying
            if node in sides and sizes.width((node.size,)) == wanted[node]
        }
        products = [
            node
            for node in varying
            if _is_plain_product(node) and len(own[node.operands[0].attribute[:2]]) == wanted[node]
        ]
        made = self._products(products, own, sizes, batch, dtype)
        others = [n for n in varying if n not in made and n not in numbers]
        if others:
            inputs = inputs_of(of, sizes)
            groups = [[Wanted(node, wanted[node])] for node in others]
            known = known_values(others, own, sizes, dtype)
            if not can_compute(others, known, inputs, sizes):
                raise NotFrozen
            title = f"early values of {of.name}"
            values = RowValues(groups, known, inputs, sizes, batch, dtype, title=title)
            self._kept.append(values)
            x = [(values.words, slot) for node, slot in values.slots.items() if node is INPUT]
            self.links.append(link_of(values, of, x))
            made |= dict(zip(others, values.outputs, strict=True))
        for k, (node, (_, size), fixed) in enumerate(
            zip(parts.early, parts.core.inputs, parts.fixed, strict=True)
        ):
            axes = sizes.axes(size)
            if fixed:
                self.values.append(_fixed(node, own, sizes, dtype).expand(axes))
            elif node in made:
                self.values.append(made[node].view(1, batch, *axes))
            else:
                self.given.append((k, numbers[node]))
                self.values.append(torch.zeros(1, batch, *axes, dtype=dtype, device="cpu"))

    def _products(
        self,
        products: Sequence[Node],
        own: Parameters,
        sizes: Sizes,
        batch: int,
        dtype: torch.dtype,
    ) -> dict[Node, Tensor]:
        """Products of a parameter with x."""
        matrices = [own[node.operands[0].attribute[:2]] for node in products]
        # one product if its parts lie one after another
        groups = [matrices] if batch == 1 and matrices else [[matrix] for matrix in matrices]
        outputs: list[Tensor] = []
        for group in groups:
            joined = torch.cat(group)
            shape = Sizes(sizes.input, len(joined))
            steps = steps_of_layer(StepLayer(_product, [joined], shape), batch, dtype)
            self.links += steps.links
            self._kept.append(steps)
            outputs += steps.y.split([len(matrix) for matrix in group], 1)
        return dict(zip(products, outputs, strict=True))


def _is_plain_product(value: Node) -> bool:
    return [operand.operation for operand in value.operands] == ["matrix", "input"]


def _width(sizes: Sizes, size: str) -> int:
    heads, units, keys = sizes.axes(size)
    return heads * units * keys


def _fixed(node: Node, own: Parameters, sizes: Sizes, dtype: torch.dtype) -> Tensor:
    """A value that depends on parameters alone, with the axes head, unit and key."""
    if node.operation == "vector":
        return own[node.attribute[:2]].reshape(sizes.axes(node.size))
    if node.operation == "constant":
        return torch.full((), node.attribute, dtype=dtype, device="cpu")
    rule = OPERATIONS[node.operation].evaluate
    assert rule is not None, f"{node.operation} has no definition"
    value: Tensor = rule(TorchMathematics, *[_fixed(o, own, sizes, dtype) for o in node.operands])
    return value
