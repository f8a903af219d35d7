"""Steps with weights and memory that never change: one call of compiled code for all layers.

A step is a chain of calls, each a function and a table of addresses, all written in advance: the
values of a layer that need no state (``row_values.py``), its cell, and what is between the layers.
The states are kept twice: each step reads one copy and writes the other, so a cell has a table for
even and one for odd steps.  A step writes the addresses of its inputs into the tables and calls
``llvm/chain.py``.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from elman.backends.engine import StepLayer
from elman.backends.native.guard import Check, guard_of
from elman.backends.native.layer_calls import INPUT, LayerCalls, Place, Words, side_places
from elman.backends.native.llvm.chain import chain_of
from elman.backends.native.llvm.target import chosen_target
from elman.backends.native.row_values import RowValues, Wanted
from elman.graph import Cell
from elman.graph.node import apply, intern

# unlike CFUNCTYPE, keeps the GIL: to release it takes as long as a small step
_CALL = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)


@dataclass
class Link:
    """A call of the chain: a function, and its table at even and odd steps.

    ``x`` and ``sides`` are the places in the table for the addresses of the step's x, and of its
    side inputs, by their number.
    """

    address: int
    tables: Sequence[int]
    words: Sequence[Words]
    x: Sequence[int] = ()
    sides: Sequence[tuple[int, int]] = ()

    def read(self, x: Tensor) -> None:
        """Read this x at all steps, not the caller's."""
        for place in self.x:
            self.write(place, x)
        self.x = ()

    def write(self, place: int, tensor: Tensor) -> None:
        """Read this tensor at a place at all steps."""
        for words in self.words:
            words[place] = tensor.data_ptr()


@dataclass
class Steps:
    """A layer's part of the chain, its output, and its states at even and odd steps."""

    links: list[Link]
    y: Tensor
    states: Callable[[int], list[Tensor]]
    #: what the tables point to
    kept: list[object] = field(default_factory=list)


def steps_of_layer(
    layer: StepLayer, batch: int, dtype: torch.dtype, *, int8: bool = False
) -> Steps:
    """The steps of a layer without a matrix state."""
    calls = LayerCalls(layer.cell, layer.sizes, batch, dtype, int8=int8)
    calls.pack([p.detach() for p in layer.parameters])
    y = torch.zeros(batch, layer.output_size, dtype=dtype, device="cpu")
    states = [
        torch.zeros(
            2, batch, *layer.sizes.of_row(layer.cell.state_size(name)), dtype=dtype, device="cpu"
        )
        for name in layer.cell.states
    ]
    copies = np.array([[copy.data_ptr() for copy in state] for state in states])
    # an even step reads the first copy and writes the second, an odd step the other way
    table = calls.kernel.tables(0, y.data_ptr(), copies, copies[:, ::-1], 2)
    calls.fill(table)
    x = [calls.kernel.slot("x")] if calls.reads_x else []
    rows = [row.ctypes.data for row in table]
    own = Link(calls.kernel.address, rows, [row.data for row in table], x, calls.own_sides)
    before = [link_of(values, layer.cell, calls.x_places()) for values in calls.before]
    kept = [calls, table, states]
    return Steps([*before, own], y, lambda turn: [state[turn] for state in states], kept)


def link_of(values: RowValues, cell: Cell, x: Sequence[tuple[Words, int]]) -> Link:
    """The call that computes values of a layer's x and side inputs; ``x`` says who reads x."""
    return Link(
        values.address,
        [values.table] * 2,
        [values.words],
        [slot for words, slot in x if words is values.words],
        [(place.slot, place.number) for place in side_places(values, cell)],
    )


def _norm(layer: StepLayer, batch: int, dtype: torch.dtype) -> tuple[Link, RowValues]:
    """The normalisation of what a layer reads."""
    assert layer.norm is not None
    weight, bias = [intern("vector", (), ("norm", name, "input")) for name in ("weight", "bias")]
    value = apply("layer_norm", INPUT) * weight + bias
    known = dict(zip((weight, bias), [t.detach().to(dtype) for t in layer.norm], strict=True))
    size = layer.sizes.input
    values = RowValues(
        [[Wanted(value, size)]], known, {INPUT: size}, layer.sizes, batch, dtype, title="norm"
    )
    return link_of(values, layer.cell, [(values.words, values.slots[INPUT])]), values


