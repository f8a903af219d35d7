"""Run the kernels of a matrix state (``llvm/matrix_steps.py``) on tensors.

A kernel reads the caller's tensors; the states of a head are one record in memory of its own, where
a matrix state has a row of units, padded to whole vectors, for each key.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from elman.backends.native.kernels import SCALARS, run_partitions, threads_for
from elman.backends.native.llvm.jit import Kernel, load
from elman.backends.native.llvm.matrix_steps import CHUNK, Kernels, Shape
from elman.backends.native.llvm.target import WIDTH, Target, chosen_target
from elman.graph import read_cell
from elman.graph.sizes import Sizes


@dataclass(frozen=True)
class Run:
    """The steps of a core: tensors whose last axes are head, unit and key.

    A side input is (time, batch, head, unit, key), or (head, unit, key) if it never varies.
    """

    core: str
    sides: Sequence[Tensor]
    states: Sequence[Tensor]  # batch head unit key
    time: int
    lengths: Tensor | None
    reverse: bool


@dataclass(frozen=True)
class Saved:
    """What ``backward`` needs besides the side inputs: the states of each ``CHUNK``-th step."""

    states: Tensor


class Compiled:
    """The kernels of a core for heads of one shape."""

    def __init__(self, core: str, shape: Shape, fixed: tuple[bool, ...], target: Target) -> None:
        self.shape, self.writer = shape, Kernels(core, shape, target)
        key = f"matrix steps of {self.writer.cell.name}\n{shape}\n{fixed}\n{core}"
        self._kernel: Kernel = load(key, target, lambda: self.writer.text(fixed))

    def address(self, name: str) -> int:
        """The address of a function."""
        return self._kernel.address(name)

    def run(self, name: str, words: Sequence[int], heads: int, chunks: int, work: float) -> None:
        """Run a function over all heads of all rows, on several threads if there is enough work."""
        threads = threads_for(work, heads)
        bounds = [heads * k // threads for k in range(threads + 1)]
        function, address = self._kernel.function(name), self._kernel.address(name)
        run_partitions(function, address, array("q", words), bounds, chunks, 0)


@lru_cache(maxsize=256)
def compiled(
    core: str, dtype: torch.dtype, units: int, keys: int, fixed: tuple[bool, ...], target: Target
) -> Compiled:
    """The kernels of the core with this text."""
    scalar = SCALARS[dtype]
    return Compiled(core, Shape(scalar, target.lanes(scalar), units, keys), fixed, target)


class Prepared:
    """A run with its kernels, and its tensors as the kernels take them."""

    def __init__(self, run: Run) -> None:
        self.run, like = run, run.states[0]
        cell = read_cell(run.core)
        self.sizes = [cell.state_size(name) for name in cell.states]
        self.fixed = tuple([side.dim() == 3 for side in run.sides])
        memory = run.states[self.sizes.index("memory")] if "memory" in self.sizes else None
        self.batch, self.heads, self.units, _ = like.shape
        self.keys = memory.shape[-1] if memory is not None else _keys(run, self.sizes)
        self.compiled = compiled(
            run.core, like.dtype, self.units, self.keys, self.fixed, chosen_target()
        )
        self.like = like
        lengths = run.lengths
        if lengths is None:
            lengths = torch.full((self.batch,), run.time, device="cpu")
        self.lengths = lengths.to("cpu", torch.int64).contiguous()
        self.sides = [
            self._padded_matrix(side) if size == "memory" else side.contiguous()
            for side, (_, size) in zip(run.sides, cell.inputs, strict=True)
        ]
        self.side_sizes = [size for _, size in cell.inputs]
        self.chunks = -(-run.time // CHUNK)
        self.work = 2.0 * run.time * self.batch * self.heads * self.units * self.keys

    @property
    def numbers(self) -> list[int]:
        return [self.batch, self.heads, int(self.run.reverse), self.lengths.data_ptr()]

    @property
    def record(self) -> int:
        return self.compiled.writer.record

    def empty(self, *shape: int) -> Tensor:
        return self.like.new_empty(shape)

    def recorded(self, states: Sequence[Tensor]) -> Tensor:
        """The states as one record for each head: (batch, head, record)."""
        shape, parts = self.compiled.shape, []
        for state, size in zip(states, self.sizes, strict=True):
            if size == "memory":
                flat = self._padded_matrix(state).flatten(-2)
            else:
                flat = state.flatten(-2)
                flat = pad(flat, (0, shape.padded(size) - flat.shape[-1]))
            parts.append(flat)
        return torch.cat(parts, -1).contiguous()

    def states_of(self, record: Tensor) -> list[Tensor]:
        """The states in a record: (batch, head, unit, key) each."""
        found = []
        for part, size in zip(self.views(record), self.sizes, strict=True):
            axis = {"key": -2, "hidden": -1, "head": -1}.get(size)
            found.append((part if axis is None else part.unsqueeze(axis)).contiguous())
        return found

    def views(self, record: Tensor) -> list[Tensor]:
        """The states in a record, without a copy: (batch, head, ...)."""
        shape, found = self.compiled.shape, []
        widths = [shape.padded(size) for size in self.sizes]
        for part, size in zip(record.split(widths, -1), self.sizes, strict=True):
            if size == "memory":
                matrix = part.unflatten(-1, (self.keys, shape.padded_units))
                found.append(matrix[..., : self.units].mT)
            else:
                found.append(part[..., : shape.width(size)])
        return found

    def _padded_matrix(self, matrix: Tensor) -> Tensor:
        """(..., unit, key) as (..., key, padded units)."""
        shape = self.compiled.shape
        return pad(matrix.mT, (0, shape.padded_units - shape.units)).contiguous()


def _keys(run: Run, sizes: Sequence[str]) -> int:
    """The keys of a core without a matrix state."""
    tensors = [*run.states, *run.sides]
    return max([tensor.shape[-1] for tensor in tensors])


def saved_bytes(core: str, sizes: Sizes, dtype: torch.dtype) -> int:
    """The bytes that ``forward`` saves for ``backward``, per row and step."""
    target, inside = chosen_target(), SCALARS.get(dtype, "float")
    shape = Shape(inside, target.lanes(inside), sizes.hidden // sizes.heads, sizes.keys)
    record = Kernels(core, shape, target).record
    return sizes.heads * record * WIDTH[inside] // CHUNK


def forward(run: Run, *, save: bool) -> tuple[Tensor, list[Tensor], Saved | None]:
    """The outputs (time, batch, head, unit, 1), the last states, and what backward needs."""
    call = Prepared(run)
    ragged = run.lengths is not None
    shape = (run.time, call.batch, call.heads, call.units, 1)
    y = call.like.new_zeros(shape) if ragged else call.empty(*shape)
    record = call.recorded(run.states)
    saved = call.empty(call.batch * call.heads * call.chunks if save else 0, call.record)
    words = [*call.numbers, y.data_ptr(), record.data_ptr(), saved.data_ptr()]
    words += [side.data_ptr() for side in call.sides]
    name = "forward_saving" if save else "forward"
    call.compiled.run(name, words, call.batch * call.heads, call.chunks, call.work)
    return y, call.states_of(record), Saved(saved) if save else None


def backward(
    run: Run, saved: Saved, dy: Tensor, dlast: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """dL/d(side inputs), and dL/d(states)."""
    call = Prepared(run)
    record = call.recorded(dlast)
    dy = dy.contiguous()
    kept = call.empty(call.batch * call.heads * CHUNK, call.record)
    padded = call.compiled.shape.padded
    gradients = []
    for side, size, fixed in zip(run.sides, call.side_sizes, call.fixed, strict=True):
        shape = (call.batch, call.heads, padded(size)) if fixed else tuple(side.shape)
        gradients.append(call.like.new_zeros(shape))
    words = [*call.numbers, dy.data_ptr(), record.data_ptr(), saved.states.data_ptr()]
    words += [kept.data_ptr(), *[t.data_ptr() for t in [*call.sides, *gradients]]]
    call.compiled.run("backward", words, call.batch * call.heads, call.chunks, 3 * call.work)
    found = []
    for gradient, side, size, fixed in zip(
        gradients, run.sides, call.side_sizes, call.fixed, strict=True
    ):
        if not fixed:
            found.append(gradient)
            continue
        total = gradient.sum(0)
        if size == "memory":
            matrix = total.unflatten(-1, (call.keys, call.compiled.shape.padded_units))
            found.append(matrix[..., : call.units].mT)
        else:
            found.append(total[..., : call.compiled.shape.width(size)].reshape(side.shape))
    return found, call.states_of(record)
