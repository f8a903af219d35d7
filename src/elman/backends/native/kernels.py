"""A cell's programs as compiled kernels, for one size, dtype and processor.

``programs.py`` defines what is computed and where values are stored, ``llvm/`` compiles it.  This
module passes tensors as tables of addresses and divides the work among torch's threads.  Long
runs return to Python regularly, so that Ctrl-C works.  ``engine.py`` decides what runs.
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import torch
from torch import Tensor

from elman.backends.native import tuning
from elman.backends.native.llvm.ir import Module
from elman.backends.native.llvm.jit import Kernel, dump_folder, load
from elman.backends.native.llvm.layout import Layout
from elman.backends.native.llvm.outer import OuterLayout, emit_outer
from elman.backends.native.llvm.pack import emit_pack
from elman.backends.native.llvm.step import emit_program
from elman.backends.native.llvm.target import WIDTH, Target
from elman.backends.native.llvm.team import find_team
from elman.backends.native.memory import aligned, empty
from elman.backends.native.names import comments_of
from elman.backends.native.pack_int8 import pack_int8
from elman.backends.native.page import explain
from elman.backends.native.programs import Buffer, Program, Programs, buffers_of, programs_of
from elman.backends.native.schedule import Schedule
from elman.graph.sizes import Sizes, columns_of

SCALARS = {torch.float32: "float", torch.float64: "double"}

#: the dtype of the equations, for each dtype of tensors
INSIDE = {torch.float32: torch.float32, torch.float64: torch.float64, torch.bfloat16: torch.float32}


def _comments(programs: Programs) -> Mapping[Any, str]:
    return comments_of(programs) if dump_folder() else {}


@dataclass(frozen=True, eq=False)
class CompiledProgram:
    """A program with its kernel."""

    programs: Programs
    layout: Layout
    key: str

    @cached_property
    def kernel(self) -> Kernel:
        """The functions ``run`` and ``pack``."""

        def write() -> str:
            module = Module(_comments(self.programs))
            emit_program(module, self.layout)
            if not self.layout.int8:  # packed in Python, once
                emit_pack(module, self.layout, self.programs.cell.parameters)
            return module.text

        return load(
            self.key,
            self.layout.target,
            write,
            lambda: explain(_layer(self.programs, self.layout), self.layout),
        )

    @cached_property
    def addresses(self) -> tuple[int, int]:
        """The addresses of ``run`` and ``pack``."""
        return self.kernel.address("run"), self.kernel.address("pack")

    @cached_property
    def functions(self) -> tuple[Callable[..., None], Callable[..., None]]:
        """``run`` and ``pack`` as Python functions."""
        return self.kernel.function("run"), self.kernel.function("pack")

    @cached_property
    def work(self) -> float:
        """Multiplications and additions per row, including other work in the same unit."""
        layout = self.layout
        places = [place for found in layout.program.stores.values() for place in found]
        stored = sum([layout.sizes.width((place.buffer.size,)) for place in places])
        equations = tuning.EQUATION_WORK * layout.widest.width
        return 2.0 * layout.weights_size + equations + tuning.STORE_WORK * stored

    def pack(self, parameters: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
        """The weights in the kernel's order; vectors must have the dtype of the equations."""
        if self.layout.int8:
            return pack_int8(self.layout, self.programs.cell.parameters, parameters)
        packed = aligned(self.layout.packed_size, dtype)
        table = array("q", [packed.data_ptr(), *[p.data_ptr() for p in parameters]])
        threads = threads_for(
            tuning.PACKING_WORK * self.layout.packed_size, self.layout.widest.blocks
        )
        run_partitions(self.functions[1], self.addresses[1], table, range(threads + 1), threads, 0)
        return packed

    @cached_property
    def _buffers(self) -> list[tuple[str, int]]:
        """Each buffer's name, and its row stride in bytes if it may start at a later row."""
        partial = buffers_of(self.programs.gradient_places | self.programs.projected_places)
        return [
            (buffer.name, self.layout.row_bytes(buffer) if buffer in partial else 0)
            for buffer in self.layout.program.buffers
        ]

    def run(
        self,
        schedule: Schedule,
        packed: Tensor,
        tensors: Mapping[str, Tensor],
        first_step: int = 0,
        last_step: int | None = None,
        first_row: int = 0,
    ) -> None:
        """Run the steps ``first_step`` to before ``last_step``; ``tensors`` are buffers by name.

        The first row of the buffers of gradients and projections is row ``first_row``.
        """
        if schedule.total == 0:
            return
        last_step = schedule.time if last_step is None else last_step
        counts, offsets, order, times = schedule.addresses
        table = array("q", [counts, offsets, schedule.batch, packed.data_ptr(), order, times])
        for name, apart in self._buffers:
            table.append(tensors[name].data_ptr() - first_row * apart)
        self.launch(schedule, table, first_step, last_step)

    def launch(
        self, schedule: Schedule, table: array[int], first_step: int, last_step: int
    ) -> None:
        """Run these steps with a table that is filled in."""
        each = self.work * schedule.total / schedule.time
        threads = threads_for(each * (last_step - first_step), schedule.batch)
        chunk = max(1, int(tuning.MAX_CALL_WORK * threads / each))
        # a single step of many rows may also be long, such as in programs without a time loop
        parts = min(-(-schedule.batch // threads), math.ceil(each / tuning.MAX_CALL_WORK / threads))
        bounds = schedule.partitions(threads * parts)
        edges = [*range(first_step, last_step, chunk), last_step]
        turns = list(itertools.pairwise(edges))
        for begin, end in turns if self.layout.program.direction == 1 else turns[::-1]:
            for k in range(0, threads * parts, threads):
                partitions = bounds[k : k + threads + 1]
                run_partitions(self.functions[0], self.addresses[0], table, partitions, begin, end)


@dataclass(frozen=True, eq=False)
class CompiledOuter:
    """The kernel of the parameters' gradients."""

    outer: OuterLayout
    key: str

    @cached_property
    def kernel(self) -> Kernel:
        """The function ``outer``."""

        def write() -> str:
            module = Module(_comments(self.outer.programs))
            emit_outer(module, self.outer)
            return module.text

        layout = self.outer.layout
        return load(
            self.key,
            layout.target,
            write,
            lambda: explain(_layer(self.outer.programs, layout), layout, outer=True),
        )

    @cached_property
    def call(self) -> tuple[Callable[..., None], int]:
        """``outer`` as a Python function, and its address."""
        return self.kernel.function("outer"), self.kernel.address("outer")

    @cached_property
    def covers(self) -> bool:
        """Whether the kernel writes every element of every parameter's gradient."""
        programs = self.outer.programs
        written = {(o.matrix, o.block) for o in programs.outer}
        wanted = {
            ((p.family, p.gate), block)
            for p in programs.cell.parameters
            if p.kind == "matrix"
            for block in columns_of(p.columns, p.rows)
        }
        vectors = {(p.family, p.gate) for p in programs.cell.parameters if p.kind == "vector"}
        return wanted <= written and vectors <= {key for key, _ in programs.sums}

    def run(
        self,
        schedule: Schedule,
        tensors: Mapping[str, Tensor],
        gradients: Sequence[Tensor],
        start: int,
        stop: int,
        *,
        again: bool,
    ) -> None:
        """Add what rows ``start`` to before ``stop`` contribute to the parameters' gradients.

        The first row of the gradients in ``tensors`` is row ``start``.  Without ``again``, it
        overwrites the gradients.
        """
        threads = self.threads(stop - start)
        scratch = self.scratch(threads)
        table = array("q", [start, stop, again, scratch.data_ptr()])
        for kind, what in self.entries:
            if kind == "buffer":
                table.append(tensors[what].data_ptr() if what else 0)
            elif kind == "rows":
                table.append(getattr(schedule, what).ctypes.data)
            else:
                table.append(gradients[what].data_ptr())
        run_partitions(*self.call, table, range(threads + 1), threads, 0)

    def threads(self, rows: int) -> int:
        """The number of threads for so many rows."""
        return threads_for(self.work(rows), self.outer.most_tiles)

    def work(self, rows: int) -> float:
        """Multiplications and additions, about."""
        outer = self.outer
        most = max([outer.layout.sizes.width((b.size,)) for b in outer.gradients], default=0)
        return 2.0 * rows * most * sum([o.width for o in outer.operands])

    def scratch(self, threads: int) -> Tensor:
        """Temporary memory for so many threads."""
        return aligned(self.outer.scratch * threads, self.dtype)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the gradients."""
        return torch.float64 if self.outer.layout.scalar == "double" else torch.float32

    @cached_property
    def entries(self) -> tuple[tuple[Literal["buffer", "rows", "parameter"], Any], ...]:
        """The table after its first words.

        That is the name of a buffer (empty for none), an index of ``Schedule``, or the number of a
        parameter whose gradient is written.
        """
        programs = self.outer.programs
        index = {(p.family, p.gate): k for k, p in enumerate(programs.cell.parameters)}
        found: list[tuple[Literal["buffer", "rows", "parameter"], Any]] = [
            ("buffer", buffer.name) for buffer in self.outer.gradients
        ]
        for operand in self.outer.operands:
            place, first, rows = operand.place, "", "places"
            if place.shift:
                assert place.first is not None
                first = place.first.name
                rows = "previous_places" if place.buffer.external else "previous"
            found += [("buffer", place.buffer.name), ("buffer", first), ("rows", rows)]
        found += [("parameter", index[product.matrix]) for product in programs.outer]
        found += [("parameter", index[key]) for key, _ in programs.sums]
        return tuple(found)


@dataclass(frozen=True, eq=False)
class CompiledLayer:
    """A cell's kernels for one size, dtype and processor, compiled on first use."""

    programs: Programs
    sizes: Sizes
    scalar: str
    target: Target
    int8: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the equations."""
        return torch.float64 if self.scalar == "double" else torch.float32

    @property
    def external_dtype(self) -> torch.dtype:
        """The dtype of matrices and of the caller's tensors that kernels read and write."""
        return torch.bfloat16 if self.programs.bf16 else self.dtype

    def parameters(self, given: Sequence[Tensor]) -> list[Tensor]:
        """The cell's parameters, converted for ``pack``."""
        return [
            p if p.dtype is dtype and p.is_contiguous() else p.to(dtype).contiguous()
            for p, dtype in zip(given, self._parameter_types, strict=True)
        ]

    @cached_property
    def _parameter_types(self) -> list[torch.dtype]:
        kinds = [p.kind for p in self.programs.cell.parameters]
        return [self.external_dtype if kind == "matrix" else self.dtype for kind in kinds]

    def memory(self, layout: Layout, buffer: Buffer, rows: int) -> Tensor:
        """Uninitialised rows of a buffer."""
        dtype = torch.bfloat16 if buffer.bf16 else self.dtype
        return empty((rows, layout.stride(buffer)), dtype)

    def _compiled(self, program: Program) -> CompiledProgram:
        layout = Layout(program, self.sizes, self.scalar, self.target, self.int8)
        return CompiledProgram(self.programs, layout, self._key(program.name))

    def _key(self, name: str) -> str:
        number = "bfloat16" if self.programs.bf16 else "int8" if self.int8 else self.scalar
        numbers = [self.sizes.input, self.sizes.hidden, *[width for _, width in self.sizes.own]]
        sizes = f"{'x'.join(map(str, numbers))} {number}"
        title = f"{self.programs.cell.name} {name} {sizes} {self.target.name}"
        return f"{title}\n{self.programs.cell.text}"

    def forward(self, *, save: bool, hoisted: bool) -> CompiledProgram:
        """The program of a step."""
        if (save, hoisted) not in self._steps:
            program = self.programs.forward(save=save, hoisted=hoisted)
            self._steps[save, hoisted] = self._compiled(program)
        return self._steps[save, hoisted]

    @cached_property
    def _steps(self) -> dict[tuple[bool, bool], CompiledProgram]:
        return {}

    @cached_property
    def bytes(self) -> int:
        """The size of the packed weights of a step."""
        program = self.programs.forward(save=False, hoisted=False)
        layout = Layout(program, self.sizes, self.scalar, self.target)
        return layout.packed_size * WIDTH[self.scalar]

    @cached_property
    def projection(self) -> CompiledProgram:
        """The program of products that need only the input."""
        return self._compiled(self.programs.projection)

    @cached_property
    def precompute(self) -> CompiledProgram | None:
        """The program of operands that depend only on the input, if any."""
        program = self.programs.precompute
        return None if program is None else self._compiled(program)

    @cached_property
    def backward(self) -> CompiledProgram:
        """The adjoint step."""
        return self._compiled(self.programs.backward)

    @cached_property
    def into_input(self) -> CompiledProgram | None:
        """dL/dx."""
        program = self.programs.into_input
        return None if program is None else self._compiled(program)

    @cached_property
    def outer(self) -> CompiledOuter:
        """The parameters' gradients."""
        return CompiledOuter(OuterLayout(self.programs, self.backward.layout), self._key("outer"))

    def scratch(self, layout: Layout, batch: int) -> dict[str, Tensor]:
        """Temporary buffers, which a program uses between phases and steps."""
        found = {}
        for buffer in layout.program.buffers:
            if buffer.rows == "pair":
                found[buffer.name] = self.memory(layout, buffer, 2 * batch)
            elif buffer.is_scratch:
                found[buffer.name] = self.memory(layout, buffer, batch)
        return found


@lru_cache(maxsize=512)
def layer_of(
    text: str, sizes: Sizes, dtype: torch.dtype, target: Target, *, int8: bool = False
) -> CompiledLayer:
    """The kernels of a cell (by its text) for these sizes and this dtype.

    With ``int8``, those of inference with int8 weights.
    """
    bf16 = dtype is torch.bfloat16 and target.multiplies_bfloat16
    return CompiledLayer(programs_of(text, bf16=bf16), sizes, SCALARS[INSIDE[dtype]], target, int8)


def _layer(programs: Programs, layout: Layout) -> CompiledLayer:
    return CompiledLayer(programs, layout.sizes, layout.scalar, layout.target)


def threads_for(work: float, pieces: int) -> int:
    """The number of threads that this amount of work justifies."""
    team = find_team() if work >= tuning.MIN_PARALLEL_WORK else None
    if team is None or work < team.min_work:
        return 1
    return max(1, min(torch.get_num_threads(), pieces))


def run_partitions(
    function: Callable[..., None],
    address: int,
    table: array[int],
    bounds: Sequence[int],
    begin: int,
    end: int,
) -> None:
    """Call ``function(table, bounds[k], bounds[k + 1], begin, end)`` for each k, on its thread."""
    team = find_team() if len(bounds) > 2 else None
    if team is None:
        for low, high in itertools.pairwise(bounds):
            function(table.buffer_info()[0], low, high, begin, end)
    else:
        team.run(address, table.buffer_info()[0], bounds, begin, end)