def _sum(layer: StepLayer, y: Tensor, batch: int) -> tuple[Link, RowValues]:
    """A layer's output with what the layer reads added."""
    output = intern("side", (), ("y", "input"))
    size = layer.output_size
    values = RowValues(
        [[Wanted(output + INPUT, size)]], {}, {INPUT: size, output: size}, layer.sizes, batch,
        y.dtype, title="residual",
    )  # fmt: skip
    values.words[values.slots[output]] = y.data_ptr()
    return Link(values.address, [values.table] * 2, [values.words], [values.slots[INPUT]]), values


def _nothing(*tensors: Tensor) -> bool:
    return False


class FrozenSteps:
    """The layers' steps, one after another; see ``backends.engine.FrozenSteps``."""

    def __init__(self, layers: Sequence[StepLayer], parts: Sequence[Steps], batch: int) -> None:
        self._parts, self._kept = parts, list[RowValues]()
        links: list[Link] = []
        below: Tensor | None = None
        for layer, steps in zip(layers, parts, strict=True):
            own = list(steps.links)
            y, dtype = steps.y, steps.y.dtype
            if layer.residual and layer.output_size == layer.sizes.input:
                link, values = _sum(layer, y, batch)
                own.append(link)
                self._kept.append(values)
                y = values.outputs[0]
            if layer.norm is not None:
                link, values = _norm(layer, batch, dtype)
                self._kept.append(values)
                for each in own:
                    each.read(values.outputs[0])
                own.insert(0, link)
            if below is not None:
                for each in own:
                    each.read(below)
            links += own
            below = y
        assert below is not None
        self.y = below
        #: where the memory of y begins and ends
        self._begin, self._end = below.data_ptr(), below.data_ptr() + below.nbytes
        self._chains = [chain_words(links, turn) for turn in range(2)]
        self._arguments = [chain.buffer_info()[0] for chain in self._chains]
        #: at even and at odd steps: where the addresses of x and the side inputs go
        self._places = [x_and_side_places(links, turn) for turn in range(2)]
        self._kernel = chain_of(chosen_target())
        self._call = _CALL(self._kernel.address("chain"))
        self._turn = 0
        self._check: Check = _nothing

    def expect(self, x: Tensor, *sides: Tensor) -> None:
        """Accept tensors like these from the next step on; the caller has checked them."""
        self._check = guard_of([x, *sides])

    def step(self, x: Tensor, *sides: Tensor) -> Tensor | None:
        """Run a step; returns ``y``, or ``None`` if the tensors are not as expected."""
        if type(x) is not Tensor or x.is_nested:
            return None
        for side in sides:
            if type(side) is not Tensor or side.is_nested:
                return None
        if not self._check(x, *sides):
            return None
        turn = self._turn
        own, others = self._places[turn]
        address = x.data_ptr()
        if self._begin <= address < self._end:
            x = self._apart_from_y(x)
            address = x.data_ptr()
        for words, place in own:
            words[place] = address
        if sides:
            sides = tuple([self._apart_from_y(side) for side in sides])
        for words, place, number in others:
            words[place] = sides[number].data_ptr()
        self._call(self._arguments[turn])
        self._turn = 1 - turn
        return self.y

    def _apart_from_y(self, tensor: Tensor) -> Tensor:
        """A copy of a tensor in the memory of y, which a step writes while it still reads it."""
        return tensor.clone() if self._begin <= tensor.data_ptr() < self._end else tensor

    def states(self) -> list[list[Tensor]]:
        """The states of each layer that the next step reads, in its memory."""
        return [part.states(self._turn) for part in self._parts]


def chain_words(links: Sequence[Link], turn: int) -> array[int]:
    """What ``llvm/chain.py`` reads at even or odd steps."""
    return array("q", [len(links), *[w for k in links for w in (k.address, k.tables[turn])]])


def x_and_side_places(
    links: Sequence[Link], turn: int
) -> tuple[list[tuple[Words, int]], list[Place]]:
    """Where the tables of even or odd steps have the addresses of x and of side inputs."""
    tables = [(link, link.words[turn % len(link.words)]) for link in links]
    return (
        [(words, slot) for link, words in tables for slot in link.x],
        [Place(words, *pair) for link, words in tables for pair in link.sides],
    )
