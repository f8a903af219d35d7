"""The bridge to torch: a recurrent layer in one direction as one opaque operation.

Layers call ``run``.  When torch traces, compiles, exports or transforms, or a tensor is not plain
memory, ``run`` calls the operator ``elman::recurrent``, one node of a graph.  Otherwise it calls an
equivalent ``autograd.Function``, because dispatching the operator takes longer than a short
sequence.

``elman::recurrent`` has a backward (also an operator, so that compilers see one node and not a
loop over time), fake kernels that compute only shapes, and second and higher derivatives, which
torch computes through the reference engine.  For function transforms (``torch.func``) and
forward-mode differentiation (``torch.autograd.forward_ad``), the operations of the reference
engine replace the operator.  The cell is passed as text, so that an exported program is
self-contained.

torch's operators take flat lists of arguments.  They are converted to a ``Call``, which is checked
(``backends/arguments.py``) and passed to an engine.  Layers are in ``nn/``.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.jit._trace import TracerWarning

from elman.backends import find_engine
from elman.backends.arguments import (
    check_call,
    check_counts,
    check_gradients,
    is_plain,
    resolved,
)
from elman.backends.engine import Call, Grads, Memo, Outputs, Saved
from elman.backends.plan import plan_of
from elman.errors import BackendError, ExportError


# AOTInductor passes an empty list as None, so a list that may be empty must be optional
@torch.library.custom_op(
    "elman::recurrent",
    mutates_args=(),
    schema="(Tensor x, Tensor[] states, Tensor[]? parameters, Tensor? lengths, str cell, "
    "bool reverse, bool save, str backend, Tensor[]? masks, Tensor[]? sides=None) -> Tensor[]",
)
def recurrent(
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor] | None,
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    save: bool,
    backend: str,
    masks: Sequence[Tensor] | None,
    sides: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    """Run a cell over x (time, batch, input): [y, last states ..., what backward needs ...].

    The arguments are those of ``backends.engine.Call``, with the cell as text.  Masks have no
    gradients.  Raises ``ShapeError`` for invalid tensors.
    """
    call = _call(
        x, states, resolved(parameters), lengths, cell, reverse, save, resolved(masks),
        resolved(sides),
    )  # fmt: skip
    if _has_tangent([x, *states, *call.parameters, *call.sides]):
        raise BackendError(
            "elman::recurrent does not support forward-mode differentiation; call the layer, which "
            "does."
        )
    outputs, saved, _ = _forward(call, backend)
    return [outputs.y, *outputs.states, *saved]


@recurrent.register_fake
def _(
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor] | None,
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    save: bool,
    backend: str,
    masks: Sequence[Tensor] | None,
    sides: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    refuse_onnx_export()  # dynamo, which torch.onnx.export tries last, comes by here only
    call = _call(x, states, parameters, lengths, cell, reverse, save, masks, sides)
    check_counts(call)
    return [
        x.new_empty(*x.shape[:2], states[0].shape[-1]),
        *[torch.empty_like(state, memory_format=torch.contiguous_format) for state in states],
        *(find_engine(backend).saved_like(call) if save else []),
    ]


@torch.library.custom_op("elman::recurrent_backward", mutates_args=())
def recurrent_backward(
    grad_y: Tensor,
    grad_states: Sequence[Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    y: Tensor,
    saved: Sequence[Tensor],
    cell: str,
    reverse: bool,
    need_input: bool,
    need_parameters: bool,
    backend: str,
    masks: Sequence[Tensor],
    sides: Sequence[Tensor],
) -> list[Tensor]:
    """The gradients [x, states ..., parameters ..., sides ...] from those of the outputs.

    Gradients of x and parameters that are not needed are undefined.
    """
    call = _call(x, states, parameters, lengths, cell, reverse, True, masks, sides)
    grads = Outputs(grad_y, grad_states)
    found = _gradients(
        call, Outputs(y, ()), saved, grads, _Needs(need_input, need_parameters), backend
    )
    return [found.x, *found.states, *found.parameters, *found.sides]


@recurrent_backward.register_fake
def _(
    grad_y: Tensor,
    grad_states: Sequence[Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    y: Tensor,
    saved: Sequence[Tensor],
    cell: str,
    reverse: bool,
    need_input: bool,
    need_parameters: bool,
    backend: str,
    masks: Sequence[Tensor],
    sides: Sequence[Tensor],
) -> list[Tensor]:
    check_counts(_call(x, states, parameters, lengths, cell, reverse, True, masks, sides))
    contiguous = torch.contiguous_format
    tensors = (x, *states, *parameters, *sides)
    return [torch.empty_like(tensor, memory_format=contiguous) for tensor in tensors]


class _Needs(NamedTuple):
    """The gradients that are needed besides those of the states."""

    input: bool
    parameters: bool


def _call(
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor] | None,
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    save: bool,
    masks: Sequence[Tensor] | None,
    sides: Sequence[Tensor] | None,
) -> Call:
    return Call(
        plan_of(cell), x, states, parameters or (), lengths, reverse, save, masks or (),
        sides=sides or (),
    )  # fmt: skip


def _forward(call: Call, backend: str) -> tuple[Outputs, Saved, Call]:
    """Check and run a call; also returns the checked call with its copy of the lengths."""
    call = check_call(call, backend)
    with _own_types(call.x):
        outputs, saved = find_engine(backend).forward(call)
    return outputs, saved, call


def _gradients(
    call: Call, outputs: Outputs, saved: Saved, grads: Outputs, needs: _Needs, backend: str
) -> Grads:
    """Check and run backward."""
    call = check_call(call, backend)
    check_gradients(call, outputs, saved, grads, backend)
    with _own_types(call.x):
        return find_engine(backend).backward(
            call, outputs, saved, grads, need_input=needs.input, need_parameters=needs.parameters
        )


def _own_types(x: Tensor) -> AbstractContextManager[object]:
    """Disable torch.autocast, which would change dtypes inside the reference engine."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if autocasts(kind) else nullcontext()


