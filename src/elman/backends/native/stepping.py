"""Single steps with minimal overhead between Python and the kernel, for streaming.

There are no gradients, and the caller passes the state from call to call.  Weights are packed
once, and again when their fingerprint changes, or in torch's inference mode when torch counts a
change.  The results of a block of steps come from a few allocations, and the tables of addresses
for a block are written in advance, so a step that continues the last one only sets the address of
its inputs.

Steps in bfloat16 are computed in float32; the states between them are rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from elman.backends.native import tuning
from elman.backends.native.guard import Check, guard_of
from elman.backends.native.kernels import INSIDE
from elman.backends.native.layer_calls import LayerCalls
from elman.backends.native.layer_tables import CALL
from elman.backends.native.watched import WatchedParameters
from elman.graph import Cell
from elman.graph.sizes import Sizes

State = tuple[Tensor, ...]
#: a compiled function of a table's address
Call = Callable[[int], None]

_address = Tensor.data_ptr


class Stepper:
    """The fast path of ``Recurrent.step`` for one shape of input.

    ``sizes`` holds those of each layer.  ``expect`` registers checked tensors; later tensors must
    have the same metadata.
    """

    def __init__(
        self, cell: Cell, sizes: Sequence[Sizes], shape: torch.Size, dtype: torch.dtype
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self._inside = inside = INSIDE[dtype]
        self._num_parameters = len(cell.parameters)
        self._check: Check | None = None
        self._watched = WatchedParameters()
        self._layers = [LayerCalls(cell, each, shape[0], inside) for each in sizes]
        widths = [sizes[0].width((cell.state_size(name),)) for name in cell.states]
        shapes = [(len(sizes), shape[0], width) for width in widths]
        self._between = [torch.empty(shapes[0][1:], dtype=inside, device="cpu") for _ in sizes]
        self.zeros = tuple([torch.zeros(each, dtype=dtype, device="cpu") for each in shapes])
        #: the bytes from a layer's state to that of the next
        self._apart = [shape[0] * width * inside.itemsize for width in widths]
        most = max(self._apart) * len(sizes)
        self._block = max(1, min(tuning.STEPS_PER_BLOCK, tuning.MAX_BLOCK_BYTES // most))
        self._next = self._block
        #: the addresses of the previous step's state, which the next step's table contains
        self._expected: list[int] = []
        self._lock = Lock()

    def expect(
        self,
        x: Tensor,
        state: State,
        parameters: Sequence[Tensor] | None,
        sides: Sequence[Tensor] = (),
    ) -> None:
        """Accept tensors like these from the next run on; the caller has checked them.

        ``None`` as parameters freezes those of the next run.
        """
        self._watched.forget()
        self._check = guard_of([x, *state, *(parameters or ()), *sides])

    def step(
        self,
        x: Tensor,
        state: State | None,
        parameters: Sequence[Tensor] | None,
        sides: Sequence[Tensor] = (),
    ) -> tuple[Tensor, State] | None:
        """The output and the next state; ``None`` if the tensors are not as expected."""
        if state is None:
            state = self.zeros
        if type(x) is not Tensor or type(state) is not tuple or self._check is None:
            return None
        try:
            addresses = [*map(_address, state)]
            # guards crash on nested tensors
            if x.is_nested or (addresses != self._expected and any([t.is_nested for t in state])):
                return None
            if not self._check(x, *state, *(parameters or ()), *sides):
                return None
        except (TypeError, RuntimeError):  # not a tensor, too many, or one without memory
            return None
        return self.run(x, state, parameters, sides)

    def run(
        self,
        x: Tensor,
        state: State,
        parameters: Sequence[Tensor] | None,
        sides: Sequence[Tensor] = (),
    ) -> tuple[Tensor, State]:
        """Like ``step``, for contiguous tensors that the caller has checked."""
        with self._lock:
            if self.dtype is self._inside:
                return self._step(x, state, parameters, sides)
            state = tuple([s.to(self._inside) for s in state])
            sides = [side.to(self._inside) for side in sides]
            y, last = self._step(x.to(self._inside), state, parameters, sides)
            return y.to(self.dtype), tuple([s.to(self.dtype) for s in last])

    def _step(
        self,
        x: Tensor,
        state: State,
        parameters: Sequence[Tensor] | None,
        sides: Sequence[Tensor],
    ) -> tuple[Tensor, State]:
        if parameters is not None and self._watched.changed(parameters):
            self._pack()
        k = self._next
        if k == self._block:
            self._begin_block()
            k = 0
        starts = [*map(_address, state)]
        if k == 0 or starts != self._expected:
            self._continue_from(k, starts)
        address = x.data_ptr()
        self._inputs[k * self._width + self._slot] = address
        for words, place in self._x_places:
            words[place] = address
        if sides:
            self._read_sides(k, sides)
        for call, address in self._calls[k]:
            call(address)
        self._next = k + 1
        self._expected = self._ends[k]
        return self._outputs[k], self._states[k]

    def _read_sides(self, k: int, sides: Sequence[Tensor]) -> None:
        addresses = [*map(_address, sides)]
        for words, place, number in self._side_places:
            words[place] = addresses[number]
        for layer, words, width in self._rows:
            for slot, number in layer.own_sides:
                words[k * width + slot] = addresses[number]

    def _pack(self) -> None:
        each = self._num_parameters
        for k, layer in enumerate(self._layers):
            own = self._watched.tensors[k * each : (k + 1) * each]
            layer.pack([p.to(self._inside) for p in own])
        self._next = self._block  # the tables contain the addresses of the old weights

    def _begin_block(self) -> None:
        """Allocate the results of the next steps and write their tables."""
        steps, depth = self._block, len(self._layers)
        # results are ordinary tensors, even in inference mode
        with torch.inference_mode(False):
            batch, width = self.zeros[0].shape[1:]
            outputs = torch.empty(steps * batch, width, dtype=self._inside, device="cpu")
            states = [
                torch.empty(steps * depth, *zeros.shape[1:], dtype=self._inside, device="cpu")
                for zeros in self.zeros
            ]
            # torch counts the changes of each part by itself
            self._outputs = outputs.unsafe_split(batch)
            self._states = list(zip(*[s.unsafe_split(depth) for s in states], strict=True))
        self._ends = [[*map(_address, state)] for state in self._states]
        turns = np.arange(steps)
        tables = []
        for position, layer in enumerate(self._layers):
            is_top = position == depth - 1
            between = self._between[position].data_ptr()
            y = outputs.data_ptr() + turns * self._apart[0] if is_top else between
            below = 0 if position == 0 else self._between[position - 1].data_ptr()
            pairs = list(zip(states, self._apart, strict=True))
            ends = [s.data_ptr() + (turns * depth + position) * each for s, each in pairs]
            before = [end - depth * each for end, (_, each) in zip(ends, pairs, strict=True)]
            table = layer.kernel.tables(below, y, before, ends, steps)
            layer.fill(table)
            if position:
                for words, place in layer.x_places():
                    words[place] = below
            tables.append(table)
        self._tables = tables
        self._rows = [
            (layer, table.reshape(-1).data, table.shape[1])
            for layer, table in zip(self._layers, tables, strict=True)
        ]
        first, self._inputs, self._width = self._rows[0]
        # the last slot of a table is not read
        self._slot = first.kernel.slot("x") if first.reads_x else self._width - 1
        self._x_places = first.x_places()
        self._side_places = [place for layer in self._layers for place in layer.side_places()]
        self._calls: list[list[tuple[Call, int]]] = [[] for _ in range(steps)]
        for layer, table in zip(self._layers, tables, strict=True):
            values_before = [(CALL(values.address), values.table) for values in layer.before]
            for k, calls in enumerate(self._calls):
                calls += values_before
                calls.append((layer.kernel.call, table[k].ctypes.data))

    def _continue_from(self, k: int, starts: Sequence[int]) -> None:
        """Make step ``k`` of the block read the state at these addresses."""
        for position, (layer, words, width) in enumerate(self._rows):
            for slot, start, each in zip(layer.kernel.firsts, starts, self._apart, strict=True):
                words[k * width + slot] = start + position * each
