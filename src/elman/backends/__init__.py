"""Engines: from a cell's equations to numbers, and a tour of the code that does it.

An engine is a module with ``forward``, ``backward`` and ``kept_like``.  ``plan.py`` says what to
compute when: ahead of the loop over time, in the step, in the adjoint step, after it.  An engine
only says how.  ``reference.py`` does it with torch's operations, one after the other: slow,
obvious, on every device, differentiable twice.  ``native.py`` does it with compiled kernels; it
is best read beside a page that it made, such as that of ``elman cells gru --plan``, from the
equations down:

What is computed, in symbols
    ``phases.py``    a step cut into sums of products and the equations that use them
    ``programs.py``  the phases of forward, backward and the rest, and where each value lies
    ``names.py``     what the values are called, ``describe.py`` the page with all of this

In numbers, for one layer on one processor
    ``llvm/target.py``     vectors and registers of the processor
    ``llvm/layout.py``     strides, register tiles, the order of packed weights

As code
    ``llvm/ir.py``         the text of LLVM's language, ``llvm/math.py`` tanh and its kin in it
    ``llvm/product.py``    a tile of sums of products, ``llvm/pointwise.py`` the equations after it
    ``llvm/step.py``       tiles, phases and the loop over time: a program as one function
    ``llvm/outer.py``      the parameters' gradients, ``llvm/pack.py`` the packing of weights
    ``llvm/jit.py``        from text to functions in memory, by way of ``llvm/cache.py`` and
                           ``llvm/trust.py``

At work
    ``schedule.py``        which sequences run at which step, so that padding costs nothing
    ``memory.py``          large blocks used again, ``llvm/team.py`` torch's own threads
    ``kernels.py``         a layer's programs compiled, and called with tables of addresses
    ``arguments.py``       what an engine is given, checked once
    ``weights.py``         packed weights used again, by ``llvm/fingerprint.py``
    ``native.py``          tensors in and out; ``stepping.py`` the same for one step at a time,
                           with ``guard.py`` to see that tensors look as before
    ``report.py``          what ran, in sentences

With ``ELMAN_DUMP=DIR`` in the environment, every kernel that is used leaves its values, one a
line, the page of its cell and its LLVM text with the equations as comments in that folder.
"""

from functools import lru_cache
from importlib import import_module
from typing import Any

import torch

from elman.errors import BackendError, OptionError

ENGINES = ("native", "reference")


#: the types of number that the native engine takes
NATIVE = frozenset({torch.float32, torch.float64, torch.bfloat16})


@lru_cache(maxsize=2)
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
