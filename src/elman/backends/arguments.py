"""What an engine is given, checked once: all that becomes an address has the shape it must have.

Whoever calls the operator of ``autograd.py`` may pass anything, and a layer's parameters may have
been given other data since they were made.  Engines trust what passes here, and the native one
reads memory by it.  Tensors that hide something from a kernel, such as a sign or another tensor,
are told apart by ``is_plain``; for them torch's dispatcher makes plain ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from elman.backends import ENGINES, find_engine
from elman.backends.engine import Call, Outputs, Saved
from elman.backends.plan import Plan
from elman.errors import BackendError, OptionError, ShapeError
from elman.graph.sizes import Sizes

_keys = torch._C._dispatch_keys
#: what torch does with numbers in memory on the CPU, outside and inside of inference mode
_PLAIN_KEYS = {_keys(torch.empty(0, device="cpu")).raw_repr()}
with torch.inference_mode():
    _PLAIN_KEYS.add(_keys(torch.empty(0, device="cpu")).raw_repr())


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is numbers in memory that are read as they are.

    A tensor with the negative bit, a fake or a functional one, one without memory of its own and
    one of a class that wants to see what is done with it are not.

    >>> is_plain(torch.ones(2)), is_plain(torch._neg_view(torch.ones(2)))
    (True, False)
    """
    kind = type(tensor)
    if kind is not Tensor and kind is not nn.Parameter:
        unseen = torch._C._disabled_torch_function_impl
        if getattr(kind, "__torch_function__", None) is not unseen:
            return False
    return _keys(tensor).raw_repr() in _PLAIN_KEYS


def resolved(tensors: Sequence[Tensor] | None) -> Sequence[Tensor]:
    """The tensors with the bits of lazy ones carried out, as torch does but for optional lists.

    >>> resolved([torch._neg_view(torch.ones(2))])[0].is_neg()
    False
    """
    return [
        torch.zeros_like(tensor, memory_format=torch.contiguous_format)
        if tensor._is_zerotensor()
        else tensor.resolve_neg()
        for tensor in tensors or ()
    ]


def check_call(call: Call, backend: str) -> Call:
    """Raise an error for what does not fit; returns the call with its lengths copied.

    A ``ShapeError`` names the tensor, a ``BackendError`` says why the engine cannot take x, an
    ``OptionError`` that there is no such engine.
    """
    if backend not in ENGINES:
        raise OptionError(
            f'backend is "{backend}"; the operator takes '
            + " or ".join([f'"{name}"' for name in ENGINES])
            + "."
        )
    check_counts(call)
    border, cell = _Border(call, backend), call.plan.cell
    time, batch, width = border.shape_of_input()
    hidden = border.hidden_of(call.states[0])
    for name, state in zip(cell.states, call.states, strict=True):
        border.check(f"the starting {name}", state, (batch, hidden))
    sizes = Sizes(width, hidden)
    for p, tensor in zip(cell.parameters, call.parameters, strict=True):
        border.check(p.key, tensor, p.shape(sizes), own_type=True)
    for k, (node, mask) in enumerate(zip(cell.masks, call.masks, strict=True)):
        shape = (time, batch, hidden) if node.attribute[2] == "step" else (batch, hidden)
        border.check(f"mask {k}", mask, shape, own_type=True)
    if call.lengths is None:
        return call
    return replace(call, lengths=border.copied(call.lengths, time, batch))


def check_counts(call: Call) -> None:
    """Raise ``ShapeError`` where tensors are too few, too many or on another device than x.

    This is what is checked of tensors that have no values, such as those of a compiler.
    """
    cell, x = call.plan.cell, call.x
    title = _title(call.plan)
    for what, tensors, names in (
        ("states", call.states, cell.states),
        ("parameters", call.parameters, [p.key for p in cell.parameters]),
        ("masks", call.masks, [str(node.attribute[1]) for node in cell.masks]),
    ):
        _check_count(title, what, len(tensors), names)
        for name, tensor in zip(names, tensors, strict=True):
            if tensor.device != x.device:
                raise ShapeError(
                    f"{title}: {name} is on {tensor.device}, but x is on {x.device}; bring both "
                    "to one device with .to(...)."
                )


def check_gradients(
    call: Call, outputs: Outputs, saved: Saved, grads: Outputs, backend: str
) -> None:
    """The same for what backward has besides the call, which fits already."""
    border = _Border(call, backend)
    time, batch, _ = call.x.shape
    hidden, states = call.sizes.hidden, call.plan.cell.states
    border.check("y", outputs.y, (time, batch, hidden))
    border.check("the gradient of y", grads.y, (time, batch, hidden))
    _check_count(border.title, "gradients of states", len(grads.states), states)
    for name, grad in zip(states, grads.states, strict=True):
        border.check(f"the gradient of the last {name}", grad, (batch, hidden))
    like_x = torch.empty(call.x.shape, dtype=call.x.dtype, device="meta")
    like_state = torch.empty(batch, hidden, dtype=call.x.dtype, device="meta")
    likes = find_engine(backend).saved_like(
        Call(call.plan, like_x, [like_state] * len(states), (), None, False)
    )
    names = [str(k) for k in range(len(likes))]
    _check_count(border.title, "tensors saved by forward", len(saved), names)
    for k, (tensor, like) in enumerate(zip(saved, likes, strict=True)):
        border.check(f"tensor {k} of those saved by forward", tensor, tuple(like.shape), like.dtype)


