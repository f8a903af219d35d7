"""The native engine: runs a layer on the CPU with compiled kernels.

This module decides which of a cell's programs run on which tensors.  ``programs.py`` defines the
programs, ``kernels.py`` compiles them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from elman.backends.engine import Call, Grads, Outputs, Saved, StepLayer
from elman.backends.native.frozen_steps import FrozenSteps, steps_of_layer
from elman.backends.native.hoisting import should_hoist
from elman.backends.native.kernels import INSIDE, SCALARS, CompiledLayer, CompiledProgram, layer_of
from elman.backends.native.llvm.layout import Layout, segmented_stride
from elman.backends.native.llvm.target import WIDTH, chosen_target
from elman.backends.native.llvm.team import find_team
from elman.backends.native.matrix_frozen_steps import NotFrozen, steps_of_matrix_layer
from elman.backends.native.matrix_stepping import MatrixStepper
from elman.backends.native.memory import empty
from elman.backends.native.programs import INPUT, Place, Program, Programs, buffers_of, programs_of
from elman.backends.native.schedule import Schedule, all_at_once, make_schedule
from elman.backends.native.stepping import Stepper
from elman.backends.native.training_steps import TrainingSteps
from elman.backends.native.weights import SHARED, PackedWeights, packed_once
from elman.graph import Cell
from elman.graph.node import Node
from elman.graph.sizes import Sizes

#: returns the packed weights of a program
Weights = Callable[[CompiledProgram], Tensor]


#: the dtypes that kernels support
TYPES = frozenset(INSIDE)


class NativeEngine:
    """Compiled kernels for float32, float64 and bfloat16 on the CPU."""

    name = "native"

    def unsupported_reason(
        self, dtype: torch.dtype, device: torch.device, cell: Cell | None = None
    ) -> str | None:
        """Why the native engine does not support such tensors."""
        if device.type != "cpu":
            return f"tensors are on {device}, and the native engine is for the CPU"
        if dtype not in TYPES:
            advice = ", which is as small" if dtype is torch.float16 else ""
            return (
                f"tensors are {dtype}, and the native engine supports float32, float64 and bfloat16"
                f"{advice}"
            )
        return None

    def saved_like(self, call: Call) -> list[Tensor]:
        """The saved values of all steps, in padded rows, and the histories of states."""
        dtype = INSIDE[call.x.dtype]
        rows = call.x.shape[0] * call.x.shape[1]
        widths = _saved_widths(call, dtype)
        return [call.x.new_empty(rows, width, dtype=dtype) for width in widths]

    def forward(self, call: Call) -> tuple[Outputs, Saved]:
        """Run all steps.  Inference reuses packed weights, see ``weights.py``."""
        given = call.x.dtype
        states, parameters = call.states, call.parameters
        layer = _layer(call)
        x = call.x
        x = _as(x, layer.external_dtype)
        programs = layer.programs
        time, batch, _ = x.shape
        schedule = make_schedule(time, batch, call.lengths, call.reverse)
        if call.save:
            converted = layer.parameters(parameters)
            weights = partial(CompiledProgram.pack, parameters=converted, dtype=layer.dtype)
        else:
            memo = call.memo
            packed, frozen = (
                (SHARED, None) if memo is None else (memo.get(PackedWeights), memo.frozen)
            )
            known = packed.of(parameters, frozen=frozen)
            weights = partial(packed_once, layer=layer, parameters=parameters, known=known)
        types = [layer.external_dtype, *[layer.dtype for _ in states[1:]]]
        last = [
            state.to(dtype, copy=True, memory_format=torch.contiguous_format)
            for state, dtype in zip(states, types, strict=True)
        ]
        y = empty((time * batch, call.output_size), x.dtype)
        widths = _saved_widths(call, layer.dtype) if call.save else []
        saved = [empty((time * batch, width), layer.dtype) for width in widths]
        kept = dict(zip(_saved_names(programs), saved, strict=False))
        # never read, but torch compares the results of an operator's runs
        for buffer in buffers_of(programs.saved_places) if call.save else ():
            padded = layer.backward.layout.padded(buffer)
            kept[buffer.name][:, buffer.segments * padded :].zero_()
        if not schedule.is_whole:
            for tensor in saved:
                tensor[schedule.total :].zero_()
        tensors = {"x": x.contiguous(), "y": y, **_first(layer, schedule, states)}
        tensors |= {f"last {k}": state for k, state in enumerate(last)}
        tensors |= _masks(layer, call.masks) | _sides(layer, call.sides)
        tensors |= kept
        _precompute(layer, schedule, weights, tensors)
        hoisted = should_hoist(layer, schedule)
        compiled = layer.forward(save=call.save, hoisted=hoisted)
        tensors |= layer.scratch(compiled.layout, batch)
        tensors |= _in_bf16(compiled.layout.program, tensors)
        own = weights(compiled)
        if hoisted:
            _run_hoisted(compiled, layer, schedule, own, weights(layer.projection), tensors)
        else:
            compiled.run(schedule, own, tensors)
        if not schedule.is_whole:
            y.index_fill_(0, schedule.idle, 0)
        y = y.view(time, batch, call.output_size)
        return Outputs(_as(y, given), [_as(state, given) for state in last]), saved

    def backward(
        self,
        call: Call,
        outputs: Outputs,
        saved: Saved,
        grads: Outputs,
        *,
        need_input: bool = True,
        need_parameters: bool = True,
    ) -> Grads:
        """Backpropagation through time, a chunk of steps at a time."""
        given, states = call.x.dtype, call.states
        layer = _layer(call)
        x, y, grad_y = [
            _as(tensor, layer.external_dtype) for tensor in (call.x, outputs.y, grads.y)
        ]
        grad_states = [_as(g, layer.dtype) for g in grads.states]
        saved = [tensor.contiguous() for tensor in saved]
        programs = layer.programs
        time, batch, _ = x.shape
        schedule = make_schedule(time, batch, call.lengths, call.reverse)
        dtypes = [p.dtype for p in call.parameters]
        parameters = layer.parameters(call.parameters)
        dlast = [schedule.sort(g) for g in grad_states]
        dfirst = [g.clone(memory_format=torch.contiguous_format) for g in grad_states]
        total = schedule.total
        gradients = [empty(tuple(p.shape), layer.dtype) for p in parameters]
        if not (layer.outer.covers and total):
            for gradient in gradients:
                gradient.zero_()
        dx = empty(tuple(x.shape), x.dtype) if need_input else x.new_empty(0)
        tensors = {
            "x": x.contiguous(),
            "y": y.contiguous(),
            "dy": grad_y.contiguous(),
            "dx": dx,
            **dict(zip(_saved_names(programs), saved, strict=True)),
        }
        tensors |= _first(layer, schedule, states) | _masks(layer, call.masks)
        tensors |= _sides(layer, call.sides)
        dsides = [
            torch.zeros(side.shape, dtype=layer.dtype)
            if node is None
            else empty(tuple(side.shape), layer.dtype)
            for node, side in zip(
                call.plan.gradient.of_sides(call.plan.cell), call.sides, strict=True
            )
        ]
        tensors |= {f"d side {k}": each for k, each in enumerate(dsides)}
        for k in range(len(states)):
            tensors[f"d last {k}"], tensors[f"d first {k}"] = dlast[k], dfirst[k]
        weights = partial(CompiledProgram.pack, parameters=parameters, dtype=layer.dtype)
        _precompute(layer, schedule, weights, tensors)
        compiled = layer.backward
        tensors |= layer.scratch(compiled.layout, batch)
        tensors |= _in_bf16(compiled.layout.program, tensors)
        packed = weights(compiled)
        into_input = layer.into_input if need_input else None
        packed_input = None if into_input is None else weights(into_input)
        chunks, room = _in_chunks(layer, compiled.layout, programs.gradient_places, schedule)
        tensors |= room
        for begin, end, start, stop in reversed(chunks):
            # a chunk's gradients are used while they are in cache, then overwritten
            compiled.run(schedule, packed, tensors, begin, end, start)
            if need_parameters:
                layer.outer.run(schedule, tensors, gradients, start, stop, again=end < time)
            if into_input is not None and packed_input is not None:
                into_input.run(all_at_once(schedule, start, stop), packed_input, tensors)
        if need_input and layer.into_input is None:
            dx.zero_()
        elif need_input and not schedule.is_whole:
            dx.view(time * batch, x.shape[-1]).index_fill_(0, schedule.idle, 0)
        for each in dsides if not schedule.is_whole else ():
            each.view(time * batch, each.shape[-1]).index_fill_(0, schedule.idle, 0)
        gradients = [_as(g, dtype) for g, dtype in zip(gradients, dtypes, strict=True)]
        dsides = [_as(g, side.dtype) for g, side in zip(dsides, call.sides, strict=True)]
        return Grads(_as(dx, given), [_as(d, given) for d in dfirst], gradients, dsides)

    def stepper(
        self, cell: Cell, sizes: Sequence[Sizes], x: Tensor
    ) -> Stepper | MatrixStepper | None:
        """Steps that call the kernels directly from Python (``stepping.py``)."""
        if cell.has_memory:
            if x.dtype not in SCALARS:
                return None
            try:
                return MatrixStepper(cell, sizes, x.shape, x.dtype)
            except NotFrozen:
                return None
        return Stepper(cell, sizes, x.shape, x.dtype)

    def training_steps(self, cell: Cell, sizes: Sequence[Sizes], x: Tensor) -> TrainingSteps | None:
        """Steps that keep their tables and packed weights (``training_steps.py``)."""
        if INSIDE.get(x.dtype) is not x.dtype or programs_of(cell.text).precompute is not None:
            return None
        return TrainingSteps(cell, sizes, x.shape, x.dtype)

    def frozen_steps(
        self, layers: Sequence[StepLayer], batch: int, dtype: torch.dtype, *, int8: bool = False
    ) -> FrozenSteps | None:
        """Steps of one call each (``frozen_steps.py``), in the dtype of the equations."""
        memory = any([each.cell.has_memory for each in layers])
        if INSIDE.get(dtype) is not dtype or (int8 and (memory or dtype is torch.float64)):
            return None
        try:
            parts = [
                steps_of_matrix_layer(each, batch, dtype)
                if each.cell.has_memory
                else steps_of_layer(each, batch, dtype, int8=int8)
                for each in layers
            ]
        except NotFrozen:
            return None
        return FrozenSteps(layers, parts, batch)

    def report(self, dtype: torch.dtype, device: torch.device) -> str:
        """The dtype, processor and threads."""
        number = str(dtype).removeprefix("torch.")
        threads = torch.get_num_threads()
        target, scalar = chosen_target(), SCALARS[INSIDE[dtype]]
        if dtype is torch.bfloat16:
            number += f" ({'sums and states' if target.multiplies_bfloat16 else 'all'} in float32)"
        team = find_team()
        if team is None:
            several = "one thread, because the process is a fork of one with several"
        else:
            several = f"up to {threads} of {team.title}" if threads > 1 else "one thread"
        return (
            f"{number}, compiled for {target.cpu} with vectors of {target.lanes(scalar)} values "
            f"({8 * WIDTH[scalar] * target.lanes(scalar)} bits); {several}."
        )


def _saved_names(programs: Programs) -> list[str]:
    """The names of the buffers that forward saves."""
    saved = [buffer.name for buffer in buffers_of(programs.saved_places)]
    return [*saved, *[f"history {k}" for k in programs.histories]]


def _saved_widths(call: Call, dtype: torch.dtype) -> list[int]:
    """The lengths of their rows."""
    programs, sizes, scalar = programs_of(call.plan.cell.text), call.sizes, SCALARS[dtype]
    lanes = chosen_target().lanes(scalar)
    saved = [
        segmented_stride(buffer.segments, sizes.width((buffer.size,)), lanes, WIDTH[scalar])
        for buffer in buffers_of(programs.saved_places)
    ]
    return [*saved, *[call.states[k].shape[-1] for k in programs.histories]]


def _in_chunks(
    layer: CompiledLayer, layout: Layout, places: Mapping[Node, Place], schedule: Schedule
) -> tuple[list[tuple[int, int, int, int]], dict[str, Tensor]]:
    """Chunks of steps, and memory for the buffers of these places that all chunks share."""
    buffers = buffers_of(places)
    chunks = schedule.chunks(sum(map(layout.row_bytes, buffers)))
    longest = max([stop - start for _, _, start, stop in chunks], default=0)
    return chunks, {b.name: layer.memory(layout, b, longest) for b in buffers}


def _as(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """``tensor.to``, without its overhead if the dtype already matches."""
    return tensor if tensor.dtype is dtype else tensor.to(dtype)


def _first(layer: CompiledLayer, schedule: Schedule, states: Sequence[Tensor]) -> dict[str, Tensor]:
    """The initial states, each in the order in which it is read."""
    found = {}
    for k, state in enumerate(states):
        buffer = layer.programs.first(k)
        if buffer.external:
            found[buffer.name] = _as(state, layer.external_dtype).contiguous()
        if buffer.bf16 or not buffer.external:
            found[f"first {k}"] = schedule.sort(_as(state, layer.dtype))
    return found


def _masks(layer: CompiledLayer, masks: Sequence[Tensor]) -> dict[str, Tensor]:
    """The cell's masks, in the dtype of the equations."""
    places = layer.programs.masks.values()
    return {
        place.buffer.name: _as(mask, layer.dtype).contiguous()
        for place, mask in zip(places, masks, strict=True)
    }


