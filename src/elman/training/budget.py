"""A model that is larger than it can be is refused before its memory is asked for.

Options may say a billion units or layers, by mistake or by malice.  While a model is built, what
it allocates is counted; where that is more than the weights on the disk, or the memory of the
machine, can account for, building ends.
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

#: calls of torch that build a model for a tensor of its weights; the usual are 10
CALLS = 200
#: calls of torch that build any model: enough for some hundred layers
MOST_CALLS = 30_000
#: numbers beyond the weights, for tables and for starts in double precision
SPARE = 10_000_000


class _TooLarge(Exception):
    """The budget is spent."""


class _Budget(TorchFunctionMode):
    """Counts the numbers that are allocated and the calls of torch; raises ``_TooLarge``."""

    def __init__(self, numbers: float, calls: float) -> None:
        super().__init__()
        self.numbers, self.calls = numbers, calls

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.calls -= 1
        self.numbers -= _size(func, args, kwargs or {})
        if self.calls < 0 or self.numbers < 0:
            raise _TooLarge
        return func(*args, **(kwargs or {}))


_OF_SIZE = frozenset(
    {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full, torch.eye}
)


def _size(func: Callable[..., Any], args: Sequence[Any], keywords: Mapping[str, Any]) -> float:
    """How many numbers a call allocates, if it is one that is told a size."""
    if func is torch.arange:
        return max([float(each) for each in args if isinstance(each, int | float)], default=0.0)
    if func not in _OF_SIZE:
        return 0.0
    size = keywords.get("size", args[0] if args and isinstance(args[0], Sequence) else args)
    numbers = [float(each) for each in size if isinstance(each, int)]
    if func is torch.eye:
        numbers = numbers * (3 - len(numbers)) if len(numbers) in (1, 2) else numbers
    return math.prod(numbers)


@contextmanager
def no_more_than(tensors: Mapping[str, Tensor], source: Path) -> Iterator[None]:
    """Build a model for these weights; ``RunError`` when it asks for far more than they hold."""
    numbers = 8 * sum([tensor.numel() for tensor in tensors.values()]) + SPARE
    try:
        with _Budget(numbers, CALLS * (len(tensors) + 10)):
            yield
    except _TooLarge:
        raise RunError(
            f"{source}: these weights do not fit the model, which the options in run.toml make far "
            "larger; put that file back as training wrote it."
        ) from None
    except (ElmanError, MemoryError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise RunError(
            f"{source}: no model can be built with the options in run.toml "
            f"({in_short(str(error)).rstrip('.')}); put that file back as training wrote it."
        ) from error


@contextmanager
def within_memory() -> Iterator[None]:
    """Build a model; ``OptionError`` when this machine cannot hold it."""
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
