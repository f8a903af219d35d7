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
from weakref import WeakKeyDictionary

from torch import Tensor

if TYPE_CHECKING:
    from elman.backends.kernels import CompiledProgram, Layer

#: bytes of packed weights that are kept for callers who have no place of their own
MOST_SHARED = 1 << 28

_Packed = dict["CompiledProgram", Tensor]


class PackedWeights:
    """The weights of one layer in one direction, or of the last few that came by.

    A copy of it, and what is left of it in a file, begins with nothing.
    """

    def __init__(self, most: int = 1) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[object, ...], _Packed] = OrderedDict()
        self._lock = Lock()
        self._frozen = False
        self._places: list[int] = []

    def __deepcopy__(self, memo: object) -> PackedWeights:
        return PackedWeights(self._most)

    def __reduce__(self) -> tuple[type[PackedWeights], tuple[int]]:
        return PackedWeights, (self._most,)

    def of(self, parameters: Sequence[Tensor]) -> _Packed:
        """Where the packed weights of these parameters are, or go."""
        places = [p.data_ptr() for p in parameters]
        with self._lock:
            # a frozen layer may still be called with other parameters
            if self._frozen and self._kept and places == self._places:
                return next(reversed(self._kept.values()))
        from elman.backends.llvm.fingerprint import Fingerprint

        # the look comes before the packing: what changes in between is seen by the next look
        seen = Fingerprint([p.detach().contiguous() for p in parameters])
        key = (seen.value, *[p.dtype for p in parameters])
        with self._lock:
            found = self._kept.setdefault(key, {})
            self._kept.move_to_end(key)
            self._places = places
            while len(self._kept) > self._most or (
                len(self._kept) > 1 and self._bytes() > MOST_SHARED
            ):
                self._kept.popitem(last=False)
        return found

    def freeze(self, frozen: bool) -> None:
        """Whether the parameters of the next call stand still from there on."""
        with self._lock:
            self._frozen = frozen
            self._kept.clear()

    def _bytes(self) -> int:
        return sum([t.numel() * t.itemsize for kept in self._kept.values() for t in kept.values()])


#: for calls of the operator, which say nothing of the layer that they are of
SHARED = PackedWeights(most=8)
_PLACES: WeakKeyDictionary[object, dict[int, PackedWeights]] = WeakKeyDictionary()


def weights_of(owner: object, k: int) -> PackedWeights:
    """Those of the k-th layer of a module that does not keep them itself; they go when it goes."""
    return _PLACES.setdefault(owner, {}).setdefault(k, PackedWeights())


def packed_once(
    program: CompiledProgram, layer: Layer, parameters: Sequence[Tensor], known: _Packed
) -> Tensor:
    """The weights of a program, packed if they are not known."""
    found = known.get(program)
    if found is None:
        found = known[program] = program.pack(layer.parameters(parameters), layer.dtype)
    return found
