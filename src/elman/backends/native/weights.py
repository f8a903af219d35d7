"""A cache of packed weights, valid while the parameters do not change.

Kernels read weights in their own order (``llvm/pack.py``).  Inference packs them once, and again
when a fingerprint of all bytes of the parameters (``llvm/fingerprint.py``) changes.  This detects
every change, and tensors with the same bytes share packed weights, whoever owns them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

from torch import Tensor

from elman.backends.native import tuning
from elman.backends.native.llvm.fingerprint import Fingerprint

if TYPE_CHECKING:
    from elman.backends.native.kernels import CompiledLayer, CompiledProgram

_Packed = dict["CompiledProgram", Tensor]


class PackedWeights:
    """The packed weights of the last ``most`` layers and directions."""

    def __init__(self, most: int = 1) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[object, ...], _Packed] = OrderedDict()
        self._lock = Lock()
        self._places: list[int] = []
        self._frozen: object | None = None

    def of(self, parameters: Sequence[Tensor], *, frozen: object | None = None) -> _Packed:
        """The packed weights of these parameters by program.

        The fingerprint is skipped if ``frozen`` is the same promise as in the last call.
        """
        places = [p.data_ptr() for p in parameters]
        with self._lock:
            # a frozen layer may still be called with other parameters
            known = frozen is not None and frozen is self._frozen and places == self._places
            if known and self._kept:
                return next(reversed(self._kept.values()))
        # the fingerprint precedes packing, so the next one detects a change in between
        seen = Fingerprint([p.detach().contiguous() for p in parameters])
        key = (seen.value, *[p.dtype for p in parameters])
        with self._lock:
            found = self._kept.setdefault(key, {})
            self._kept.move_to_end(key)
            self._places, self._frozen = places, frozen
            while len(self._kept) > self._most or (
                len(self._kept) > 1 and self._bytes() > tuning.MAX_SHARED_BYTES
            ):
                self._kept.popitem(last=False)
        return found

    def _bytes(self) -> int:
        return sum([t.numel() * t.itemsize for kept in self._kept.values() for t in kept.values()])


#: for calls of the operator, which do not identify their layer
SHARED = PackedWeights(most=tuning.MAX_SHARED_LAYERS)


def packed_once(
    program: CompiledProgram, layer: CompiledLayer, parameters: Sequence[Tensor], known: _Packed
) -> Tensor:
    """The packed weights of a program, from ``known`` or packed now."""
    found = known.get(program)
    if found is None:
        found = known[program] = program.pack(layer.parameters(parameters), layer.dtype)
    return found
