"""Engines, which run the equations of a cell.

``engine.py`` defines the protocol of an engine and ``Call``, the record of what to compute.
``arguments.py`` checks a ``Call`` once; ``plan.py`` prepares a cell for every engine.  ``native/``
compiles kernels for the CPU; its docstring is a tour.  ``torch_kernels/`` runs torch's own kernels
for the cells of ``torch.nn`` on a GPU.  ``reference/`` interprets the plan with torch's operations:
slow and simple, for every cell and device, twice differentiable.  Tests compare other engines with
it.

To add an engine, add a package with a class that implements ``engine.Engine``, and a line in
``ENGINES``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import torch

from elman.errors import BackendError, OptionError

if TYPE_CHECKING:
    from elman.backends.engine import Engine
    from elman.graph import Cell

#: the engines, fastest first, and the location of their classes, which are imported when first used
ENGINES = {
    "native": ("elman.backends.native.engine", "NativeEngine"),
    "torch": ("elman.backends.torch_kernels.engine", "TorchEngine"),
    "reference": ("elman.backends.reference.engine", "ReferenceEngine"),
}


#: the instances of engines; a plain dict, which torch.compile can trace
_MADE: dict[str, Engine] = {}


def find_engine(name: str) -> Engine:
    """The engine with this name."""
    found = _MADE.get(name)
    if found is None:
        module, kind = ENGINES[name]
        found = _MADE[name] = getattr(import_module(module), kind)()
    return found


def engine_names() -> str:
    """The engines' names for a sentence.

    >>> engine_names()
    '"native", "torch" or "reference"'
    """
    return _listed([*ENGINES])


def _listed(found: list[str]) -> str:
    *others, last = [f'"{name}"' for name in found]
    return f"{', '.join(others)} or {last}"


def check(backend: str) -> None:
    """Raise ``OptionError`` if there is no such engine.

    Also creates the engines, because torch.compile, which may run a layer first, cannot import.

    >>> check("auto")
    """
    if backend not in ("auto", *ENGINES):
        raise OptionError(f'backend is "{backend}"; it must be {_listed(["auto", *ENGINES])}.')
    for name in ENGINES:
        find_engine(name)


def choose(
    backend: str, dtype: torch.dtype, device: torch.device, cell: Cell | None = None
) -> tuple[str, str]:
    """The engine for these tensors and this value of ``backend=``, and the reason.

    "auto" selects the first engine that supports the tensors and the cell.  Raises
    ``BackendError`` if the requested engine does not.

    >>> choose("auto", torch.float32, torch.device("cpu"))[0]
    'native'
    """
    if backend != "auto":
        why_not = find_engine(backend).unsupported_reason(dtype, device, cell)
        if why_not:
            raise BackendError(f'backend is "{backend}", but {why_not}; use backend="auto".')
        return backend, "requested"
    reasons: list[str] = []
    for name in ENGINES:
        why_not = find_engine(name).unsupported_reason(dtype, device, cell)
        if why_not is None:
            return name, reasons[0] if reasons else "the fastest for these tensors"
        reasons.append(why_not)
    raise BackendError(f"no engine supports these tensors: {'; '.join(reasons)}.")
