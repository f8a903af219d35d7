"""What was measured on this processor, where it differs from the values of ``tuning.py``.

``elman benchmark --tune`` measures and ``keep`` writes it into the folder of compiled kernels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from elman.backends.native import tuning
from elman.backends.native.llvm import cache
from elman.backends.native.llvm.target import Target

#: the largest batch that hoists, by the bytes of the packed weights that are exceeded
Batches = tuple[tuple[int, int], ...]

#: values on trial, which go before all others
_trial: list[Batches] = []


def hoisted_batches(target: Target) -> Batches:
    """The largest batches that hoist: on trial, measured here, or known of the processor.

    >>> from elman.backends.native.llvm.target import find_target
    >>> hoisted_batches(find_target("x86-64")) == tuning.HOISTED_BATCH
    True
    """
    if _trial:
        return _trial[-1]
    own = measured(target)
    if own is not None:
        return own
    return tuning.HOISTED_BATCH_OF.get(target.cpu, tuning.HOISTED_BATCH)


@lru_cache(maxsize=8)
def measured(target: Target) -> Batches | None:
    """The values that ``keep`` wrote for this processor, if any."""
    content = cache.read(_name(target), ".json")
    return None if content is None else tuple([(size, most) for size, most in json.loads(content)])


def keep(target: Target, batches: Sequence[tuple[int, int]]) -> None:
    """Write measured values, for all later processes; those of no valid folder are lost."""
    cache.write(_name(target), json.dumps(batches).encode(), ".json")
    measured.cache_clear()


@contextmanager
def trying(batches: Batches) -> Iterator[None]:
    """Use these values inside."""
    _trial.append(batches)
    try:
        yield
    finally:
        _trial.pop()


def _name(target: Target) -> str:
    processor = "\0".join([target.triple, target.cpu, target.features])
    return f"hoisting-{hashlib.sha256(processor.encode()).hexdigest()[:32]}"
