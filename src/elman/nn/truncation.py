"""Truncated backpropagation through time: chunks of long sequences, and states without history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from elman.errors import OptionError, ShapeError


def chunks(x: Tensor, steps: int, *others: Tensor, batch_first: bool = False) -> Iterator[Any]:
    """Cut sequences into chunks of ``steps`` steps; the last may be shorter.

    ``x`` is (time, batch, ...), or (batch, time, ...) with ``batch_first``.  With ``others``, such
    as targets of the same length, each turn gives a tuple.  Carry the state from chunk to chunk,
    ``detached``, so that gradients end where a chunk begins (Williams and Peng 1990).

    Raises ``OptionError`` for fewer than one step, ``ShapeError`` for tensors of other lengths.

    >>> import torch, elman
    >>> layer, state = elman.Recurrent(elman.cells.gru, 4, 8), None
    >>> x, targets = torch.randn(300, 2, 4), torch.randn(300, 2, 8)
    >>> for part, wanted in elman.chunks(x, 128, targets):
    ...     y, state = layer(part, state)
    ...     (y - wanted).square().mean().backward()
    ...     state = elman.detached(state)
    """
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise OptionError(f"chunks: steps is {steps!r}; it must be a positive integer.")
    axis = 1 if batch_first else 0
    tensors = (x, *others)
    for tensor in tensors:
        if not isinstance(tensor, Tensor) or tensor.dim() <= axis:
            raise ShapeError(
                "chunks: each sequence must be a tensor with time as its "
                f"{'second' if batch_first else 'first'} axis."
            )
        if tensor.shape[axis] != x.shape[axis]:
            raise ShapeError(
                f"chunks: x has {x.shape[axis]} steps, but another sequence has "
                f"{tensor.shape[axis]}."
            )
    return _cut(tensors, steps, axis)


def _cut(tensors: tuple[Tensor, ...], steps: int, axis: int) -> Iterator[Any]:
    for parts in zip(*[tensor.split(steps, axis) for tensor in tensors], strict=True):
        if parts[0].shape[axis]:
            yield parts if len(parts) > 1 else parts[0]


def detached(state: Any) -> Any:
    """A state without its history: of a layer, of a ``Stack``, or any nested tuple of tensors.

    >>> import torch, elman
    >>> _, state = elman.Recurrent(elman.cells.lstm, 4, 8)(torch.randn(5, 1, 4))
    >>> [tensor.requires_grad for tensor in elman.detached(state)]
    [False, False]

    Raises ``ShapeError`` for anything else.
    """
    if isinstance(state, Tensor):
        return state.detach()
    if state is None:
        return None
    if not isinstance(state, (tuple, list)):
        raise ShapeError(
            f"detached: the state is of type {type(state).__name__}; pass what a layer returned "
            "as its state, a tensor or a tuple of tensors."
        )
    return tuple([detached(each) for each in state])
