"""Check the arguments of an engine once, above all the shapes of tensors whose memory it reads.

Callers of the operator in ``autograd.py`` may pass anything, and the data of a layer's parameters
may have been replaced.  Engines do not check again, and the native engine reads memory according
to these shapes.  ``is_plain`` detects tensors that a kernel cannot read directly, such as tensors
with a lazy negation and tensor subclasses; torch's dispatcher converts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from elman.backends import ENGINES, engine_names, find_engine
from elman.backends.engine import Call, Outputs, Saved
from elman.backends.plan import Plan
from elman.errors import BackendError, OptionError, ShapeError
from elman.graph.node import Size
from elman.graph.sizes import Sizes
from elman.passes.separate import is_core

_keys = torch._C._dispatch_keys
#: the dispatch keys of ordinary CPU tensors, outside and inside inference mode
_PLAIN_KEYS = {_keys(torch.empty(0, device="cpu")).raw_repr()}
with torch.inference_mode():
    _PLAIN_KEYS.add(_keys(torch.empty(0, device="cpu")).raw_repr())


def is_plain(tensor: Tensor) -> bool:
    """Whether a kernel can read a tensor directly from memory.

    False for tensors with the negative bit, fake and functional tensors, tensors without memory,
    and subclasses with ``__torch_function__``.

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
    """The tensors with lazy bits materialised; torch does not do this for optional lists.

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
    """Check a call and return it with a copy of its lengths.

    Raises ``ShapeError`` with the name of the invalid tensor, ``BackendError`` if the engine does
    not support x, and ``OptionError`` if there is no such engine.
    """
    if backend not in ENGINES:
        raise OptionError(f'backend is "{backend}"; for the operator it must be {engine_names()}.')
    check_counts(call)
    border, cell = _Border(call, backend), call.plan.cell
    time, batch, _ = border.shape_of_input()
    for state in call.states:
        border.check_rows(state)
    sizes = call.sizes
    for name, state in zip(cell.states, call.states, strict=True):
        border.check(
            f"the initial {name}", state, (batch, border.width(sizes, cell.state_size(name)))
        )
    for p, tensor in zip(cell.parameters, call.parameters, strict=True):
        border.width(sizes, p.size)
        border.check(p.key, tensor, p.shape(sizes), own_type=True)
    for k, (node, mask) in enumerate(zip(cell.masks, call.masks, strict=True)):
        width = border.width(sizes, node.size)
        shape = (time, batch, width) if node.attribute[2] == "step" else (batch, width)
        border.check(f"mask {k}", mask, shape, own_type=True)
    for (name, size), side in zip(cell.inputs, call.sides, strict=True):
        border.check(name, side, (time, batch, border.width(sizes, size)), own_type=True)
    if call.lengths is None:
        return call
    return replace(call, lengths=border.copied(call.lengths, time, batch))


def check_counts(call: Call) -> None:
    """Raise ``ShapeError`` if the number of tensors is wrong or a device differs from that of x.

    These checks also work on tensors without values, such as a compiler's.
    """
    cell, x = call.plan.cell, call.x
    title = _title(call.plan)
    if not is_core(cell.text):
        raise ShapeError(
            f"{title}: engines take side inputs of a state's size that no matrix multiplies; call "
            "elman.Recurrent, which computes the rest before."
        )
    for what, tensors, names in (
        ("states", call.states, cell.states),
        ("parameters", call.parameters, [p.key for p in cell.parameters]),
        ("masks", call.masks, [str(node.attribute[1]) for node in cell.masks]),
        ("side inputs", call.sides, [name for name, _ in cell.inputs]),
    ):
        _check_count(title, what, len(tensors), names)
        for name, tensor in zip(names, tensors, strict=True):
            if tensor.device != x.device:
                raise ShapeError(
                    f"{title}: {name} is on {tensor.device}, but x is on {x.device}; move one with "
                    ".to(...)."
                )


def check_gradients(
    call: Call, outputs: Outputs, saved: Saved, grads: Outputs, backend: str
) -> None:
    """Check the other arguments of backward; the call has already been checked."""
    border = _Border(call, backend)
    time, batch, _ = call.x.shape
    names = call.plan.cell.states
    border.check("y", outputs.y, (time, batch, call.output_size))
    border.check("the gradient of y", grads.y, (time, batch, call.output_size))
    _check_count(border.title, "gradients of states", len(grads.states), names)
    for name, grad, state in zip(names, grads.states, call.states, strict=True):
        border.check(f"the gradient of the last {name}", grad, (batch, state.shape[1]))
    like_x = torch.empty(call.x.shape, dtype=call.x.dtype, device="meta")
    likes = find_engine(backend).saved_like(replace(call, x=like_x))
    numbers = [str(k) for k in range(len(likes))]
    _check_count(border.title, "tensors saved by forward", len(saved), numbers)
    for k, (tensor, like) in enumerate(zip(saved, likes, strict=True)):
        border.check(f"saved tensor {k}", tensor, tuple(like.shape), like.dtype)


def _title(plan: Plan) -> str:
    return f"Recurrent({plan.cell.name})"


def _check_count(title: str, what: str, count: int, names: Sequence[str]) -> None:
    """Raise ``ShapeError`` unless there is one for each name."""
    if count != len(names):
        listed = f" ({', '.join(names)})" if names else ""
        raise ShapeError(f"{title}: expected {len(names)} {what}{listed}, got {count}.")


class _Border:
    """The checks of one call, with the prefix of their messages."""

    def __init__(self, call: Call, backend: str) -> None:
        self.title, self.x = _title(call.plan), call.x
        why_not = find_engine(backend).unsupported_reason(
            self.x.dtype, self.x.device, call.plan.cell
        )
        if why_not:
            raise BackendError(f'{self.title}: backend is "{backend}", but {why_not}.')

    def shape_of_input(self) -> tuple[int, int, int]:
        """(time, batch, input)."""
        x = self.x
        self._check_memory("x", x)
        if x.dim() != 3:
            raise ShapeError(
                f"{self.title}: x has the shape {tuple(x.shape)}; it must be (time, batch, input)."
            )
        time, batch, width = x.shape
        return time, batch, width

    def check_rows(self, state: Tensor) -> None:
        """Raise ``ShapeError`` unless a state has rows of one size."""
        self._check_memory("an initial state", state)
        if state.dim() != 2:
            raise ShapeError(
                f"{self.title}: an initial state has the shape {tuple(state.shape)}; it must be "
                "(batch, hidden)."
            )

    def width(self, sizes: Sizes, size: Size) -> int:
        """The number of a size; raises ``ShapeError`` if no tensor gives it."""
        try:
            return sizes.width((size,))
        except ValueError:
            raise ShapeError(f"{self.title}: no tensor has the size {size}.") from None

    def check(
        self,
        name: str,
        tensor: Tensor,
        shape: tuple[int, ...],
        dtype: torch.dtype | None = None,
        *,
        own_type: bool = False,
    ) -> None:
        """Raise ``ShapeError`` unless a tensor has this shape, x's device, and ``dtype`` or x's.

        With ``own_type``, any floating-point type is valid.
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
            wanted = "a floating-point type" if own_type else dtype
            raise ShapeError(
                f"{self.title}: {name} is {tensor.dtype} on {tensor.device}; with x of {x.dtype} "
                f"on {x.device} it must be {wanted} on {x.device}."
            )

    def copied(self, lengths: Tensor | None, time: int, batch: int) -> Tensor | None:
        """A private copy of the lengths as integers, which the caller cannot change."""
        if lengths is None:
            return None
        self._check_memory("lengths", lengths)
        kind = lengths.dtype
        if kind.is_floating_point or kind.is_complex or kind is torch.bool:
            raise ShapeError(f"{self.title}: lengths are {kind}; they must be integers.")
        if lengths.shape != (batch,):
            raise ShapeError(
                f"{self.title}: lengths has the shape {tuple(lengths.shape)}, but x has {batch} "
                f"{'row' if batch == 1 else 'rows'}; pass one length per row, ({batch},)."
            )
        if torch._C._functorch.is_batchedtensor(lengths):
            raise ShapeError(
                f"{self.title}: torch.vmap cannot map over lengths, because it needs the same "
                "number of steps for all; pass the batch to the layer itself."
            )
        if lengths.device.type == "meta":
            raise ShapeError(f"{self.title}: lengths are on the meta device and have no values.")
        own = lengths.to("cpu", torch.int64, copy=True)
        if batch:
            shortest, longest = [int(end) for end in torch.aminmax(own)]
            if shortest < 0 or longest > time:
                raise ShapeError(
                    f"{self.title}: lengths range from {shortest} to {longest}, but x has {time} "
                    "steps; pass each row's true length."
                )
        return own

    def _check_memory(self, name: str, tensor: Tensor) -> None:
        """Raise ``ShapeError`` unless the tensor is strided memory."""
        kind = unusual(tensor)
        if kind:
            raise ShapeError(f"{self.title}: {name} is {kind}.")
        if is_plain(tensor) and tensor.numel() and not _address(tensor):
            raise ShapeError(
                f"{self.title}: {name} has no memory; its storage was resized or freed."
            )


def unusual(tensor: Tensor) -> str:
    """Why a tensor is not a dense array and how to convert it; empty for a dense array.

    >>> unusual(torch.ones(2, 2).to_sparse())
    'of layout torch.sparse_coo; convert it with .to_dense()'
    """
    if tensor.is_nested:
        return "a nested tensor; pad it with .to_padded_tensor(0.0) and pass lengths="
    if tensor.layout is not torch.strided:
        return f"of layout {tensor.layout}; convert it with .to_dense()"
    if tensor.is_quantized:
        return f"quantized ({tensor.dtype}); convert it with .dequantize()"
    return ""


def _address(tensor: Any) -> int:
    found: int = tensor.data_ptr()
    return found
