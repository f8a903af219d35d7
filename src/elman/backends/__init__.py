"""Engines: from a cell's equations to numbers.

``engine.py`` says what an engine is, and has the record of what it is asked to compute.
``arguments.py`` checks that record once; ``plan.py`` has what follows from a cell for every engine.
``native/`` compiles kernels for the CPU; its own page is a tour.  ``reference/`` interprets the
plan by torch's operations: slow, obvious, on every device, differentiable twice; the oracle.

A new engine is a package here with a class that follows ``engine.Engine``, and a line in
``ENGINES``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import torch

from elman.errors import BackendError, OptionError

if TYPE_CHECKING:
    from elman.backends.engine import Engine

#: the engines, the fastest first, and where their classes are; imported when first used
ENGINES = {
    "native": ("elman.backends.native.engine", "NativeEngine"),
    "reference": ("elman.backends.reference.engine", "ReferenceEngine"),
}


#: the engines that have been used; a plain dict, which torch.compile can look into
_MADE: dict[str, Engine] = {}


def find_engine(name: str) -> Engine:
    """The engine of this name."""
    found = _MADE.get(name)
    if found is None:
        module, kind = ENGINES[name]
        found = _MADE[name] = getattr(import_module(module), kind)()
    return found


def check(backend: str) -> None:
    """Raise ``OptionError`` if there is no such engine.

    It makes the engines too: torch.compile, which may be the first to run a layer, cannot import.

    >>> check("auto")
    """
    if backend not in ("auto", *ENGINES):
        raise OptionError(
            f'backend is "{backend}", which this version of Elman does not have; it has "auto", '
            + " and ".join([f'"{name}"' for name in ENGINES])
            + "."
        )
    for name in ENGINES:
        find_engine(name)


def choose(backend: str, dtype: torch.dtype, device: torch.device) -> tuple[str, str]:
    """The engine that runs such tensors for this value of ``backend=``, and why.

    "auto" is the first engine without a reason against it.  Raises ``BackendError`` if the engine
    that is asked for cannot.

    >>> choose("auto", torch.float32, torch.device("cpu"))[0]
    'native'
    """
    if backend != "auto":
        why_not = find_engine(backend).unsupported_reason(dtype, device)
        if why_not:
            raise BackendError(f'backend is "{backend}", but {why_not}; use backend="auto".')
        return backend, "asked for"
    reasons: list[str] = []
    for name in ENGINES:
        why_not = find_engine(name).unsupported_reason(dtype, device)
        if why_not is None:
            return name, reasons[0] if reasons else "the fastest for these tensors"
        reasons.append(why_not)
    raise BackendError(f"no engine takes such tensors: {'; '.join(reasons)}.")
