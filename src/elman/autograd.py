"""The one bridge to torch: a recurrent layer in one direction as one opaque operation.

``run`` is what layers call.  Where torch traces, compiles, exports or transforms, or a tensor is
not just numbers in memory, it is the operator ``elman::recurrent``, one node of a graph; else an
``autograd.Function`` that does the same without the operator's way through torch, which takes
longer than a short sequence.

``elman::recurrent`` has a backward (itself an operator, so that compilers see one node and not
a loop over time), fake kernels that give shapes without computing, and second and higher
derivatives, which torch takes through the reference engine.  What transforms functions
(``torch.func``) or carries tangents (``torch.autograd.forward_ad``) sees the operations of the
reference engine in the operator's place.  The cell travels as its text, so that an exported
program is whole by itself.  Layers are in ``nn/``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from elman.backends import engine, reference
from elman.backends.arguments import (
    check_arguments,
    check_counts,
    check_gradients,
    is_plain,
    resolved,
)
from elman.backends.plan import plan_of
from elman.backends.weights import PackedWeights
from elman.errors import BackendError


# AOTInductor passes an empty list on as None, so that only a list that may be None may be empty
@torch.library.custom_op(
    "elman::recurrent",
    mutates_args=(),
    schema="(Tensor x, Tensor[] states, Tensor[]? parameters, Tensor? lengths, str cell, "
    "bool reverse, bool keep, str backend, Tensor[]? masks) -> Tensor[]",
)
def recurrent(
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor] | None,
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    keep: bool,
    backend: str,
    masks: Sequence[Tensor] | None,
) -> list[Tensor]:
    """Run a cell over x (time, batch, input): [y, last states ..., what backward keeps ...].

    ``states`` are (batch, hidden), ``parameters`` in the order of the cell, ``lengths`` (batch,)
    or ``None``; ``reverse`` runs from each row's last step to its first.  x and the states are of
    one type; parameters may be of a wider one, and their gradients are of theirs.  ``masks`` are
    those of the cell, (time, batch, hidden) or (batch, hidden); they have no gradients.

    Raises ``ShapeError`` for what does not fit.
    """
    parameters, masks = resolved(parameters), resolved(masks)
    if _has_tangent([x, *states, *parameters]):
        raise BackendError(
            "elman::recurrent has no forward-mode derivative of its own; call the layer, which "
            "has one."
        )
    y, last, kept, _ = _forward(x, states, parameters, lengths, cell, reverse, keep, backend, masks)
    return [y, *last, *kept]


def _forward(
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    keep: bool,
    backend: str,
    masks: Sequence[Tensor],
    weights_of: PackedWeights | None = None,
) -> tuple[Tensor, list[Tensor], list[Tensor], Tensor | None]:
    """Check and run: y, the last states, what backward keeps, and the lengths that were used."""
    plan = plan_of(cell)
    lengths = check_arguments(plan, x, states, parameters, lengths, masks, backend)
    with _own_types(x):
        y, last, kept = engine(backend).forward(
            plan, x, states, parameters, lengths, reverse, keep=keep, masks=masks,
            weights_of=weights_of,
        )  # fmt: skip
    return y, last, kept, lengths


def _own_types(x: Tensor) -> AbstractContextManager[object]:
    """Types are chosen already: torch.autocast would choose again inside the reference engine."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if autocasts(kind) else nullcontext()


def autocasts(kind: str) -> bool:
    """Whether ``torch.autocast`` is on for devices of that kind; on some it cannot be."""
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


@recurrent.register_fake
def _(
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor] | None,
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    keep: bool,
    backend: str,
    masks: Sequence[Tensor] | None,
) -> list[Tensor]:
    plan = plan_of(cell)
    check_counts(plan, x, states, parameters or (), masks or ())
    return [
        x.new_empty(*x.shape[:2], states[0].shape[-1]),
        *[torch.empty_like(state, memory_format=torch.contiguous_format) for state in states],
        *(engine(backend).kept_like(plan, x, states) if keep else []),
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
    kept: Sequence[Tensor],
    cell: str,
    reverse: bool,
    need_input: bool,
    need_parameters: bool,
    backend: str,
    masks: Sequence[Tensor],
) -> list[Tensor]:
    """The gradients [x, states ..., parameters ...] from those of the outputs.

    Those of x and of the parameters are undefined where they are not needed.
    """
    return _gradients(
        grad_y, grad_states, x, states, parameters, lengths, y, kept, cell, reverse, need_input,
        need_parameters, backend, masks,
    )  # fmt: skip


