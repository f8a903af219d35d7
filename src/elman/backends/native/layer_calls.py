"""The calls of compiled code that are one step of a layer: its cell, and what comes before it.

A cell is separated (``passes/separate.py``): values that need no state are computed by
``row_values.py``, and so are functions of x that matrices multiply; the rest is the kernel of the
core.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from elman.backends.native.kernels import layer_of
from elman.backends.native.known import Parameters, by_name, known_values
from elman.backends.native.layer_tables import LayerTables, Table
from elman.backends.native.llvm.target import chosen_target
from elman.backends.native.programs import programs_of
from elman.backends.native.row_values import RowValues, Wanted
from elman.graph import Cell
from elman.graph.node import Node, intern
from elman.graph.sizes import Sizes
from elman.passes.separate import Separated, separated

INPUT = intern("input", (), None)
#: memory that holds addresses
Words = MutableSequence[int] | memoryview


class Place(NamedTuple):
    """Where a table has the address of a side input, by its number."""

    words: Words
    slot: int
    number: int


class LayerCalls:
    """The kernel of a layer without a matrix state, and the calls before it.

    ``pack`` comes first; ``tables`` of the kernel are then completed by ``fill``.
    """

    def __init__(
        self, cell: Cell, sizes: Sizes, batch: int, dtype: torch.dtype, *, int8: bool = False
    ) -> None:
        self._cell, self._sizes, self._batch, self._dtype = cell, sizes, batch, dtype
        self._parts = separated(cell.text, join=True)
        core = cell if self._parts is None else self._parts.core
        self.core_sizes = sizes if self._parts is None else self._parts.sizes_of_core(sizes)
        kernel = layer_of(core.text, self.core_sizes, dtype, chosen_target(), int8=int8)
        self.kernel = LayerTables(kernel, batch)
        self._functions = self._functions_of_x(core)
        self._early: RowValues | None = None
        #: for each side input of the core, the number of the layer's that it is
        self._given = [] if self._parts is None else self._given_sides(self._parts)
        #: where the kernel's table has addresses of the layer's side inputs, and their numbers
        self.own_sides = [
            (self.kernel.slot(f"side {k}"), number)
            for k, number in enumerate(self._given)
            if number is not None
        ]

    @property
    def before(self) -> list[RowValues]:
        """What is computed before the kernel runs, in this order."""
        return [values for values in (self._early, self._functions) if values is not None]

    @property
    def reads_x(self) -> bool:
        """Whether the kernel reads the layer's x itself."""
        return self._parts is None or not self._parts.joined

    def x_places(self) -> list[tuple[Words, int]]:
        """Where the tables of the calls before the kernel have the address of x."""
        readers = [self._early, self._functions if self.reads_x else None]
        found = [values for values in readers if values is not None]
        return [(values.words, values.slots[INPUT]) for values in found if INPUT in values.slots]

    def side_places(self) -> list[Place]:
        """Where the tables of the calls before the kernel have addresses of side inputs."""
        return [] if self._early is None else side_places(self._early, self._cell)

    def pack(self, parameters: Sequence[Tensor]) -> None:
        """Pack new weights, in the order of the cell's parameters."""
        dtype, parts = self._dtype, self._parts
        if parts is None:
            self.kernel.pack([p.to(dtype).contiguous() for p in parameters], dtype)
            return
        own = by_name(self._cell, parameters, dtype)
        computed = self._parameters_of_core(parts, own)
        self.kernel.pack([p.to(dtype).contiguous() for p in computed], dtype)
        if all([number is not None for number in self._given]) and not parts.joined:
            return
        known = known_values([*parts.early, *parts.joined], own, self._sizes, dtype)
        if self._early is not None:
            self._early.pack(known)
            return
        groups = [[self._wanted(parts, k)] for k, n in enumerate(self._given) if n is None]
        if parts.joined:
            sizes = [self._sizes.width((node.size,)) for node in parts.joined]
            groups.insert(0, [Wanted(n, w) for n, w in zip(parts.joined, sizes, strict=True)])
        self._early = RowValues(
            groups, known, inputs_of(self._cell, self._sizes), self._sizes, self._batch, dtype,
            title=f"early values of {self._cell.name}",
        )  # fmt: skip
        if self._functions is not None and parts.joined:
            place = self._functions.slots[INPUT]
            self._functions.words[place] = self._early.outputs[0].data_ptr()

    def fill(self, table: Table) -> None:
        """Write the addresses of what is computed before the kernel into its table."""
        if self._functions is not None:
            for name, value in zip(self._names, self._functions.outputs, strict=True):
                table[:, self.kernel.slot(name)] = value.data_ptr()
        if self._early is None:
            return
        outputs = iter(self._early.outputs)
        if not self.reads_x:
            table[:, self.kernel.slot("x")] = next(outputs).data_ptr()
        for k, number in enumerate(self._given):
            if number is None:
                table[:, self.kernel.slot(f"side {k}")] = next(outputs).data_ptr()

    def _functions_of_x(self, core: Cell) -> RowValues | None:
        """The functions of x alone that matrices multiply."""
        sizes, places = self.core_sizes, programs_of(core.text).precomputed
        wanted = {node: place.buffer.name for node, place in places.items() if node is not INPUT}
        #: the kernel's buffers for them
        self._names = list(wanted.values())
        if not wanted:
            return None
        groups = [[Wanted(node, sizes.input)] for node in wanted]
        title = f"functions of x of {core.name}"
        inputs = {INPUT: sizes.input}
        return RowValues(groups, {}, inputs, sizes, self._batch, self._dtype, title=title)

    def _given_sides(self, parts: Separated) -> list[int | None]:
        inputs = inputs_of(self._cell, self._sizes)
        numbers = {intern("side", (), side): k for k, side in enumerate(self._cell.inputs)}
        return [
            numbers[node]
            if node in numbers and inputs[node] == self._sizes.width((size,))
            else None
            for node, (_, size) in zip(parts.early, parts.core.inputs, strict=True)
        ]

    def _wanted(self, parts: Separated, k: int) -> Wanted:
        _, size = parts.core.inputs[k]
        return Wanted(parts.early[k], self._sizes.width((size,)))

    def _parameters_of_core(self, parts: Separated, own: Parameters) -> list[Tensor]:
        sizes = self._sizes
        known = known_values([part.value for part in parts.parts], own, sizes, self._dtype)
        found = []
        for part in parts.parts:
            tensor = known[part.value]
            if part.blocks is not None:
                tensor = torch.cat([tensor[:, sizes.columns(block)] for block in part.blocks], 1)
            found.append(tensor)
        return found


def inputs_of(cell: Cell, sizes: Sizes) -> dict[Node, int]:
    """The number of features of x and of each side input."""
    sides = {intern("side", (), side): sizes.width((side[1],)) for side in cell.inputs}
    return {INPUT: sizes.input, **sides}


def side_places(values: RowValues, cell: Cell) -> list[Place]:
    """Where the table of values has the addresses of the cell's side inputs."""
    numbers = {intern("side", (), side): k for k, side in enumerate(cell.inputs)}
    return [
        Place(values.words, slot, numbers[node])
        for node, slot in values.slots.items()
        if node in numbers
    ]
