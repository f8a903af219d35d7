"""Whether tensors look as they did: one question, asked at every step, about all that it reads.

torch.compile asks the same before it uses a compiled graph again, and torch answers in C++.  Where
this version of torch has no such function, Python asks each tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

#: from the tensors, in their order, to whether they look as before
Check = Callable[..., bool]


def guard_of(tensors: Sequence[Tensor]) -> Check:
    """A function that is true for tensors like these.

    They agree in class, type, device, shape and strides, in what torch is to do with them, such
    as to read them with another sign, and in what it does with all tensors now, such as to trace.

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
    """The same in Python."""
    known = _looks(tensors)

    def check(*others: Tensor) -> bool:
        return _looks(others) == known

    return check


def _looks(tensors: Sequence[Tensor]) -> list[object]:
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
                type(t), t.dtype, t.device, t.shape, t.stride(),
                torch._C._dispatch_keys(t).raw_repr(),
            )
            for t in tensors
        ],
    ]  # fmt: skip
