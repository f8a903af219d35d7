"""Refuse a model that is too large before its memory is allocated.

Options may ask for a billion units or layers, by mistake or on purpose.  Allocations are counted
while a model is built, and building stops when they exceed what the weights on disk, or the
memory of the machine, can account for.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from elman.errors import ElmanError, OptionError, RunError
from elman.saved import in_short

#: torch calls allowed per weight tensor while a model is built; about 10 are typical
CALLS = 200
#: torch calls allowed for any model: enough for several hundred layers
MOST_CALLS = 30_000
#: elements allowed beyond the weights, for tables and for initialisation in double precision
SPARE = 10_000_000


class _TooLarge(Exception):
    """The budget is exceeded."""


class _Budget(TorchFunctionMode):
    """Counts allocated elements and torch calls; raises ``_TooLarge`` above the budget."""

    def __init__(self, elements: float, calls: float) -> None:
        super().__init__()
        self.elements, self.calls = elements, calls

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.calls -= 1
        self.elements -= _size(func, args, kwargs or {})
        if self.calls < 0 or self.elements < 0:
            raise _TooLarge
        return func(*args, **(kwargs or {}))


_ALLOCATORS = frozenset(
    {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full, torch.eye}
)


def _size(func: Callable[..., Any], args: Sequence[Any], keywords: Mapping[str, Any]) -> float:
    """The number of elements that a call allocates, if the call takes a size."""
    if func is torch.arange:
        return max([float(each) for each in args if isinstance(each, int | float)], default=0.0)
    if func not in _ALLOCATORS:
        return 0.0
    size = keywords.get("size", args[0] if args and isinstance(args[0], Sequence) else args)
    sizes = [float(each) for each in size if isinstance(each, int)]
    if func is torch.eye:
        sizes = sizes * (3 - len(sizes)) if len(sizes) in (1, 2) else sizes
    return math.prod(sizes)


@contextmanager
def within_weights(tensors: Mapping[str, Tensor], source: Path) -> Iterator[None]:
    """Build a model for these weights; raise ``RunError`` if it allocates far more than they do."""
    elements = 8 * sum([tensor.numel() for tensor in tensors.values()]) + SPARE
    try:
        with _Budget(elements, CALLS * (len(tensors) + 10)):
            yield
    except _TooLarge:
        raise RunError(
            f"{source}: the options in run.toml describe a far larger model than these weights; "
            "restore run.toml as training wrote it."
        ) from None
    except (ElmanError, MemoryError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise RunError(
            f"{source}: no model can be built with the options in run.toml "
            f"({in_short(str(error)).rstrip('.')}); restore run.toml as training wrote it."
        ) from error


@contextmanager
def within_memory() -> Iterator[None]:
    """Build a model; raise ``OptionError`` if it does not fit the memory of this machine."""
    memory = _memory()
    try:
        with _Budget(memory / 4, MOST_CALLS):
            yield
    except _TooLarge:
        raise OptionError(
            f"the model is too large for this machine, which has {memory / 1e9:.0f} GB of memory; "
            "choose fewer units or layers (hidden_size, num_layers, ...)."
        ) from None


def _memory() -> float:
    """The memory of this machine in bytes."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return math.inf
