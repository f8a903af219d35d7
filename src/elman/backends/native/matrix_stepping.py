"""Single steps of cells with a matrix state, for ``Recurrent.step``; the counterpart of
``stepping.py``.

The states of all layers are one record, which the kernels change in place; each step works on a
copy of the last one's, so that states that were returned stay as they are.  Matrices that are
returned are views of a record.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from operator import is_
from threading import Lock

import torch
from torch import Tensor

from elman.backends.engine import StepLayer
from elman.backends.native import tuning
from elman.backends.native.frozen_steps import chain_words, x_and_side_places
from elman.backends.native.guard import Check, guard_of
from elman.backends.native.llvm.chain import chain_of
from elman.backends.native.llvm.target import chosen_target
from elman.backends.native.matrix_frozen_steps import (
    RECORD_WORD,
    Y_WORD,
    MatrixSteps,
    steps_of_matrix_layer,
)
from elman.backends.native.watched import WatchedParameters
from elman.graph import Cell
from elman.graph.sizes import Sizes

State = tuple[Tensor, ...]

_CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_address = Tensor.data_ptr


class MatrixStepper:
    """The fast path of ``Recurrent.step`` for one shape of input; see ``backends.engine.Stepper``.

    Raises ``NotFrozen`` if x or a side input is used in a way that no kernel has.
    """

    def __init__(
        self,
        cell: Cell,
        sizes: Sequence[Sizes],
        shape: torch.Size,
        dtype: torch.dtype,
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self._cell, self._sizes, self._batch = cell, sizes, shape[0]
        rows = [sizes[0].of_row(cell.state_size(name)) for name in cell.states]
        self.zeros = tuple(
            [torch.zeros(len(sizes), shape[0], *row, dtype=dtype, device="cpu") for row in rows]
        )
        self._check: Check | None = None
        self._check_state: Check | None = None
        self._check_last: Check | None = None
        self._watched = WatchedParameters()
        self._kernel = chain_of(chosen_target())
        self._call = _CALL(self._kernel.address("chain"))
        self._lock = Lock()
        #: the states that were returned last, and where they lie
        self._last: tuple[State, list[int]] = ((), [])
        #: its record, which the next step copies
        self._last_record = torch.empty(0, device="cpu")
        # raises what cannot be made, and compiles
        self._watched.changed(
            [torch.zeros(p.shape(each), device="cpu") for each in sizes for p in cell.parameters]
        )
        self._pack()
        self._watched.forget()

    def expect(
        self,
        x: Tensor,
        state: State,
        parameters: Sequence[Tensor] | None,
        sides: Sequence[Tensor] = (),
    ) -> None:
        """Accept tensors like these from the next run on; the caller has checked them."""
        self._watched.forget()
        self._check = guard_of([x, *(parameters or ()), *sides])
        self._check_state, self._check_last = guard_of(state), None

    def step(
        self,
        x: Tensor,
        state: State | None,
        parameters: Sequence[Tensor] | None,
        sides: Sequence[Tensor] = (),
    ) -> tuple[Tensor, State] | None:
        """The output and the next state; ``None`` if the tensors are not as expected."""
        if type(x) is not Tensor or self._check is None or self._check_state is None:
            return None
        if state is None:
            state = self.zeros
        try:
            if not self._is_last(state):
                if type(state) is not tuple or any([each.is_nested for each in state]):
                    return None
                if not self._check_state(*state):
                    return None
            if x.is_nested or not self._check(x, *(parameters or ()), *sides):
                return None
        except (AttributeError, TypeError, RuntimeError):  # not a tensor, or one without memory
            return None
        return self.run(x, state, parameters, sides)

    def _is_last(self, state: State) -> bool:
        """Whether a state is the last step's, and still lies where and as the step left it."""
        last, addresses = self._last
        return (
            type(state) is tuple
            and len(state) == len(last)
            and all(map(is_, state, last))
            and [*map(_address, state)] == addresses
            and self._check_last is not None
            and self._check_last(*state)
        )

    def run(
        self,
        x: Tensor,
        state: State,
        parameters: Sequence[Tensor] | None,
        sides: Sequence[Tensor] = (),
    ) -> tuple[Tensor, State]:
        """Like ``step``, for contiguous tensors that the caller has checked."""
        with self._lock:
            if parameters is not None and self._watched.changed(parameters):
                self._pack()
            k = self._next
            if k == self._block:
                self._begin_block()
                k = 0
            return self._step(k, x, state, sides)

    def _step(
        self, k: int, x: Tensor, state: State, sides: Sequence[Tensor]
    ) -> tuple[Tensor, State]:
        continues = self._is_last(state)
        with torch.inference_mode(False), torch.no_grad():
            here = self._parts_of_records[k]
            if continues:
                ctypes.memmove(self._starts[k], self._last_record.data_ptr(), self._bytes)
                for n in self._copied:  # they are no views of the record
                    here[n].copy_(state[n].reshape(here[n].shape))
            else:
                self._records[k].zero_()
                for part, given in zip(here, state, strict=True):
                    part.copy_(given.reshape(part.shape))
            for words, place in self._x:
                words[place] = x.data_ptr()
            for words, place, number in self._sides:
                words[place] = sides[number].data_ptr()
            for words, record, y in self._of_step[k]:
                words[RECORD_WORD], words[Y_WORD] = record, y
            self._call(self._chain.buffer_info()[0])
            found = list(self._views[k])
            for n in self._copied:
                found[n] = here[n].reshape(self.zeros[n].shape)
                if found[n].data_ptr() == here[n].data_ptr():
                    found[n] = found[n].clone()
        self._next, self._last_record = k + 1, self._records[k]
        results = tuple(found)
        self._last = results, [*map(_address, results)]
        if self._check_last is None:
            self._check_last = guard_of(results)
        return self._outputs[k], results

    def _pack(self) -> None:
        each = len(self._cell.parameters)
        with torch.inference_mode(False), torch.no_grad():
            self._layers: list[MatrixSteps] = [
                steps_of_matrix_layer(
                    StepLayer(self._cell, self._watched.tensors[k * each : (k + 1) * each], sizes),
                    self._batch,
                    self.dtype,
                )
                for k, sizes in enumerate(self._sizes)
            ]
        for below, above in zip(self._layers, self._layers[1:], strict=False):
            for link in above.links:
                link.read(below.y)
        links = [link for layer in self._layers for link in layer.links]
        self._chain = chain_words(links, 0)
        self._x, self._sides = x_and_side_places(links, 0)
        self._begin_block()

    def _begin_block(self) -> None:
        """Allocate the records and outputs of the next steps."""
        first = self._layers[0]
        depth, heads = len(self._layers), self._sizes[0].heads
        shape = (depth, self._batch, heads, first.record)
        width = self.dtype.itemsize
        self._bytes = depth * self._batch * heads * first.record * width
        self._block = max(1, min(tuning.STEPS_PER_BLOCK, tuning.MAX_BLOCK_BYTES // self._bytes))
        with torch.inference_mode(False):
            records = torch.empty(self._block, *shape, dtype=self.dtype, device="cpu")
            outputs = torch.empty(
                self._block * self._batch, self._sizes[0].hidden, dtype=self.dtype, device="cpu"
            )
            parts = first.parts_of(records)
            # torch counts the changes of what is returned part by part
            self._records, self._outputs = records.unbind(0), outputs.unsafe_split(self._batch)
            self._parts_of_records = list(zip(*[part.unbind(0) for part in parts], strict=True))
        wanted = [zeros.shape for zeros in self.zeros]
        views = [
            part.squeeze(-1) if part.dim() - 1 > len(s) else part
            for part, s in zip(parts, wanted, strict=True)
        ]
        self._copied = [
            n for n, (v, s) in enumerate(zip(views, wanted, strict=True)) if v.shape[1:] != s
        ]
        flat = [view.flatten(0, 1) for view in views]
        self._views = list(zip(*[view.unsafe_split(depth) for view in flat], strict=True))
        self._starts = [record.data_ptr() for record in self._records]
        apart = self._bytes // depth
        self._of_step = [
            [
                (
                    layer.links[-1].words[0],
                    start + position * apart,
                    y.data_ptr() if position == depth - 1 else layer.y.data_ptr(),
                )
                for position, layer in enumerate(self._layers)
            ]
            for start, y in zip(self._starts, self._outputs, strict=True)
        ]
        self._next = 0
