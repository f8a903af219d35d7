"""Check at every step whether the tensors still have the same metadata.

This uses the guards of torch.compile, which are in C++.  If this version of torch does not have
them, a check in Python replaces them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

#: takes the tensors in order and returns whether their metadata is unchanged
Check = Callable[..., bool]


def guard_of(tensors: Sequence[Tensor]) -> Check:
    """A function that returns whether tensors have the same metadata as these.

    It compares class, dtype, device, shape, strides, whether gradients are needed, dispatch keys,
    such as the negative bit, and torch's global modes, such as tracing.

    >>> look = guard_of([torch.ones(2, 3)])
    >>> look(torch.zeros(2, 3)), look(torch.ones(3, 2).mT), look(torch._neg_view(torch.ones(2, 3)))
    (True, False, False)
    """
    try:
        from torch._C._dynamo.guards import TensorGuards

        guards = TensorGuards(*tensors, dynamic_dims_sizes=None, dynamic_dims_strides=None)
        check: Check = guards.check
        check(*tensors)
    except (ImportError, TypeError, ValueError, RuntimeError):
        return slow_guard_of(tensors)
    return check


def slow_guard_of(tensors: Sequence[Tensor]) -> Check:
    """``guard_of`` in Python."""
    known = _metadata(tensors)

    def check(*others: Tensor) -> bool:
        return _metadata(others) == known

    return check


def _metadata(tensors: Sequence[Tensor]) -> list[object]:
    modes = [
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch._C._len_torch_dispatch_stack(),
        torch._C._functorch.peek_interpreter_stack() is None,
    ]
    return [
        *modes,
        *[
            (
                type(t), t.dtype, t.device, t.shape, t.stride(), t.requires_grad,
                torch._C._dispatch_keys(t).raw_repr(),
            )
            for t in tensors
        ],
    ]  # fmt: skip
