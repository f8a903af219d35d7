"""Packed weights that are used again as long as the parameters are what they were.

Kernels read weights in an order of their own (``llvm/pack.py``).  Inference packs them once, and
again when a look at all bytes of the parameters (``llvm/fingerprint.py``) finds others, however
they were changed and whichever tensors they are now: a tensor that was made for one call, or one
of another module, has the same weights if it has the same bytes.
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
    """The weights of one layer in one direction, or of the last few that came by."""

    def __init__(self, most: int = 1) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[object, ...], _Packed] = OrderedDict()
        self._lock = Lock()
        self._places: list[int] = []

    def of(self, parameters: Sequence[Tensor], *, frozen: bool = False) -> _Packed:
        """Where the packed weights of these parameters are, or go; ``frozen`` ones are known."""
        places = [p.data_ptr() for p in parameters]
        with self._lock:
            # a frozen layer may still be called with other parameters
            if frozen and self._kept and places == self._places:
                return next(reversed(self._kept.values()))
        # the look comes before the packing: what changes in between is seen by the next look
        seen = Fingerprint([p.detach().contiguous() for p in parameters])
        key = (seen.value, *[p.dtype for p in parameters])
        with self._lock:
            found = self._kept.setdefault(key, {})
            self._kept.move_to_end(key)
            self._places = places
            while len(self._kept) > self._most or (
                len(self._kept) > 1 and self._bytes() > tuning.MAX_SHARED_BYTES
            ):
                self._kept.popitem(last=False)
        return found

    def _bytes(self) -> int:
        return sum([t.numel() * t.itemsize for kept in self._kept.values() for t in kept.values()])


#: for calls of the operator, which say nothing of the layer that they are of
SHARED = PackedWeights(most=tuning.MAX_SHARED_LAYERS)


def packed_once(
    program: CompiledProgram, layer: CompiledLayer, parameters: Sequence[Tensor], known: _Packed
) -> Tensor:
    """The weights of a program, packed if they are not known."""
    found = known.get(program)
    if found is None:
        found = known[program] = program.pack(layer.parameters(parameters), layer.dtype)
    return found
