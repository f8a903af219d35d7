"""The native engine: a layer on the CPU by compiled kernels.

The same functions as ``reference.py``: which of a cell's programs run on which tensors.  The
programs are in ``programs.py``, their kernels in ``kernels.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from elman.backends.hoisting import should_hoist
from elman.backends.kernels import INSIDE, SCALARS, CompiledProgram, Layer, layer_of
from elman.backends.llvm.layout import segmented_stride
from elman.backends.llvm.target import WIDTH, chosen_target
from elman.backends.memory import empty
from elman.backends.plan import Plan
from elman.backends.programs import INPUT, Program, programs_of
from elman.backends.schedule import Schedule, all_at_once, make_schedule
from elman.backends.weights import SHARED, PackedWeights, packed_once
from elman.graph.sizes import Sizes

#: from a program to its packed weights
Weights = Callable[[CompiledProgram], Tensor]


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
    masks: Sequence[Tensor] = (),
    weights_of: PackedWeights | None = None,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Run all steps: the outputs, the last states, and what backward needs beside the outputs.

    Shapes are those of ``reference.forward``; what is kept is this engine's own.  Without
    ``keep``, weights that ``weights_of`` has packed are used again.
    """
    given = x.dtype
    layer = _layer(plan, x, states)
    x = _as(x, layer.outside)
    programs, sizes = layer.programs, layer.sizes
    time, batch, _ = x.shape
    schedule = make_schedule(time, batch, lengths, reverse)
    if keep:
        converted = layer.parameters(parameters)
        weights = partial(CompiledProgram.pack, parameters=converted, dtype=layer.dtype)
    else:
        known = (weights_of or SHARED).of(parameters)
        weights = partial(packed_once, layer=layer, parameters=parameters, known=known)
    types = [layer.outside, *[layer.dtype for _ in states[1:]]]
    last = [
        state.to(dtype, copy=True, memory_format=torch.contiguous_format)
        for state, dtype in zip(states, types, strict=True)
    ]
    y = empty((time * batch, sizes.hidden), x.dtype)
    widths = _kept_widths(plan, sizes.hidden, layer.dtype) if keep else []
    kept = [empty((time * batch, width), layer.dtype) for width in widths]
    # defined, though never read: torch compares runs of an operator
    if keep:
        padded = layer.backward.layout.padded(programs.kept_buffer)
        kept[0][:, len(programs.kept) * padded :].zero_()
    if not schedule.is_whole:
        for tensor in kept:
            tensor[schedule.total :].zero_()
    tensors = {"x": x.contiguous(), "y": y, **_first(layer, schedule, states)}
    tensors |= {f"last {k}": state for k, state in enumerate(last)}
    tensors |= _masks(layer, masks)
    if keep:
        tensors["kept"] = kept[0]
        names = [f"history {k}" for k in programs.histories]
        tensors |= dict(zip(names, kept[1:], strict=True))
    _prepare(layer, schedule, weights, tensors)
    hoisted = should_hoist(layer, schedule)
    if hoisted:
        buffer = programs.ahead_buffer
        tensors["ahead"] = layer.memory(layer.ahead.layout, buffer, schedule.total)
        _run_all(layer.ahead, layer, schedule, weights, tensors)
    compiled = layer.forward(keep=keep, hoisted=hoisted)
    tensors |= layer.scratch(compiled.layout, batch)
    tensors |= _in_half(compiled.layout.program, tensors)
    compiled.run(schedule, weights(compiled), tensors)
    if not schedule.is_whole:
        y.index_fill_(0, schedule.idle, 0)
    y = y.view(time, batch, sizes.hidden)
    return _as(y, given), [_as(state, given) for state in last], kept


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
    masks: Sequence[Tensor] = (),
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Backpropagation through time: the gradients of x, the first states and the parameters."""
    given = x.dtype
    layer = _layer(plan, x, states)
    x, y, grad_y = [_as(tensor, layer.outside) for tensor in (x, y, grad_y)]
    grad_states = [_as(g, layer.dtype) for g in grad_states]
    kept = [tensor.contiguous() for tensor in kept]
    programs = layer.programs
    time, batch, _ = x.shape
    schedule = make_schedule(time, batch, lengths, reverse)
    dtypes = [p.dtype for p in parameters]
    parameters = layer.parameters(parameters)
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
        "kept": kept[0],
        "dx": dx,
    }
    names = [f"history {k}" for k in programs.histories]
    tensors |= dict(zip(names, kept[1:], strict=True))
    tensors |= _first(layer, schedule, states) | _masks(layer, masks)
    for k in range(len(states)):
        tensors[f"d last {k}"], tensors[f"d first {k}"] = dlast[k], dfirst[k]
    weights = partial(CompiledProgram.pack, parameters=parameters, dtype=layer.dtype)
    _prepare(layer, schedule, weights, tensors)
    compiled = layer.backward
    tensors |= layer.scratch(compiled.layout, batch)
    tensors |= _in_half(compiled.layout.program, tensors)
    packed = weights(compiled)
    into_input = layer.into_input if need_input else None
    packed_input = None if into_input is None else weights(into_input)
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
    gradients = [_as(g, dtype) for g, dtype in zip(gradients, dtypes, strict=True)]
    return _as(dx, given), [_as(d, given) for d in dfirst], gradients


def _as(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """``tensor.to``, which takes its time also where there is nothing to do."""
    return tensor if tensor.dtype is dtype else tensor.to(dtype)


def _first(layer: Layer, schedule: Schedule, states: Sequence[Tensor]) -> dict[str, Tensor]:
    """The starting states, in the order in which each is read."""
    found = {}
    for k, state in enumerate(states):
        buffer = layer.programs.first(k)
        if buffer.outside:
            found[buffer.name] = _as(state, layer.outside).contiguous()
        if buffer.half or not buffer.outside:
            found[f"first {k}"] = schedule.sort(_as(state, layer.dtype))
    return found


def _masks(layer: Layer, masks: Sequence[Tensor]) -> dict[str, Tensor]:
    """The cell's masks, in the type that equations are computed in."""
    places = layer.programs.masks.values()
    return {
        place.buffer.name: _as(mask, layer.dtype).contiguous()
        for place, mask in zip(places, masks, strict=True)
    }


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
    layer: Layer, schedule: Schedule, weights: Weights, tensors: dict[str, Tensor]
) -> None:
    """Fill the buffers of operands that are made from the input."""
    if layer.prepare is None:
        return
    for node, place in layer.programs.prepared.items():
        if node is not INPUT:
            shape = (schedule.total, layer.sizes.input)
            tensors[place.buffer.name] = empty(shape, tensors["x"].dtype)
    _run_all(layer.prepare, layer, schedule, weights, tensors)


def _run_all(
    compiled: CompiledProgram,
    layer: Layer,
    schedule: Schedule,
    weights: Weights,
    tensors: Mapping[str, Tensor],
) -> None:
    """Run a program without time over all rows."""
    rows = all_at_once(schedule, 0, schedule.total)
    scratch = layer.scratch(compiled.layout, rows.batch)
    compiled.run(rows, weights(compiled), {**tensors, **scratch})
