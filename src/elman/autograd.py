"""The one bridge to torch: a recurrent layer in one direction as one opaque operation.

``run`` is what layers call.  Where torch traces, compiles, exports or transforms, it is the
operator ``elman::recurrent``, one node of a graph; else an ``autograd.Function`` that does the
same without the operator's way through torch, which takes longer than a short sequence.

``elman::recurrent`` has a backward (itself an operator, so that compilers see one node and not
a loop over time), fake kernels that give shapes without computing, and second derivatives, which
torch takes through the reference engine.  The cell travels as its text, so that an exported
program is whole by itself.  Layers are in ``nn/``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from elman.backends import engine, reference
from elman.backends.plan import Plan, plan_of
from elman.errors import ShapeError


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
    """
    plan = plan_of(cell)
    _check_lengths(plan, x, lengths)
    with _own_types(x):
        y, last, kept = engine(backend).forward(
            plan, x, states, parameters or (), lengths, reverse, keep=keep, masks=masks or ()
        )
    return [y, *last, *kept]


def _own_types(x: Tensor) -> AbstractContextManager[object]:
    """Types are chosen already: torch.autocast would choose again inside the reference engine."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if autocasts(kind) else nullcontext()


def autocasts(kind: str) -> bool:
    """Whether ``torch.autocast`` is on for devices of that kind; ``meta`` has none."""
    return kind != "meta" and torch.is_autocast_enabled(kind)


def _check_lengths(plan: Plan, x: Tensor, lengths: Tensor | None) -> None:
    if lengths is None or not lengths.numel():
        return
    shortest, longest = [int(end) for end in torch.aminmax(lengths)]
    if shortest < 0 or longest > x.shape[0]:
        raise ShapeError(
            f"Recurrent({plan.cell.name}): lengths go from {shortest} to {longest}, but x has "
            f"{x.shape[0]} steps; give each row's true length."
        )


@recurrent.register_fake
def _(
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    keep: bool,
    backend: str,
    masks: Sequence[Tensor],
) -> list[Tensor]:
    return [
        x.new_empty(*x.shape[:2], states[0].shape[-1]),
        *[torch.empty_like(state, memory_format=torch.contiguous_format) for state in states],
        *(engine(backend).kept_like(plan_of(cell), x, states) if keep else []),
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
    with _own_types(x):
        dx, dstates, dparameters = engine(backend).backward(
            plan_of(cell), grad_y, grad_states, x, states, parameters, lengths, y, kept, reverse,
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
    contiguous = torch.contiguous_format
    return [
        torch.empty_like(tensor, memory_format=contiguous) for tensor in (x, *states, *parameters)
    ]


def _save_for_backward(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    x, states, parameters, lengths, cell, reverse, keep, backend, masks = inputs
    ctx.set_materialize_grads(False)  # zeros for all that is kept would be large, and unread
    y, kept = output[0], output[1 + len(states) :]
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
    assert keep, "a layer that needs gradients was run without keeping what they need"
    grad_y = torch.zeros_like(y) if grads[0] is None else grads[0]
    grad_states = [
        torch.zeros_like(state) if grad is None else grad
        for state, grad in zip(states, grads[1 : 1 + num_states], strict=True)
    ]
    need_input, need_parameters = ctx.needed
    if torch.is_grad_enabled() or _is_seen_by_torch():  # to be differentiated again, or traced
        dx, *others = recurrent_backward(
            grad_y, grad_states, x, states, parameters, lengths, y, kept,
            cell, reverse, need_input, need_parameters, backend, masks,
        )  # fmt: skip
        dstates, dparameters = others[:num_states], others[num_states:]
    else:
        with _own_types(x):
            dx, dstates, dparameters = engine(backend).backward(
                plan_of(cell), grad_y, grad_states, x, states, parameters, lengths, y, kept,
                reverse, need_input=need_input, need_parameters=need_parameters, masks=masks,
            )  # fmt: skip
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
    ctx.save_for_backward(grad_y, *grad_states, x, *states, *parameters, lengths, *masks)
    ctx.counts = (len(states), len(parameters), len(kept))
    ctx.options = (cell, reverse)


def _second_backward(ctx: Any, grads: list[Tensor]) -> tuple[Any, ...]:
    """Second derivatives: the reference engine, forward and backward, by torch's autograd.

    In float32 at least: what is rounded to bfloat16 at each step is too coarse to differentiate.
    """
    num_states, num_parameters, num_kept = ctx.counts
    num_tensors = 2 + 2 * num_states + num_parameters
    tensors, (lengths, *masks) = ctx.saved_tensors[:num_tensors], ctx.saved_tensors[num_tensors:]
    cell, reverse = ctx.options
    plan = plan_of(cell)
    with torch.enable_grad(), _own_types(tensors[0]):
        inputs = [tensor.detach().requires_grad_() for tensor in tensors]
        grad_y, *rest = [t.to(torch.promote_types(t.dtype, torch.float32)) for t in inputs]
        grad_states, (x, *rest) = rest[:num_states], rest[num_states:]
        states, parameters = rest[:num_states], rest[num_states:]
        y, _, kept = reference.forward(plan, x, states, parameters, lengths, reverse, masks=masks)
        dx, dstates, dparameters = reference.backward(
            plan, grad_y, grad_states, x, states, parameters, lengths, y, kept, reverse,
            masks=masks,
        )  # fmt: skip
        outputs = [(o, g) for o, g in zip([dx, *dstates, *dparameters], grads, strict=True)]
        outputs = [(o, g) for o, g in outputs if g is not None and o.requires_grad]
        found = torch.autograd.grad(
            [o for o, _ in outputs], inputs, [g.to(o.dtype) for o, g in outputs],
            allow_unused=True, materialize_grads=True,
        )  # fmt: skip
    dgrad_y, *others = found
    dgrad_states, (ddx, *others) = others[:num_states], others[num_states:]
    return (
        dgrad_y, dgrad_states, ddx, others[:num_states], others[num_states:],
        None, None, [None] * num_kept, None, None, None, None, None, [None] * len(masks),
    )  # fmt: skip


recurrent_backward.register_autograd(_second_backward, setup_context=_save_for_second_backward)


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
        plan = plan_of(cell)
        _check_lengths(plan, x, lengths)
        with _own_types(x):
            y, last, kept = engine(backend).forward(
                plan, x, states, parameters, lengths, reverse, keep=True, masks=masks
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
) -> tuple[Tensor, Sequence[Tensor]]:
    """The outputs and the last states; arguments as for ``recurrent``."""
    if _is_seen_by_torch():
        results = recurrent(x, states, parameters, lengths, cell, reverse, keep, backend, masks)
        return results[0], results[1 : 1 + len(states)]
    if keep:
        options = (len(states), len(masks), cell, reverse, backend)
        apply = _Eager.apply
        y, *last = apply(x, lengths, options, *masks, *states, *parameters)  # type: ignore[no-untyped-call]
        return y, last
    plan = plan_of(cell)
    _check_lengths(plan, x, lengths)
    with _own_types(x):
        y, last, _ = engine(backend).forward(
            plan, x, states, parameters, lengths, reverse, keep=False, masks=masks
        )
    return y, last


def _is_seen_by_torch() -> bool:
    """Whether torch compiles, exports, traces or transforms what runs now."""
    return (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch._C._get_tracing_state() is not None
    )
