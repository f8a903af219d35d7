"""The kernel of one layer for single steps, and its tables of addresses."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from elman.backends.native.kernels import CompiledLayer
from elman.backends.native.llvm.step import FIRST_BUFFER

#: a row of addresses for each step
Table = np.ndarray[tuple[int, int], np.dtype[np.int64]]

CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
WORD = np.dtype(np.int64).itemsize


class LayerTables:
    """The kernel of one layer, and its tables of addresses."""

    def __init__(self, layer: CompiledLayer, batch: int) -> None:
        compiled = layer.forward(save=False, hoisted=False)
        self._layer, self._compiled, self._batch = layer, compiled, batch
        self._names = [buffer.name for buffer in compiled.layout.program.buffers]
        self.address = compiled.kernel.address("step")
        self.call = CALL(self.address)
        states = range(len(layer.programs.states))
        self.firsts = [self.slot(f"first {k}") for k in states]
        self._lasts = [self.slot(f"last {k}") for k in states]
        self._counts, self._offsets = np.array([0, batch, 0]), np.array([0, 0, 0])
        self._order = np.arange(batch)

    def slot(self, name: str) -> int:
        """The table's slot for a buffer; an extra slot at the end for a buffer that is not read."""
        if name in self._names:
            return FIRST_BUFFER + self._names.index(name)
        return FIRST_BUFFER + len(self._names)

    def pack(self, parameters: Sequence[Tensor], dtype: torch.dtype) -> None:
        """Pack new weights."""
        self._packed = self._compiled.pack(parameters, dtype)
        self._scratch = self._layer.scratch(self._compiled.layout, self._batch)

    def tables(
        self,
        x: int,
        y: int | np.ndarray[tuple[int], np.dtype[np.int64]],
        starts: Iterable[np.ndarray[tuple[int], np.dtype[np.int64]]],
        ends: Iterable[np.ndarray[tuple[int], np.dtype[np.int64]]],
        steps: int,
    ) -> Table:
        """A row for each step; a state is read at one of its starts and written at its end."""
        table = np.zeros((steps, FIRST_BUFFER + len(self._names) + 1), np.int64)
        table[:, 0] = self._counts.ctypes.data + WORD
        table[:, 1] = self._offsets.ctypes.data + WORD
        table[:, 2] = self._batch
        table[:, 3] = self._packed.data_ptr()
        table[:, 4] = self._order.ctypes.data
        table[:, 5] = self._offsets.ctypes.data + WORD
        for name, tensor in self._scratch.items():
            table[:, self.slot(name)] = tensor.data_ptr()
        table[:, self.slot("x")] = x
        table[:, self.slot("y")] = y
        slots = zip(self.firsts, self._lasts, starts, ends, strict=True)
        for first, last, start, end in slots:
            table[:, first], table[:, last] = start, end
        return table
