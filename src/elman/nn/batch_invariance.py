"""Operations of torch whose results for a row do not depend on the rest of its batch, bit for bit.

Libraries of linear algebra choose a kernel by the shape of a product, and kernels add in different
orders: a row alone and the same row in a batch, or with more padding, may differ in their last
bits.  Inside ``batch_invariant``, products and convolutions are computed in blocks of a fixed
shape, and sums over a dimension in an order that zeros at its end do not change.  The steps of
recurrent layers on the native engine need no such help.  ``tasks/trained.py`` answers inputs in
this way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import (
    TorchFunctionMode,
    _get_current_function_mode,
    _pop_mode_temporarily,
)

#: rows of a block of a linear layer, and steps of a block of a convolution over time; the last
#: block is filled up with zeros
ROWS, STEPS = 16, 256
#: rows of the blocks that take the place of many small ones, where they give the same bits
LARGE = (1024, 256, 64)
#: bytes; kernels may add in another order where memory begins elsewhere
ALIGNMENT = 64
#: bytes; rows of a length that is no multiple of it are filled up, so that all begin alike
ROW_ALIGNMENT = 16


class batch_invariant(TorchFunctionMode):  # noqa: N801 - a context manager
    """Inside the ``with`` block, a row has the same results in any batch and with any padding.

    This holds for linear layers, convolutions over time and of pictures, products of batches of
    matrices, and for ``softmax``, ``logsumexp``, ``sum`` and ``mean`` over one dimension.  It is
    for inference: training is faster without.

    >>> layer, x = nn.Linear(300, 5), torch.randn(100, 300)
    >>> with torch.no_grad(), batch_invariant():
    ...     bool((layer(x)[7:8] == layer(x[7:8])).all())
    True
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        replacement = _REPLACEMENTS.get(func)
        if replacement is not None and not torch.is_grad_enabled():
            found = replacement(*args, **(kwargs or {}))
            if found is not NotImplemented:
                return found
        return func(*args, **(kwargs or {}))


