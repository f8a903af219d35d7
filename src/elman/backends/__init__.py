"""Engines: from a plan to numbers.

An engine is a module with ``forward`` and ``backward`` as in ``reference.py``.  ``plan.py``
says what to compute when; an engine only says how.
"""

from types import ModuleType

from elman.backends import reference
from elman.errors import OptionError

#: the engines of this version by name
ENGINES: dict[str, ModuleType] = {"reference": reference}


def choose(backend: str) -> str:
    """The engine that will run for this value of ``backend=``; ``OptionError`` if there is none.

    >>> choose("auto")
    'reference'
    """
    if backend == "auto":
        return "reference"
    if backend not in ENGINES:
        raise OptionError(
            f'backend is "{backend}", which this version of Elman does not have; it has "auto", '
            + " and ".join([f'"{name}"' for name in ENGINES])
            + "."
        )
    return backend