def _title(plan: Plan) -> str:
    return f"Recurrent({plan.cell.name})"


def _check_count(title: str, what: str, count: int, names: Sequence[str]) -> None:
    """Raise ``ShapeError`` unless there is one for each name."""
    if count != len(names):
        listed = f" ({', '.join(names)})" if names else ""
        raise ShapeError(f"{title}: there are {count} {what}; it takes {len(names)}{listed}.")


class _Border:
    """The checks, with what their sentences begin with."""

    def __init__(self, call: Call, backend: str) -> None:
        self.title, self.x = _title(call.plan), call.x
        why_not = find_engine(backend).unsupported_reason(self.x.dtype, self.x.device)
        if why_not:
            raise BackendError(f'{self.title}: backend is "{backend}", but {why_not}.')

    def shape_of_input(self) -> tuple[int, int, int]:
        """(time, batch, input)."""
        x = self.x
        self._check_memory("x", x)
        if x.dim() != 3:
            raise ShapeError(
                f"{self.title}: x has the shape {tuple(x.shape)}; the operator takes "
                "(time, batch, input)."
            )
        time, batch, width = x.shape
        return time, batch, width

    def hidden_of(self, state: Tensor) -> int:
        """The size of a state."""
        self._check_memory("the first state", state)
        if state.dim() != 2:
            raise ShapeError(
                f"{self.title}: a starting state has the shape {tuple(state.shape)}; the operator "
                "takes (batch, hidden)."
            )
        return state.shape[1]

    def check(
        self,
        name: str,
        tensor: Tensor,
        shape: tuple[int, ...],
        dtype: torch.dtype | None = None,
        *,
        own_type: bool = False,
    ) -> None:
        """Raise ``ShapeError`` unless a tensor has this shape, x's device and x's or this type.

        With ``own_type`` its numbers may be of any floating type.
        """
        self._check_memory(name, tensor)
        x = self.x
        if tensor.shape != shape:
            raise ShapeError(
                f"{self.title}: {name} has the shape {tuple(tensor.shape)}; with x of shape "
                f"{tuple(x.shape)} it must be {shape}."
            )
        dtype = x.dtype if dtype is None else dtype
        fits = tensor.dtype.is_floating_point if own_type else tensor.dtype is dtype
        if not fits or tensor.device != x.device:
            wanted = "a floating type" if own_type else dtype
            raise ShapeError(
                f"{self.title}: {name} is {tensor.dtype} on {tensor.device}; with x of {x.dtype} "
                f"on {x.device} it must be {wanted} on {x.device}."
            )

    def copied(self, lengths: Tensor | None, time: int, batch: int) -> Tensor | None:
        """A private copy of the lengths as integers, which nobody else can change."""
        if lengths is None:
            return None
        self._check_memory("lengths", lengths)
        kind = lengths.dtype
        if kind.is_floating_point or kind.is_complex or kind is torch.bool:
            raise ShapeError(f"{self.title}: lengths are {kind}; they must be integers.")
        if lengths.shape != (batch,):
            raise ShapeError(
                f"{self.title}: lengths has the shape {tuple(lengths.shape)}, but x has {batch} "
                f"{'row' if batch == 1 else 'rows'}; give one length for each, ({batch},)."
            )
        if torch._C._functorch.is_batchedtensor(lengths):
            raise ShapeError(
                f"{self.title}: lengths differ within torch.vmap, which needs the same steps for "
                "all; pass the batch to the layer itself."
            )
        if lengths.device.type == "meta":
            raise ShapeError(f"{self.title}: lengths on the meta device have no values to run by.")
        own = lengths.to("cpu", torch.int64, copy=True)
        if batch:
            shortest, longest = [int(end) for end in torch.aminmax(own)]
            if shortest < 0 or longest > time:
                raise ShapeError(
                    f"{self.title}: lengths go from {shortest} to {longest}, but x has {time} "
                    "steps; give each row's true length."
                )
        return own

    def _check_memory(self, name: str, tensor: Tensor) -> None:
        """Raise ``ShapeError`` unless the numbers lie in memory, a stride apart."""
        kind = unusual(tensor)
        if kind:
            raise ShapeError(f"{self.title}: {name} is {kind}.")
        if is_plain(tensor) and tensor.numel() and not _address(tensor):
            raise ShapeError(
                f"{self.title}: {name} has no memory, as its storage was resized or freed."
            )


def unusual(tensor: Tensor) -> str:
    """What is said of a tensor that is no array of numbers, and what to do; else nothing.

    >>> unusual(torch.ones(2, 2).to_sparse())
    'of the layout torch.sparse_coo; make it dense with .to_dense()'
    """
    if tensor.is_nested:
        return "a nested tensor; pad it with .to_padded_tensor(0.0) and pass lengths="
    if tensor.layout is not torch.strided:
        return f"of the layout {tensor.layout}; make it dense with .to_dense()"
    if tensor.is_quantized:
        return f"quantized ({tensor.dtype}); convert it with .dequantize()"
    return ""


def _address(tensor: Any) -> int:
    found: int = tensor.data_ptr()
    return found
