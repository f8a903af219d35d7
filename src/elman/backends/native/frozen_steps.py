"""Steps with weights and memory that never change: one call of compiled code each.

All addresses are written into tables once.  The states are kept twice: each step reads one copy
and writes the other, so a layer has a table for even and one for odd steps.  A step writes the
address of its input into a table and calls ``llvm/chain.py``, which runs all layers.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from elman.backends.engine import StepLayer
from elman.backends.native.guard import Check, guard_of
from elman.backends.native.kernels import layer_of
from elman.backends.native.llvm.chain import chain_of
from elman.backends.native.llvm.target import chosen_target
from elman.backends.native.stepping import LayerTables

# unlike CFUNCTYPE, keeps the GIL: to release it takes as long as a small step
_CALL = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)


def _nothing(x: Tensor) -> bool:
    return False


class FrozenSteps:
    """The layers' steps, one after another; see ``backends.engine.FrozenSteps``."""

    def __init__(
        self, layers: Sequence[StepLayer], batch: int, dtype: torch.dtype, *, int8: bool = False
    ) -> None:
        target = chosen_target()
        self._made = [
            LayerTables(layer_of(each.cell.text, each.sizes, dtype, target, int8=int8), batch)
            for each in layers
        ]
        self._states: list[list[Tensor]] = []
        self._outputs: list[Tensor] = []
        self._tables: list[np.ndarray[tuple[int, int], np.dtype[np.int64]]] = []
        below = 0
        for layer, made in zip(layers, self._made, strict=True):
            y = torch.zeros(batch, layer.output_size, dtype=dtype, device="cpu")
            states = [
                torch.zeros(
                    2, batch, *layer.sizes.of_row(layer.cell.state_size(state)),
                    dtype=dtype, device="cpu",
                )
                for state in layer.cell.states
            ]  # fmt: skip
            copies = np.array([[copy.data_ptr() for copy in state] for state in states])
            # an even step reads the first copy and writes the second, an odd step the other way
            made.pack([p.detach().to(dtype).contiguous() for p in layer.parameters], dtype)
            self._tables.append(made.tables(below, y.data_ptr(), copies, copies[:, ::-1], 2))
            self._states.append(states)
            self._outputs.append(y)
            below = y.data_ptr()
        self.y = self._outputs[-1]
        self._words = [self._calls(turn) for turn in range(2)]
        self._arguments = [words.ctypes.data for words in self._words]
        self._inputs = [table.data for table in self._tables[0]]
        self._slot = self._made[0].slot("x")
        self._chain = chain_of(target)
        self._call = _CALL(self._chain.address("chain"))
        self._turn = 0
        self._check: Check = _nothing

    def _calls(self, turn: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """What ``chain`` reads at even or odd steps."""
        words = [len(self._made)]
        for made, table in zip(self._made, self._tables, strict=True):
            words += [made.address, table[turn].ctypes.data]
        return np.array(words, np.int64)

    def expect(self, x: Tensor) -> None:
        """Accept tensors like x from the next step on; the caller has checked it."""
        self._check = guard_of([x])

    def step(self, x: Tensor) -> Tensor | None:
        """Run a step; returns ``y``, or ``None`` if x is not as expected."""
        if type(x) is not Tensor or x.is_nested or not self._check(x):
            return None
        turn = self._turn
        self._inputs[turn][self._slot] = x.data_ptr()
        self._call(self._arguments[turn])
        self._turn = 1 - turn
        return self.y

    def states(self) -> list[list[Tensor]]:
        """The states of each layer that the next step reads, in its memory."""
        return [[state[self._turn] for state in states] for states in self._states]