def _gradients(
    grad_y: Tensor,
    grad_states: Sequence[Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    y: Tensor,
    kept: Sequence[Tensor],
    cell: str,
    reverse: bool,
    need_input: bool,
    need_parameters: bool,
    backend: str,
    masks: Sequence[Tensor],
) -> list[Tensor]:
    """Check and run backward."""
    plan = plan_of(cell)
    lengths = check_arguments(plan, x, states, parameters, lengths, masks, backend)
    check_gradients(plan, grad_y, grad_states, x, states, y, kept, backend)
    with _own_types(x):
        dx, dstates, dparameters = engine(backend).backward(
            plan, grad_y, grad_states, x, states, parameters, lengths, y, kept, reverse,
            need_input=need_input, need_parameters=need_parameters, masks=masks,
        )  # fmt: skip
    return [dx, *dstates, *dparameters]


@recurrent_backward.register_fake
def _(
    grad_y: Tensor,
    grad_states: Sequence[Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    y: Tensor,
    kept: Sequence[Tensor],
    cell: str,
    reverse: bool,
    need_input: bool,
    need_parameters: bool,
    backend: str,
    masks: Sequence[Tensor],
) -> list[Tensor]:
    check_counts(plan_of(cell), x, states, parameters, masks)
    contiguous = torch.contiguous_format
    return [
        torch.empty_like(tensor, memory_format=contiguous) for tensor in (x, *states, *parameters)
    ]


def _save_for_backward(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    x, states, parameters, lengths, cell, reverse, keep, backend, masks = inputs
    ctx.set_materialize_grads(False)  # zeros for all that is kept would be large, and unread
    y, kept = output[0], output[1 + len(states) :]
    lengths = None if lengths is None else lengths.clone()  # the caller may change them
    parameters, masks = parameters or (), masks or ()
    ctx.save_for_backward(x, *states, *parameters, *masks, lengths, y, *kept)
    ctx.counts = (len(states), len(parameters), len(masks))
    ctx.options = (cell, reverse, keep, backend)
    ctx.needed = (x.requires_grad, any([p.requires_grad for p in parameters]))


def _backward(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Any, ...]:
    x, *rest = ctx.saved_tensors
    num_states, num_parameters, num_masks = ctx.counts
    states, rest = rest[:num_states], rest[num_states:]
    parameters, rest = rest[:num_parameters], rest[num_parameters:]
    masks, (lengths, y, *kept) = rest[:num_masks], rest[num_masks:]
    cell, reverse, keep, backend = ctx.options
    if not keep:
        raise BackendError(
            "elman::recurrent was called with keep=False, so nothing is left to take gradients "
            "by; call it with keep=True."
        )
    grad_y = torch.zeros_like(y) if grads[0] is None else grads[0]
    grad_states = [
        torch.zeros_like(state) if grad is None else grad
        for state, grad in zip(states, grads[1 : 1 + num_states], strict=True)
    ]
    need_input, need_parameters = ctx.needed
    given = (
        grad_y, grad_states, x, states, parameters, lengths, y, kept,
        cell, reverse, need_input, need_parameters, backend, masks,
    )  # fmt: skip
    tensors = [grad_y, *grad_states, x, *states, *parameters, y, *kept, *masks]
    if is_seen_by_torch():
        dx, *others = recurrent_backward(*given)
    elif _has_tangent(tensors) or any(map(_is_in_old_vmap, tensors)):
        dx, *others = _gradients_by_torch(*given)
    elif torch.is_grad_enabled() or not all(map(is_plain, tensors)):
        dx, *others = recurrent_backward(*given)
    else:
        dx, *others = _gradients(*given)
    dstates, dparameters = others[:num_states], others[num_states:]
    return (
        dx if need_input else None,
        dstates,
        dparameters if need_parameters else [None] * num_parameters,
        None, None, None, None, None, [None] * num_masks,
    )  # fmt: skip


recurrent.register_autograd(_backward, setup_context=_save_for_backward)


def _save_for_second_backward(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    grad_y, grad_states, x, states, parameters, lengths, _, kept, cell, reverse, *_ = inputs
    masks = inputs[-1]
    lengths = None if lengths is None else lengths.clone()
    ctx.save_for_backward(grad_y, *grad_states, x, *states, *parameters, lengths, *masks)
    ctx.counts = (len(states), len(parameters), len(kept))
    ctx.options = (cell, reverse)


def _second_backward(ctx: Any, grads: list[Tensor]) -> tuple[Any, ...]:
    """Second derivatives: the reference engine, forward and backward, by torch's autograd.

    Where these are to be differentiated again, what they are made of stays connected.
    """
    num_states, num_parameters, num_kept = ctx.counts
    num_tensors = 2 + 2 * num_states + num_parameters
    tensors, (lengths, *masks) = ctx.saved_tensors[:num_tensors], ctx.saved_tensors[num_tensors:]
    cell, reverse = ctx.options
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # views, so that no input is found to depend on another
        inputs = [
            tensor.view_as(tensor)
            if again and tensor.requires_grad
            else tensor.detach().requires_grad_()
            for tensor in tensors
        ]
        grad_y, *rest = inputs
        grad_states, (x, *rest) = rest[:num_states], rest[num_states:]
        states, parameters = rest[:num_states], rest[num_states:]
        found = _torch_gradients(
            grad_y, grad_states, x, states, parameters, lengths, cell, reverse, masks
        )
        outputs = [(o, g) for o, g in zip(found, grads, strict=True)]
        outputs = [(o, g) for o, g in outputs if g is not None and o.requires_grad]
        made = torch.autograd.grad(
            [o for o, _ in outputs], inputs, [g for _, g in outputs],
            allow_unused=True, materialize_grads=True, create_graph=again,
        )  # fmt: skip
    dgrad_y, *others = made
    dgrad_states, (ddx, *others) = others[:num_states], others[num_states:]
    return (
        dgrad_y, dgrad_states, ddx, others[:num_states], others[num_states:],
        None, None, [None] * num_kept, None, None, None, None, None, [None] * len(masks),
    )  # fmt: skip


recurrent_backward.register_autograd(_second_backward, setup_context=_save_for_second_backward)


def _torch_gradients(
    grad_y: Tensor,
    grad_states: Sequence[Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    masks: Sequence[Tensor],
) -> list[Tensor]:
    """What ``recurrent_backward`` returns, as operations that torch can look into.

    In float32 at least: what is rounded to bfloat16 at each step is too coarse to differentiate.
    """
    plan = plan_of(cell)
    tensors = [grad_y, *grad_states, x, *states, *parameters]
    given = [tensor.dtype for tensor in (x, *states, *parameters)]
    with _own_types(x):
        grad_y, *rest = [t.to(torch.promote_types(t.dtype, torch.float32)) for t in tensors]
        grad_states, (x, *rest) = rest[: len(states)], rest[len(states) :]
        states, parameters = rest[: len(states)], rest[len(states) :]
        y, _, kept = reference.forward(plan, x, states, parameters, lengths, reverse, masks=masks)
        dx, dstates, dparameters = reference.backward(
            plan, grad_y, grad_states, x, states, parameters, lengths, y, kept, reverse,
            masks=masks,
        )  # fmt: skip
    found = zip([dx, *dstates, *dparameters], given, strict=True)
    return [gradient.to(dtype) for gradient, dtype in found]


def _forward_by_torch(
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor] | None,
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    keep: bool,
    backend: str,
    masks: Sequence[Tensor] | None,
) -> list[Tensor]:
    """``recurrent`` as operations of torch, for whoever differentiates, maps or carries tangents.

    What it keeps is of no use to ``recurrent_backward``, which keeps its own then.
    """
    y, last, kept, _ = _forward(
        x, states, parameters or (), lengths, cell, reverse, keep, "reference", masks or ()
    )
    return [y, *last, *kept]


def _gradients_by_torch(
    grad_y: Tensor,
    grad_states: Sequence[Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    y: Tensor,
    kept: Sequence[Tensor],
    cell: str,
    reverse: bool,
    need_input: bool,
    need_parameters: bool,
    backend: str,
    masks: Sequence[Tensor],
) -> list[Tensor]:
    """``recurrent_backward`` in the same way."""
    return _torch_gradients(
        grad_y, grad_states, x, states, parameters, lengths, cell, reverse, masks
    )


# every transformation of torch.func comes by here before it looks for a rule of the operator
_TRANSFORMED = torch.library.Library("elman", "FRAGMENT")
_TRANSFORMED.impl("recurrent", _forward_by_torch, "FuncTorchDynamicLayerFrontMode")
_TRANSFORMED.impl("recurrent_backward", _gradients_by_torch, "FuncTorchDynamicLayerFrontMode")


class _Eager(torch.autograd.Function):
    """The operator and its backward, called directly."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        lengths: Tensor | None,
        options: tuple[int, int, str, bool, str],
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        num_states, num_masks, cell, reverse, backend = options
        masks, states = tensors[:num_masks], tensors[num_masks : num_masks + num_states]
        parameters = tensors[num_masks + num_states :]
        y, last, kept, lengths = _forward(
            x, states, parameters, lengths, cell, reverse, True, backend, masks
        )
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, *states, *parameters, *masks, lengths, y, *kept)
        ctx.counts = (num_states, len(parameters), num_masks)
        ctx.options = (cell, reverse, True, backend)
        needed = ctx.needs_input_grad
        ctx.needed = (needed[0], any(needed[3 + num_masks + num_states :]))
        return (y, *last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        dx, dstates, dparameters, *_ = _backward(ctx, grads)
        return dx, None, None, *[None] * ctx.counts[2], *dstates, *dparameters


def run(
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    keep: bool,
    backend: str,
    masks: Sequence[Tensor] = (),
    weights_of: PackedWeights | None = None,
) -> tuple[Tensor, Sequence[Tensor]]:
    """The outputs and the last states; arguments as for ``recurrent``.

    ``weights_of`` is where the engine keeps what it makes of the parameters for inference.
    """
    given = (x, states, parameters, lengths, cell, reverse, keep, backend, masks)
    tensors = [x, *states, *parameters, *masks]
    if is_seen_by_torch():
        results = recurrent(*given)
        return results[0], results[1 : 1 + len(states)]
    if _has_tangent(tensors) or not all(map(is_plain, tensors)):
        by_torch = _has_tangent(tensors) or any(map(_is_in_old_vmap, tensors))
        results = _forward_by_torch(*given) if by_torch else recurrent(*given)
        return results[0], results[1 : 1 + len(states)]
    if keep:
        options = (len(states), len(masks), cell, reverse, backend)
        apply = _Eager.apply
        y, *last = apply(x, lengths, options, *masks, *states, *parameters)  # type: ignore[no-untyped-call]
        return y, last
    y, last, *_ = _forward(*given, weights_of)
    return y, last


def is_seen_by_torch() -> bool:
    """Whether torch compiles, exports, traces or transforms what runs now."""
    return (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch._C._get_tracing_state() is not None
    )


def _has_tangent(tensors: Sequence[Tensor]) -> bool:
    """Whether torch carries a derivative forward with a tensor, outside of ``torch.func``."""
    if forward_ad._current_level < 0:
        return False
    return any([forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors])


def _is_in_old_vmap(tensor: Tensor) -> bool:
    """Whether a tensor is many at once for ``torch.autograd.grad(is_grads_batched=True)``."""
    return torch._C._functorch.is_legacy_batchedtensor(tensor)
