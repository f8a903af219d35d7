"""Engines: from a plan to numbers.

An engine is a module with ``forward``, ``backward`` and ``kept_like`` as in ``reference.py``.
``plan.py`` says what to compute when; an engine only says how.
"""

from importlib import import_module
from typing import Any

import torch

from elman.errors import BackendError, OptionError

ENGINES = ("native", "reference")


#: the types of number that the native engine takes
NATIVE = frozenset({torch.float32, torch.float64, torch.bfloat16})


def engine(name: str) -> Any:
    """The engine's module, imported when it is first used."""
    return import_module(f"elman.backends.{name}")


def obstacle(dtype: torch.dtype, device: torch.device) -> str:
    """Why the native engine cannot take such tensors, or an empty string."""
    if device.type != "cpu":
        return f"tensors are on {device}, and the native engine is for the CPU"
    if dtype not in NATIVE:
        return f"tensors are {dtype}, and the native engine takes float32, float64 and bfloat16"
    return ""


def check(backend: str) -> None:
    """Raise ``OptionError`` if there is no such engine.

    >>> check("auto")
    """
    if backend not in ("auto", *ENGINES):
        raise OptionError(
            f'backend is "{backend}", which this version of Elman does not have; it has "auto", '
            + " and ".join([f'"{name}"' for name in ENGINES])
            + "."
        )


def choose(backend: str, dtype: torch.dtype, device: torch.device) -> tuple[str, str]:
    """The engine that runs such tensors for this value of ``backend=``, and why.

    Raises ``BackendError`` if the native engine is asked for and cannot.

    >>> choose("auto", torch.float32, torch.device("cpu"))[0]
    'native'
    """
    if backend == "reference":
        return "reference", "asked for"
    why_not = obstacle(dtype, device)
    if not why_not:
        return "native", "asked for" if backend == "native" else "the fastest for these tensors"
    if backend == "native":
        raise BackendError(f'backend is "native", but {why_not}; use backend="auto".')
    return "reference", why_not
