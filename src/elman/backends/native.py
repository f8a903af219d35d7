"""The native engine: a cell's programs as compiled kernels, on the CPU.

The same functions as ``reference.py``.  ``programs.py`` says what is computed and where values
lie, ``llvm/`` compiles it; here tensors become tables of addresses, and the work is shared out
among torch's threads.  Long runs go through Python now and then, so that Ctrl-C is heard.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.backends.llvm.ir import Module
from elman.backends.llvm.jit import Kernel, dump_folder, load
from elman.backends.llvm.layout import Layout, segmented_stride
from elman.backends.llvm.outer import OuterLayout, emit_outer
from elman.backends.llvm.pack import emit_pack
from elman.backends.llvm.step import emit_program
from elman.backends.llvm.target import WIDTH, Target, chosen_target
from elman.backends.llvm.team import find_team
from elman.backends.memory import aligned, empty
from elman.backends.names import comments_of
from elman.backends.plan import Plan
from elman.backends.programs import INPUT, SCRATCH, Buffer, Program, Programs, programs_of
from elman.backends.schedule import Schedule, all_at_once, make_schedule
from elman.graph.sizes import Block, Sizes

SCALARS = {torch.float32: "float", torch.float64: "double"}

#: the type that equations are computed in, for each type of tensor
INSIDE = {torch.float32: torch.float32, torch.float64: torch.float64, torch.bfloat16: torch.float32}

#: products and sums after which a kernel comes back to Python, about 0.1 s
UNINTERRUPTED = 4e9
#: products and sums below which one thread is quicker than two
SMALL = 1e6


def _comments(programs: Programs) -> Mapping[Any, str]:
    return comments_of(programs) if dump_folder() else {}


def _explain(programs: Programs, layout: Layout, *, outer: bool = False) -> dict[str, str]:
    from elman.backends.describe import explain  # it describes what is in this file

    return explain(programs, layout, outer=outer)


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
            emit_pack(module, self.layout, self.programs.cell.parameters)
            return module.text

        return load(
            self.key, self.layout.target, write, lambda: _explain(self.programs, self.layout)
        )

    @cached_property
    def addresses(self) -> tuple[int, int]:
        """Where ``run`` and ``pack`` are."""
        return self.kernel.address("run"), self.kernel.address("pack")

    @cached_property
    def functions(self) -> tuple[Callable[..., None], Callable[..., None]]:
        """``run`` and ``pack`` as functions of Python."""
        return self.kernel.function("run"), self.kernel.function("pack")

    @cached_property
    def work(self) -> float:
        """Products and sums for each row."""
        weights = [g.block * self.layout.blocks for phase in self.layout.groups for g in phase]
        return 2.0 * sum(weights) + 100 * self.layout.width

    def pack(self, parameters: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
        """The weights in the kernel's order; vectors come in the type that it computes in."""
        packed = aligned(self.layout.packed_size, dtype)
        table = np.array([packed.data_ptr(), *[p.data_ptr() for p in parameters]], np.int64)
        self.functions[1](table.ctypes.data, 0, 1, 0, 1)
        return packed

    def run(
        self,
        schedule: Schedule,
        packed: Tensor,
        tensors: Mapping[str, Tensor],
        first_step: int = 0,
        last_step: int | None = None,
        gradients_from: int = 0,
    ) -> None:
        """Run the steps from the first to before the last; ``tensors`` are the buffers by name.

        ``gradients`` begins with the row ``gradients_from``.
        """
        if schedule.total == 0:
            return
        last_step = schedule.time if last_step is None else last_step
        buffers = []
        for buffer in self.layout.program.buffers:
            tensor = tensors[buffer.name]
            skipped = gradients_from if buffer == self.programs.gradients_buffer else 0
            before = skipped * self.layout.stride(buffer) * tensor.itemsize
            buffers.append(tensor.data_ptr() - before)
        step = np.dtype(np.int64).itemsize
        table = np.array(
            [
                schedule.counts.ctypes.data + step,
                schedule.offsets.ctypes.data + step,
                schedule.batch,
                packed.data_ptr(),
                schedule.order.ctypes.data,
                schedule.times.ctypes.data + step,
                *buffers,
            ],
            np.int64,
        )
        each = self.work * schedule.total / schedule.time
        threads = _threads(each * (last_step - first_step), schedule.batch)
        stretch = max(1, int(UNINTERRUPTED * threads / each))
        # one step of many rows may be long too, as where there is no time
        parts = min(-(-schedule.batch // threads), math.ceil(each / UNINTERRUPTED / threads))
        bounds = schedule.shares(threads * parts)
        edges = [*range(first_step, last_step, stretch), last_step]
        turns = list(itertools.pairwise(edges))
        for begin, end in turns if self.layout.program.direction == 1 else turns[::-1]:
            for k in range(0, threads * parts, threads):
                shares = bounds[k : k + threads + 1]
                _call(self.functions[0], self.addresses[0], table, shares, begin, end)


@dataclass(frozen=True, eq=False)
class CompiledOuter:
    """The parameters' gradients with their kernel."""

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
            lambda: _explain(self.outer.programs, layout, outer=True),
        )

    @cached_property
    def call(self) -> tuple[Callable[..., None], int]:
        """``outer`` as a function of Python, and its address."""
        return self.kernel.function("outer"), self.kernel.address("outer")

    @cached_property
    def covers(self) -> bool:
        """Whether every number of every parameter's gradient is written."""
        programs = self.outer.programs
        written = {(o.matrix, o.block) for o in programs.outer}
        wanted = {
            ((p.family, p.gate), Block(p.columns[:k], p.columns[k]))
            for p in programs.cell.parameters
            for k in range(len(p.columns))
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
        """Add the part of rows ``start`` to before ``stop`` to the parameters' gradients.

        ``tensors["gradients"]`` begins with row ``start``.  The first part, which is not
        ``again``, is written over whatever was there.
        """
        programs = self.outer.programs
        index = {(p.family, p.gate): k for k, p in enumerate(programs.cell.parameters)}
        width = self.outer.layout.width
        work = 2.0 * (stop - start) * width * sum([o.width for o in self.outer.operands])
        threads = _threads(work, self.outer.tiles)
        scratch = aligned(self.outer.scratch * threads, INSIDE[tensors["gradients"].dtype])
        table = [tensors["gradients"].data_ptr(), start, stop, again, scratch.data_ptr()]
        for operand in self.outer.operands:
            place, first = operand.place, 0
            if place.shift:
                assert place.first is not None
                outside = place.buffer.outside
                rows = schedule.previous_places if outside else schedule.previous
                first = tensors[place.first.name].data_ptr()
            else:
                rows = schedule.places
            table += [tensors[place.buffer.name].data_ptr(), first, rows.ctypes.data]
        table += [gradients[index[product.matrix]].data_ptr() for product in programs.outer]
        table += [gradients[index[key]].data_ptr() for key, _ in programs.sums]
        _call(*self.call, np.array(table, np.int64), list(range(threads + 1)), threads, 0)


@dataclass(frozen=True, eq=False)
class Layer:
    """A cell's kernels for one size, type of number and processor, compiled when first used."""

    programs: Programs
    sizes: Sizes
    scalar: str
    target: Target

    @property
    def dtype(self) -> torch.dtype:
        """The type that equations are computed in."""
        return torch.float64 if self.scalar == "double" else torch.float32

    @property
    def outside(self) -> torch.dtype:
        """The type of the caller's tensors that kernels read and write, and of matrices."""
        return torch.bfloat16 if self.programs.half else self.dtype

    def parameters(self, given: Sequence[Tensor]) -> list[Tensor]:
        """The cell's parameters as ``pack`` takes them."""
        types = self._parameter_types
        return [
            (p if p.dtype is dtype else p.to(dtype)).contiguous()
            for p, dtype in zip(given, types, strict=True)
        ]

    @cached_property
    def _parameter_types(self) -> list[torch.dtype]:
        kinds = [p.kind for p in self.programs.cell.parameters]
        return [self.outside if kind == "matrix" else self.dtype for kind in kinds]

    def memory(self, layout: Layout, buffer: Buffer, rows: int) -> Tensor:
        """Rows of a buffer that nobody has written yet."""
        dtype = torch.bfloat16 if buffer.half else self.dtype
        return empty((rows, layout.stride(buffer)), dtype)

    def _compiled(self, program: Program) -> CompiledProgram:
        layout = Layout(program, self.sizes, self.scalar, self.target)
        return CompiledProgram(self.programs, layout, self._key(program.name))

    def _key(self, name: str) -> str:
        number = "bfloat16" if self.programs.half else self.scalar
        sizes = f"{self.sizes.input}x{self.sizes.hidden} {number}"
        title = f"{self.programs.cell.name} {name} {sizes} {self.target.name}"
        return f"{title}\n{self.programs.cell.text}"

    def forward(self, *, keep: bool, hoisted: bool) -> CompiledProgram:
        """The step."""
        if (keep, hoisted) not in self._steps:
            program = self.programs.forward(keep=keep, hoisted=hoisted)
            self._steps[keep, hoisted] = self._compiled(program)
        return self._steps[keep, hoisted]

    @cached_property
    def _steps(self) -> dict[tuple[bool, bool], CompiledProgram]:
        return {}

    @cached_property
    def bytes(self) -> int:
        """What the packed weights of a step take."""
        program = self.programs.forward(keep=False, hoisted=False)
        layout = Layout(program, self.sizes, self.scalar, self.target)
        return layout.packed_size * WIDTH[self.scalar]

    @cached_property
    def ahead(self) -> CompiledProgram:
        """What needs only the input."""
        return self._compiled(self.programs.ahead)

    @cached_property
    def prepare(self) -> CompiledProgram | None:
        """Operands that are made from the input."""
        program = self.programs.prepare
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
        """Buffers that nobody else needs: what a program leaves between phases and steps."""
        found = {}
        for buffer in layout.program.buffers:
            if buffer.rows == "pair":
                found[buffer.name] = self.memory(layout, buffer, 2 * batch)
            elif buffer.name in SCRATCH:
                found[buffer.name] = self.memory(layout, buffer, batch)
        return found


@lru_cache(maxsize=512)
def layer_of(text: str, sizes: Sizes, dtype: torch.dtype, target: Target) -> Layer:
    """The kernels of a cell (by its text) for these sizes and tensors of this type."""
    half = dtype is torch.bfloat16 and target.multiplies_bfloat16
    return Layer(programs_of(text, half=half), sizes, SCALARS[INSIDE[dtype]], target)


def kept_like(plan: Plan, x: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
    """Tensors like those that ``forward`` keeps, without values."""
    dtype = INSIDE[x.dtype]
    widths = _kept_widths(plan, states[0].shape[-1], dtype)
    return [x.new_empty(x.shape[0] * x.shape[1], width, dtype=dtype) for width in widths]


def _kept_widths(plan: Plan, hidden: int, dtype: torch.dtype) -> list[int]:
    programs = programs_of(plan.cell.text)
    return [_stride(len(programs.kept), hidden, dtype), *[hidden for _ in programs.histories]]


def _stride(segments: int, hidden: int, dtype: torch.dtype) -> int:
    """Numbers in a row of that many padded values."""
    scalar = SCALARS[dtype]
    lanes = chosen_target().lanes(scalar)
    return segmented_stride(segments, hidden, lanes, WIDTH[scalar]) if segments else 0


def forward(
    plan: Plan,
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    reverse: bool,
    *,
    keep: bool = True,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Run all steps: the outputs, the last states, and what backward needs beside the outputs.

    Shapes are those of ``reference.forward``; what is kept is this engine's own.
    """
    given = x.dtype
    layer = _layer(plan, x, states)
    x = x.to(layer.outside)
    programs, sizes = layer.programs, layer.sizes
    time, batch, _ = x.shape
    schedule = make_schedule(time, batch, lengths, reverse)
    parameters = layer.parameters(parameters)
    types = [layer.outside, *[layer.dtype for _ in states[1:]]]
    last = [
        state.to(dtype, copy=True, memory_format=torch.contiguous_format)
        for state, dtype in zip(states, types, strict=True)
    ]
    y = empty((time * batch, sizes.hidden), x.dtype)
    widths = _kept_widths(plan, sizes.hidden, layer.dtype) if keep else []
    kept = [empty((time * batch, width), layer.dtype) for width in widths]
    for tensor in kept:  # defined, though nobody reads it: torch compares runs of an operator
        tensor[schedule.total :].zero_()
    tensors = {"x": x.contiguous(), "y": y, **_first(layer, schedule, states)}
    tensors |= {f"last {s}": last[k] for k, s in enumerate(programs.cell.states)}
    if keep:
        tensors["kept"] = kept[0]
        names = [f"history {programs.cell.states[k]}" for k in programs.histories]
        tensors |= dict(zip(names, kept[1:], strict=True))
    _prepare(layer, schedule, parameters, tensors)
    hoisted = pays_to_hoist(layer, schedule)
    if hoisted:
        buffer = programs.ahead_buffer
        tensors["ahead"] = layer.memory(layer.ahead.layout, buffer, schedule.total)
        _run_all(layer.ahead, layer, schedule, parameters, tensors)
    compiled = layer.forward(keep=keep, hoisted=hoisted)
    tensors |= layer.scratch(compiled.layout, batch)
    tensors |= _in_half(compiled.layout.program, tensors)
    compiled.run(schedule, compiled.pack(parameters, layer.dtype), tensors)
    if not schedule.is_whole:
        y.index_fill_(0, schedule.idle, 0)
    return y.view(time, batch, sizes.hidden).to(given), [s.to(given) for s in last], kept


def backward(
    plan: Plan,
    grad_y: Tensor,
    grad_states: Sequence[Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    y: Tensor,
    kept: Sequence[Tensor],
    reverse: bool,
    *,
    need_input: bool = True,
    need_parameters: bool = True,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Backpropagation through time: the gradients of x, the first states and the parameters."""
    given = x.dtype
    layer = _layer(plan, x, states)
    x, y, grad_y = [tensor.to(layer.outside) for tensor in (x, y, grad_y)]
    grad_states = [g.to(layer.dtype) for g in grad_states]
    programs = layer.programs
    time, batch, _ = x.shape
    schedule = make_schedule(time, batch, lengths, reverse)
    dtypes = [p.dtype for p in parameters]
    parameters = layer.parameters(parameters)
    dlast = [schedule.sort(g) for g in grad_states]
    dfirst = [g.clone(memory_format=torch.contiguous_format) for g in grad_states]
    total = schedule.total
    new = torch.empty_like if layer.outer.covers and total else torch.zeros_like
    gradients = [new(p, dtype=layer.dtype) for p in parameters]
    dx = empty(tuple(x.shape), x.dtype) if need_input else x.new_empty(0)
    tensors = {
        "x": x.contiguous(),
        "y": y.contiguous(),
        "dy": grad_y.contiguous(),
        "kept": kept[0],
        "dx": dx,
    }
    names = [f"history {programs.cell.states[k]}" for k in programs.histories]
    tensors |= dict(zip(names, kept[1:], strict=True))
    tensors |= _first(layer, schedule, states)
    for k, name in enumerate(programs.cell.states):
        tensors[f"d last {name}"], tensors[f"d first {name}"] = dlast[k], dfirst[k]
    _prepare(layer, schedule, parameters, tensors)
    compiled = layer.backward
    tensors |= layer.scratch(compiled.layout, batch)
    tensors |= _in_half(compiled.layout.program, tensors)
    packed = compiled.pack(parameters, layer.dtype)
    into_input = layer.into_input if need_input else None
    packed_input = None if into_input is None else into_input.pack(parameters, layer.dtype)
    buffer, layout = programs.gradients_buffer, compiled.layout
    stretches = schedule.stretches(layout.stride(buffer), layout.number_bytes(buffer))
    longest = max([stop - start for _, _, start, stop in stretches], default=0)
    room = layer.memory(layout, buffer, longest)
    for begin, end, start, stop in reversed(stretches):
        # a stretch's gradients are used while they are near the processor, then written over
        tensors["gradients"] = room
        compiled.run(schedule, packed, tensors, begin, end, start)
        if need_parameters:
            layer.outer.run(schedule, tensors, gradients, start, stop, again=end < time)
        if into_input is not None and packed_input is not None:
            into_input.run(all_at_once(schedule, start, stop), packed_input, tensors)
    if need_input and layer.into_input is None:
        dx.zero_()
    elif need_input and not schedule.is_whole:
        dx.view(time * batch, x.shape[-1]).index_fill_(0, schedule.idle, 0)
    gradients = [g.to(dtype) for g, dtype in zip(gradients, dtypes, strict=True)]
    return dx.to(given), [d.to(given) for d in dfirst], gradients


def _first(layer: Layer, schedule: Schedule, states: Sequence[Tensor]) -> dict[str, Tensor]:
    """The starting states, in the order in which each is read."""
    found = {}
    for k, (name, state) in enumerate(zip(layer.programs.cell.states, states, strict=True)):
        buffer = layer.programs.first(k)
        if buffer.outside:
            found[buffer.name] = state.to(layer.outside).contiguous()
        if buffer.half or not buffer.outside:
            found[f"first {name}"] = schedule.sort(state.to(layer.dtype))
    return found


def _in_half(program: Program, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What products read of the states that a program starts from."""
    if not program.half:
        return {}
    names = [b.name for b in program.buffers if b.rows == "batch" and b.name not in tensors]
    wanted = [(name, tensors[name.removesuffix(" half")]) for name in names]
    return {name: full.to(torch.bfloat16) for name, full in wanted}


def _layer(plan: Plan, x: Tensor, states: Sequence[Tensor]) -> Layer:
    sizes = Sizes(x.shape[-1], states[0].shape[-1])
    return layer_of(plan.cell.text, sizes, x.dtype, chosen_target())


def _prepare(
    layer: Layer, schedule: Schedule, parameters: Sequence[Tensor], tensors: dict[str, Tensor]
) -> None:
    """Fill the buffers of operands that are made from the input."""
    if layer.prepare is None:
        return
    for node, place in layer.programs.prepared.items():
        if node is not INPUT:
            shape = (schedule.total, layer.sizes.input)
            tensors[place.buffer.name] = empty(shape, tensors["x"].dtype)
    _run_all(layer.prepare, layer, schedule, parameters, tensors)


def _run_all(
    compiled: CompiledProgram,
    layer: Layer,
    schedule: Schedule,
    parameters: Sequence[Tensor],
    tensors: Mapping[str, Tensor],
) -> None:
    """Run a program without time over all rows."""
    rows = all_at_once(schedule, 0, schedule.total)
    scratch = layer.scratch(compiled.layout, rows.batch)
    packed = compiled.pack(parameters, layer.dtype)
    compiled.run(rows, packed, {**tensors, **scratch})


def pays_to_hoist(layer: Layer, schedule: Schedule) -> bool:
    """Whether the products with the input are quicker for all steps at once.

    With few rows a step reads all weights for little work; all steps at once read them once for
    many rows.  That pays the longer, the slower the memory is that the weights lie in.
    """
    if not layer.programs.can_hoist or schedule.total < 4 * schedule.batch:
        return False
    return schedule.batch <= (4 if layer.bytes > 1 << 20 else 2 if layer.bytes > 1 << 19 else 1)


def _threads(work: float, pieces: int) -> int:
    """How many threads are worth their while."""
    if work < SMALL or find_team() is None:
        return 1
    return max(1, min(torch.get_num_threads(), pieces))


def _call(
    function: Callable[..., None],
    address: int,
    table: np.ndarray[tuple[int], np.dtype[np.int64]],
    bounds: Sequence[int],
    begin: int,
    end: int,
) -> None:
    team = find_team() if len(bounds) > 2 else None
    if team is None:
        for low, high in itertools.pairwise(bounds):
            function(table.ctypes.data, low, high, begin, end)
    else:
        team.run(address, table.ctypes.data, bounds, begin, end)
