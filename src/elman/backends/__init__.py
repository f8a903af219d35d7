"""Engines: from a plan to numbers.

An engine is a module with ``forward``, ``backward`` and ``kept_like`` as in ``reference.py``.
``plan.py`` says what to compute when; an engine only says how.
"""

from importlib import import_module
from types import ModuleType
from typing import Any

import torch

from elman.errors import BackendError, OptionError

ENGINES = ("native", "reference")


def engine(name: str) -> Any:
    """The engine's module, imported when it is first used."""
    return _module(name)


def _module(name: str) -> ModuleType:
    return import_module(f"elman.backends.{name}")


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
    obstacle = str(engine("native").supports(dtype, device))
    if not obstacle:
        return "native", "asked for" if backend == "native" else "the fastest for these tensors"
    if backend == "native":
        raise BackendError(f'backend is "native", but {obstacle}; use backend="auto".')
    return "reference", obstacle