def _sides(layer: CompiledLayer, sides: Sequence[Tensor]) -> dict[str, Tensor]:
    """The side inputs, in the dtype of the equations."""
    return {f"side {k}": _as(side, layer.dtype).contiguous() for k, side in enumerate(sides)}


def _in_bf16(program: Program, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The initial states as bfloat16, for products."""
    if not program.bf16:
        return {}
    names = [b.name for b in program.buffers if b.rows == "batch" and b.name not in tensors]
    wanted = [(name, tensors[name.removesuffix(" bf16")]) for name in names]
    return {name: full.to(torch.bfloat16) for name, full in wanted}


def _layer(call: Call) -> CompiledLayer:
    return layer_of(call.plan.cell.text, call.sizes, call.x.dtype, chosen_target())


def _precompute(
    layer: CompiledLayer, schedule: Schedule, weights: Weights, tensors: dict[str, Tensor]
) -> None:
    """Compute the operands of products that depend only on the input."""
    if layer.precompute is None:
        return
    for node, place in layer.programs.precomputed.items():
        if node is not INPUT:
            shape = (schedule.total, layer.sizes.input)
            tensors[place.buffer.name] = empty(shape, tensors["x"].dtype)
    rows = all_at_once(schedule, 0, schedule.total)
    _run_rows(layer.precompute, layer, rows, weights(layer.precompute), tensors)


def _run_hoisted(
    compiled: CompiledProgram,
    layer: CompiledLayer,
    schedule: Schedule,
    packed: Tensor,
    packed_projection: Tensor,
    tensors: dict[str, Tensor],
) -> None:
    """Run the steps of a chunk after the products with its input, whose memory all chunks share."""
    projection, places = layer.projection, layer.programs.projected_places
    chunks, room = _in_chunks(layer, projection.layout, places, schedule)
    tensors |= room
    for begin, end, start, stop in chunks:
        rows = all_at_once(schedule, start, stop)
        _run_rows(projection, layer, rows, packed_projection, tensors)
        compiled.run(schedule, packed, tensors, begin, end, start)


def _run_rows(
    compiled: CompiledProgram,
    layer: CompiledLayer,
    rows: Schedule,
    packed: Tensor,
    tensors: Mapping[str, Tensor],
) -> None:
    """Run a program without a time loop over rows that ``all_at_once`` made a single step."""
    compiled.run(rows, packed, {**tensors, **layer.scratch(compiled.layout, rows.batch)})