@contextmanager
def at_full_speed() -> Iterator[None]:
    """Inside the ``with`` block, torch computes as usual again.

    For code that needs no help: each operation, and each look at a tensor's attributes, costs
    microseconds more inside ``batch_invariant``.
    """
    if isinstance(_get_current_function_mode(), batch_invariant):
        with _pop_mode_temporarily():
            yield
    else:
        yield


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    outputs = weight.shape[0]
    rows = input.reshape(-1, input.shape[-1])
    if rows.shape[1] * rows.itemsize % ROW_ALIGNMENT:
        missing = -rows.shape[1] % (ALIGNMENT // rows.itemsize)
        rows, weight = [nn.functional.pad(matrix, (0, missing)) for matrix in (rows, weight)]
    rows = rows.contiguous()
    count = len(rows)
    if count % ROWS or rows.data_ptr() % ALIGNMENT:
        rows = nn.functional.pad(rows, (0, 0, 0, -count % ROWS))
    sizes = _blocks(count, weight, bias)
    if len(sizes) == 1:
        found = nn.functional.linear(rows, weight, bias)
    elif sizes:
        blocks = rows.split(sizes)
        found = torch.cat([nn.functional.linear(block, weight, bias) for block in blocks])
    else:
        found = rows.new_zeros(0, outputs)
    return found[:count].reshape(*input.shape[:-1], outputs)


def _blocks(count: int, weight: Tensor, bias: Tensor | None) -> list[int]:
    """The sizes of the blocks for so many rows, large ones first."""
    sizes: list[int] = []
    left = count + -count % ROWS
    for large in LARGE:
        if left >= large and _like_small_blocks(
            large,
            weight.shape,
            weight.stride(),
            weight.dtype,
            weight.device,
            bias is not None,
            torch.get_num_threads(),
        ):
            sizes += [large] * (left // large)
            left %= large
    return sizes + [ROWS] * (left // ROWS)


@lru_cache(4096)
def _like_small_blocks(
    large: int,
    shape: tuple[int, ...],
    stride: tuple[int, ...],
    dtype: torch.dtype,
    device: torch.device,
    with_bias: bool,
    threads: int,
) -> bool:
    """Whether a large block gives the same bits as blocks of ``ROWS``, on this machine.

    The order in which a kernel adds depends on shapes and threads, never on values, so one trial
    with random values decides.
    """
    if device.type != "cpu" or 0 in shape or 0 in stride:
        return False
    with _pop_mode_temporarily() if _get_current_function_mode() else nullcontext():
        draw = torch.Generator().manual_seed(0)
        rows = torch.randn(large, shape[1], generator=draw).to(dtype)
        weight = torch.empty_strided(shape, stride, dtype=dtype)
        weight.copy_(torch.randn(shape, generator=draw))
        bias = torch.randn(shape[0], generator=draw).to(dtype) if with_bias else None
        small = [nn.functional.linear(block, weight, bias) for block in rows.split(ROWS)]
        return torch.equal(nn.functional.linear(rows, weight, bias), torch.cat(small))


def _conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Blocks of ``STEPS`` outputs of one row at a time."""
    if input.dim() != 3 or isinstance(padding, str):
        return NotImplemented
    (step,), (pad,), (spread,) = _tuple(stride), _tuple(padding), _tuple(dilation)
    if step != 1:
        return NotImplemented
    reach = spread * (weight.shape[-1] - 1)
    time = input.shape[-1] + 2 * pad - reach
    if time < 1 or not len(input):
        return NotImplemented
    filled = nn.functional.pad(input, (pad, pad + -time % STEPS))
    rows = []
    for row in filled.split(1):
        blocks = [
            torch.conv1d(row[..., k : k + STEPS + reach], weight, bias, 1, 0, spread, groups)
            for k in range(0, time, STEPS)
        ]
        rows.append(torch.cat(blocks, -1)[..., :time])
    return torch.cat(rows)


def _conv2d(input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """One picture at a time."""
    if input.dim() != 4 or not len(input):
        return NotImplemented
    return torch.cat([torch.conv2d(row, *args, **kwargs) for row in input.split(1)])


def _tuple(value: Any) -> tuple[int]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _bmm(input: Tensor, mat2: Tensor, *, out: Any = None) -> Any:
    if out is not None:
        return NotImplemented
    # one row of the left matrices at a time bounds the memory: batch inner columns
    rows = [_sum(row.transpose(1, 2) * mat2, 1) for row in input.split(1, 1)]
    return torch.stack(rows, 1) if rows else NotImplemented


def _matmul(input: Tensor, other: Tensor, *, out: Any = None) -> Any:
    if out is not None:
        return NotImplemented
    if other.dim() == 2 and input.dim() >= 2:
        return _linear(input, other.T)
    return _bmm(input, other) if input.dim() == other.dim() == 3 else NotImplemented


def _sum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Adds neighbours, then neighbouring sums, and so on: zeros at the end change nothing."""
    dim = _one(dim)
    if dim is None or dtype is not None or not input.is_floating_point():
        return NotImplemented
    x = input.movedim(dim, 0)
    while len(x) > 1:
        if len(x) % 2:
            x = torch.cat([x, torch.zeros_like(x[:1])])
        x = x[0::2] + x[1::2]
    total = x[0] + 0.0 if len(x) else x.new_zeros(x.shape[1:])  # one zero, not -0.0 for some
    return total.unsqueeze(dim) if keepdim else total


def _mean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    total = _sum(input, dim, keepdim, dtype=dtype)
    return total if total is NotImplemented else total / input.shape[_one(dim) or 0]


def _sigmoid(input: Tensor, *, out: Any = None) -> Any:
    """torch's own has other last bits where elements do not fill a vector."""
    return NotImplemented if out is not None else 1 / (1 + input.neg().exp())


def _softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Any:
    """torch's own has other last bits where elements do not fill a vector."""
    if beta != 1:
        return NotImplemented
    return input.clamp(min=0) + input.abs().neg().exp().log1p()


def _softmax(input: Tensor, dim: Any = None, *args: Any, **kwargs: Any) -> Any:
    if _one(dim) is None or kwargs.get("dtype") is not None or any(args):
        return NotImplemented
    weights = (input - input.amax(dim, keepdim=True)).exp()
    return weights / _sum(weights, dim, keepdim=True)


def _logsumexp(input: Tensor, dim: Any, keepdim: bool = False, *, out: Any = None) -> Any:
    if _one(dim) is None or out is not None:
        return NotImplemented
    largest = input.amax(dim, keepdim=True)
    largest = torch.where(largest.isinf(), 0.0, largest)  # inf - inf is undefined
    found = _sum((input - largest).exp(), dim, keepdim=True).log() + largest
    return found if keepdim else found.squeeze(dim)


def _one(dim: Any) -> int | None:
    """The dimension, if it is a single one."""
    if isinstance(dim, tuple | list) and len(dim) == 1:
        [dim] = dim
    return dim if isinstance(dim, int) and not isinstance(dim, bool) else None


_REPLACEMENTS: Mapping[Any, Callable[..., Any]] = {
    nn.functional.linear: _linear,
    torch.conv1d: _conv1d,
    torch.conv2d: _conv2d,
    torch.bmm: _bmm,
    Tensor.bmm: _bmm,
    torch.matmul: _matmul,
    Tensor.matmul: _matmul,
    Tensor.__matmul__: _matmul,
    torch.sum: _sum,
    Tensor.sum: _sum,
    torch.mean: _mean,
    Tensor.mean: _mean,
    torch.sigmoid: _sigmoid,
    Tensor.sigmoid: _sigmoid,
    nn.functional.softplus: _softplus,
    torch.softmax: _softmax,
    nn.functional.softmax: _softmax,
    Tensor.softmax: _softmax,
    torch.logsumexp: _logsumexp,
    Tensor.logsumexp: _logsumexp,
}