def autocasts(kind: str) -> bool:
    """Whether ``torch.autocast`` is enabled for this device type; some do not support it."""
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def _save(ctx: Any, call: Call, y: Tensor, saved: Saved, backend: str, needs: _Needs) -> None:
    """Save what backward needs."""
    ctx.set_materialize_grads(False)  # avoids large unused zeros for the saved tensors
    ctx.save_for_backward(
        call.x, *call.states, *call.parameters, *call.masks, *call.sides, call.lengths, y, *saved
    )
    ctx.counts = (len(call.states), len(call.parameters), len(call.masks), len(call.sides))
    ctx.options = (call.plan.cell.text, call.reverse, call.save, backend)
    ctx.needs = needs


def _save_for_backward(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    x, states, parameters, lengths, cell, reverse, save, backend, masks, sides = inputs
    lengths = None if lengths is None else lengths.clone()  # the caller may change them
    call = _call(x, states, parameters, lengths, cell, reverse, save, masks, sides)
    needs = _Needs(x.requires_grad, any([p.requires_grad for p in call.parameters]))
    _save(ctx, call, output[0], output[1 + len(states) :], backend, needs)
    ctx.takes_sides = sides is not None


def _backward(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Any, ...]:
    x, *rest = ctx.saved_tensors
    num_states, num_parameters, num_masks, num_sides = ctx.counts
    states, rest = rest[:num_states], rest[num_states:]
    parameters, rest = rest[:num_parameters], rest[num_parameters:]
    masks, rest = rest[:num_masks], rest[num_masks:]
    sides, (lengths, y, *saved) = rest[:num_sides], rest[num_sides:]
    cell, reverse, save, backend = ctx.options
    if not save:
        raise BackendError(
            "elman::recurrent was called with save=False and saved nothing for backward; call it "
            "with save=True."
        )
    grad_y = torch.zeros_like(y) if grads[0] is None else grads[0]
    grad_states = [
        torch.zeros_like(state) if grad is None else grad
        for state, grad in zip(states, grads[1 : 1 + num_states], strict=True)
    ]
    needs: _Needs = ctx.needs
    given = (
        grad_y, grad_states, x, states, parameters, lengths, y, saved,
        cell, reverse, needs.input, needs.parameters, backend, masks, sides,
    )  # fmt: skip
    tensors = [grad_y, *grad_states, x, *states, *parameters, y, *saved, *masks, *sides]
    operator = _gradients_by_torch if backend == "torch" else recurrent_backward
    if is_seen_by_torch():
        dx, *others = operator(*given)
    elif _has_tangent(tensors) or any(map(_is_in_old_vmap, tensors)):
        dx, *others = _gradients_by_torch(*given)
    elif torch.is_grad_enabled() or not all(map(is_plain, tensors)):
        dx, *others = operator(*given)
    else:
        call = _call(x, states, parameters, lengths, cell, reverse, True, masks, sides)
        outputs, outer = Outputs(y, ()), Outputs(grad_y, grad_states)
        found = _gradients(call, outputs, saved, outer, needs, backend)
        dx, others = found.x, [*found.states, *found.parameters, *found.sides]
    dstates, others = others[:num_states], others[num_states:]
    dparameters, dsides = others[:num_parameters], others[num_parameters:]
    return (
        dx if needs.input else None,
        dstates,
        dparameters if needs.parameters else [None] * num_parameters,
        None, None, None, None, None, [None] * num_masks, dsides,
    )  # fmt: skip


def _backward_of_operator(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Any, ...]:
    *found, dsides = _backward(ctx, grads)
    # torch does not count an argument that was left out
    return (*found, dsides) if ctx.takes_sides else tuple(found)


recurrent.register_autograd(_backward_of_operator, setup_context=_save_for_backward)


def _save_for_second_backward(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    grad_y, grad_states, x, states, parameters, lengths, _, saved, cell, reverse, *_ = inputs
    need_input, _, _, masks, sides = inputs[-5:]
    lengths = None if lengths is None else lengths.clone()
    ctx.save_for_backward(grad_y, *grad_states, x, *states, *parameters, *sides, lengths, *masks)
    ctx.counts = (len(states), len(parameters), len(sides), len(saved))
    ctx.options = (cell, reverse, need_input)


def _second_backward(ctx: Any, grads: list[Tensor]) -> tuple[Any, ...]:
    """Second derivatives: torch's autograd on the reference engine's forward and backward.

    With ``create_graph``, the results stay connected for higher derivatives.
    """
    num_states, num_parameters, num_sides, num_saved = ctx.counts
    num_tensors = 2 + 2 * num_states + num_parameters + num_sides
    tensors, (lengths, *masks) = ctx.saved_tensors[:num_tensors], ctx.saved_tensors[num_tensors:]
    cell, reverse, need_input = ctx.options
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        inputs = independent(tensors, connected=again)
        grad_y, *rest = inputs
        grad_states, (x, *rest) = rest[:num_states], rest[num_states:]
        states, rest = rest[:num_states], rest[num_states:]
        parameters, sides = rest[:num_parameters], rest[num_parameters:]
        call = _call(x, states, parameters, lengths, cell, reverse, True, masks, sides)
        found = _torch_gradients(call, Outputs(grad_y, grad_states))
        if not need_input:  # what stands for the gradient of x is empty
            found, grads = found[1:], grads[1:]
        outputs = [(o, g) for o, g in zip(found, grads, strict=True)]
        outputs = [(o, g) for o, g in outputs if g is not None and o.requires_grad]
        made = torch.autograd.grad(
            [o for o, _ in outputs], inputs, [g for _, g in outputs],
            allow_unused=True, materialize_grads=True, create_graph=again,
        )  # fmt: skip
    dgrad_y, *others = made
    dgrad_states, (ddx, *others) = others[:num_states], others[num_states:]
    ddstates, others = others[:num_states], others[num_states:]
    return (
        dgrad_y, dgrad_states, ddx, ddstates, others[:num_parameters],
        None, None, [None] * num_saved, None, None, None, None, None, [None] * len(masks),
        others[num_parameters:],
    )  # fmt: skip


recurrent_backward.register_autograd(_second_backward, setup_context=_save_for_second_backward)


def independent(tensors: Sequence[Tensor], *, connected: bool) -> list[Tensor]:
    """The same values as inputs of a new graph, none of which depends on another.

    ``connected`` inputs lead on into the graphs of the tensors.
    """
    return [
        tensor.view_as(tensor)
        if connected and tensor.requires_grad
        else tensor.detach().requires_grad_()
        for tensor in tensors
    ]


def _torch_gradients(call: Call, grads: Outputs) -> list[Tensor]:
    """The result of ``recurrent_backward``, computed with differentiable torch operations.

    Uses at least float32: rounding to bfloat16 at each step is too coarse to differentiate.
    """
    given = [t.dtype for t in (call.x, *call.states, *call.parameters, *call.sides)]

    def wide(tensors: Sequence[Tensor]) -> list[Tensor]:
        return [t.to(torch.promote_types(t.dtype, torch.float32)) for t in tensors]

    reference = find_engine("reference")
    with _own_types(call.x):
        (x,) = wide([call.x])
        states, parameters = wide(call.states), wide(call.parameters)
        own = replace(
            call, x=x, states=states, parameters=parameters, save=True, sides=wide(call.sides)
        )
        outputs, saved = reference.forward(own)
        (grad_y,) = wide([grads.y])
        found = reference.backward(own, outputs, saved, Outputs(grad_y, wide(grads.states)))
    gradients = [found.x, *found.states, *found.parameters, *found.sides]
    pairs = zip(gradients, given, strict=True)
    return [gradient.to(dtype) for gradient, dtype in pairs]


def _forward_by_torch(
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor] | None,
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    save: bool,
    backend: str,
    masks: Sequence[Tensor] | None,
    sides: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    """``recurrent`` as torch operations, for transforms and forward-mode differentiation.

    ``recurrent_backward`` does not use the tensors that it saves.
    """
    call = _call(x, states, parameters, lengths, cell, reverse, save, masks, sides)
    outputs, saved, _ = _forward(call, "reference")
    return [outputs.y, *outputs.states, *saved]


def _gradients_by_torch(
    grad_y: Tensor,
    grad_states: Sequence[Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    y: Tensor,
    saved: Sequence[Tensor],
    cell: str,
    reverse: bool,
    need_input: bool,
    need_parameters: bool,
    backend: str,
    masks: Sequence[Tensor],
    sides: Sequence[Tensor],
) -> list[Tensor]:
    """``recurrent_backward`` as torch operations."""
    call = _call(x, states, parameters, lengths, cell, reverse, True, masks, sides)
    return _torch_gradients(call, Outputs(grad_y, grad_states))


# every torch.func transform dispatches here before it looks for a rule of the operator
_TRANSFORMED = torch.library.Library("elman", "FRAGMENT")
_TRANSFORMED.impl("recurrent", _forward_by_torch, "FuncTorchDynamicLayerFrontMode")
_TRANSFORMED.impl("recurrent_backward", _gradients_by_torch, "FuncTorchDynamicLayerFrontMode")


class _Eager(torch.autograd.Function):
    """The operator and its backward, without torch's dispatcher.

    ``tensors`` repeats the tensors of the call that may have gradients, because torch only finds
    them among the arguments.
    """

    @staticmethod
    def forward(ctx: Any, call: Call, backend: str, *tensors: Tensor) -> tuple[Tensor, ...]:
        outputs, saved, call = _forward(call, backend)
        needed = ctx.needs_input_grad[2:]
        first = 1 + len(call.states)
        needs = _Needs(needed[0], any(needed[first : first + len(call.parameters)]))
        _save(ctx, call, outputs.y, saved, backend, needs)
        return (outputs.y, *outputs.states)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        dx, dstates, dparameters, *_, dsides = _backward(ctx, grads)
        return None, None, dx, *dstates, *dparameters, *dsides


def run(
    cell: str,
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    reverse: bool,
    save: bool,
    backend: str,
    masks: Sequence[Tensor] = (),
    memo: Memo | None = None,
    sides: Sequence[Tensor] = (),
) -> tuple[Tensor, Sequence[Tensor]]:
    """The outputs and the last states, by the fastest path that torch's state allows.

    The arguments are those of a ``Call``, with the cell as text.  This is not a ``Call`` because
    torch.compile traces the code before the operator and cannot trace the making of a plan.
    """
    if is_seen_by_torch():
        backend = _of_operator(backend)
        if not torch.compiler.is_dynamo_compiling():
            refuse_onnx_export()
            _warn_of_tracing()
        results = recurrent(
            x, states, parameters, lengths, cell, reverse, save, backend, masks, sides
        )
        return results[0], results[1 : 1 + len(states)]
    own = [x, *states, *parameters, *sides]
    tensors = [*own, *masks]
    if _has_tangent(tensors) or not all(map(is_plain, tensors)):
        by_torch = _has_tangent(tensors) or any(map(_is_in_old_vmap, tensors))
        compute = _forward_by_torch if by_torch else recurrent
        results = compute(
            x, states, parameters, lengths, cell, reverse, save, _of_operator(backend), masks, sides
        )
        return results[0], results[1 : 1 + len(states)]
    call = Call(plan_of(cell), x, states, parameters, lengths, reverse, save, masks, memo, sides)
    if save:
        apply = _Eager.apply
        y, *last = apply(call, backend, *own)  # type: ignore[no-untyped-call]
        return y, last
    outputs, *_ = _forward(call, backend)
    return outputs.y, outputs.states


def _of_operator(backend: str) -> str:
    """The engine for calls of the operator, beneath which torch cannot differentiate."""
    return "reference" if backend == "torch" else backend


def refuse_onnx_export() -> None:
    """Says what to use instead of ``torch.onnx.export``, if that is what runs."""
    if torch.onnx.is_in_onnx_export():
        raise ExportError(
            "torch.onnx.export cannot write a recurrent layer of Elman; use "
            "elman.export.onnx(model, path), which writes ONNX's own operators."
        )


def _warn_of_tracing() -> None:
    """Says what to use instead of ``torch.jit.trace``, if that is what runs."""
    if torch._C._get_tracing_state() is not None:
        warnings.warn(
            "torch.jit.trace keeps a recurrent layer of Elman as an operator that needs Elman "
            "wherever it runs; elman.export.torch_program(model, path) writes a program that "
            "does not.",
            TracerWarning,
            stacklevel=2,
        )


def is_seen_by_torch() -> bool:
    """Whether torch is compiling, exporting, tracing or transforming the current code."""
    return (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch._C._get_tracing_state() is not None
    )


def _has_tangent(tensors: Sequence[Tensor]) -> bool:
    """Whether a tensor has a forward-mode tangent, outside ``torch.func``."""
    if forward_ad._current_level < 0:
        return False
    return any([forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors])


def _is_in_old_vmap(tensor: Tensor) -> bool:
    """Whether a tensor is batched by ``torch.autograd.grad(is_grads_batched=True)``."""
    return torch._C._functorch.is_legacy_batchedtensor(tensor)
