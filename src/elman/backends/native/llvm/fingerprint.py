"""A fingerprint of all bytes of some tensors, at memory speed, to detect changed weights.

torch counts changes of a tensor, but not those made through ``tensor.data``, NumPy or outside
torch.  Packed weights are therefore only reused if their fingerprint is unchanged.

Words of 32 bits are distributed over 64 or 128 lanes; each updates its lane to
``rotate((lane ^ word) * odd, 15)``.  A single changed word always changes the lane; several leave
it unchanged with probability 2^-32.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache

from torch import Tensor

from elman.backends.native import tuning
from elman.backends.native.llvm.jit import load
from elman.backends.native.llvm.target import find_target

_ODD, _TURN = 0x9E3779B1 - (1 << 32), 15
_VECTOR = "<16 x i32>"


@lru_cache(maxsize=1)
def _vectors() -> int:
    """The number of vectors of lanes, which hides the latency of a multiplication."""
    return tuning.FINGERPRINT_VECTORS[64 if find_target("host").vector_bytes >= 64 else 32]


def _state() -> int:
    """The number of 64-bit words of all lanes, including the scalar lane for the remainder."""
    return 8 * _vectors() + 1


def _mix(name: str, lane: str, word: str, kind: str) -> str:
    """Code that sets ``name`` to the lane with the word mixed in."""
    odd = f"splat (i32 {_ODD})" if kind == _VECTOR else str(_ODD)
    suffix = "v16i32" if kind == _VECTOR else "i32"
    turn = f"splat (i32 {_TURN})" if kind == _VECTOR else str(_TURN)
    return f"""\
  {name}.x = xor {kind} {lane}, {word}
  {name}.m = mul {kind} {name}.x, {odd}
  {name} = call {kind} @llvm.fshl.{suffix}({kind} {name}.m, {kind} {name}.m, {kind} {turn})"""


def _text() -> str:
    count, state = _vectors(), _state()
    lanes = range(count)
    kinds = (_VECTOR, "i32")
    first = "zeroinitializer"
    return "\n".join(
        [
            *[
                f"declare {k} @llvm.fshl.{s}({k}, {k}, {k})"
                for k, s in zip(kinds, ("v16i32", "i32"), strict=True)
            ],
            "declare i32 @llvm.vector.reduce.or.v16i32(<16 x i32>)",
            "define i64 @look(ptr %table) nounwind {",
            "entry:",
            f"  %at_count = getelementptr inbounds i64, ptr %table, i64 {state}",
            "  %count = load i64, ptr %at_count",
            "  br label %tensors",
            "tensors:",
            "  %i = phi i64 [0, %entry], [%i1, %tensor_end]",
            *[f"  %a{k} = phi {_VECTOR} [{first}, %entry], [%c{k}, %tensor_end]" for k in lanes],
            "  %s = phi i32 [1, %entry], [%s3, %tensor_end]",
            "  %more = icmp slt i64 %i, %count",
            "  br i1 %more, label %tensor, label %leave",
            "tensor:",
            "  %twice = shl i64 %i, 1",
            f"  %slot = add i64 %twice, {state + 1}",
            "  %at = getelementptr inbounds i64, ptr %table, i64 %slot",
            "  %base = load ptr, ptr %at",
            "  %at_bytes = getelementptr inbounds i64, ptr %at, i64 1",
            "  %bytes = load i64, ptr %at_bytes",
            f"  %blocks = and i64 %bytes, {-64 * count}",
            "  %vectors = and i64 %bytes, -64",
            "  %words = and i64 %bytes, -4",
            "  br label %blocks_head",
            "blocks_head:",
            "  %k = phi i64 [0, %tensor], [%k1, %block]",
            *[f"  %b{k} = phi {_VECTOR} [%a{k}, %tensor], [%n{k}, %block]" for k in lanes],
            "  %more_blocks = icmp slt i64 %k, %blocks",
            "  br i1 %more_blocks, label %block, label %vectors_head",
            "block:",
            *[
                f"  %o{k} = add i64 %k, {64 * k}\n"
                f"  %p{k} = getelementptr inbounds i8, ptr %base, i64 %o{k}\n"
                f"  %w{k} = load {_VECTOR}, ptr %p{k}, align 2"
                for k in lanes
            ],
            *[_mix(f"%n{k}", f"%b{k}", f"%w{k}", _VECTOR) for k in lanes],
            f"  %k1 = add i64 %k, {64 * count}",
            "  br label %blocks_head",
            "vectors_head:",
            "  %v = phi i64 [%k, %blocks_head], [%v1, %vector]",
            *[
                f"  %c{k} = phi {_VECTOR} [%b{k}, %blocks_head], [{after}, %vector]"
                for k, after in enumerate([*[f"%c{k}" for k in lanes[1:]], "%nv"])
            ],
            "  %more_vectors = icmp slt i64 %v, %vectors",
            "  br i1 %more_vectors, label %vector, label %words_head",
            "vector:",
            "  %pv = getelementptr inbounds i8, ptr %base, i64 %v",
            f"  %wv = load {_VECTOR}, ptr %pv, align 2",
            _mix("%nv", "%c0", "%wv", _VECTOR),
            "  %v1 = add i64 %v, 64",
            "  br label %vectors_head",
            "words_head:",
            "  %w = phi i64 [%v, %vectors_head], [%w1.next, %word]",
            "  %s1 = phi i32 [%s, %vectors_head], [%ns, %word]",
            "  %more_words = icmp slt i64 %w, %words",
            "  br i1 %more_words, label %word, label %last",
            "word:",
            "  %pw = getelementptr inbounds i8, ptr %base, i64 %w",
            "  %ww = load i32, ptr %pw, align 2",
            _mix("%ns", "%s1", "%ww", "i32"),
            "  %w1.next = add i64 %w, 4",
            "  br label %words_head",
            "last:",
            "  %odd = icmp slt i64 %w, %bytes",
            "  br i1 %odd, label %half, label %tensor_end",
            "half:",
            "  %ph = getelementptr inbounds i8, ptr %base, i64 %w",
            "  %wh = load i16, ptr %ph, align 2",
            "  %wide = zext i16 %wh to i32",
            _mix("%nh", "%s1", "%wide", "i32"),
            "  br label %tensor_end",
            "tensor_end:",
            "  %s3 = phi i32 [%s1, %last], [%nh, %half]",
            "  %i1 = add i64 %i, 1",
            "  br label %tensors",
            "leave:",
            *[
                f"  %q{k} = getelementptr inbounds i8, ptr %table, i64 {64 * k}\n"
                f"  %old{k} = load {_VECTOR}, ptr %q{k}, align 8\n"
                f"  %d{k} = xor {_VECTOR} %old{k}, %a{k}\n"
                f"  store {_VECTOR} %a{k}, ptr %q{k}, align 8"
                for k in lanes
            ],
            f"  %e0 = or {_VECTOR} %d0, zeroinitializer",
            *[f"  %e{k} = or {_VECTOR} %e{k - 1}, %d{k}" for k in lanes[1:]],
            f"  %all = call i32 @llvm.vector.reduce.or.v16i32({_VECTOR} %e{count - 1})",
            f"  %qs = getelementptr inbounds i64, ptr %table, i64 {state - 1}",
            "  %old = load i64, ptr %qs",
            "  %new = zext i32 %s to i64",
            "  store i64 %new, ptr %qs",
            "  %ds = xor i64 %old, %new",
            "  %wide_all = zext i32 %all to i64",
            "  %changed = or i64 %ds, %wide_all",
            "  ret i64 %changed",
            "}",
        ]
    )


_LOOK = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)


@lru_cache(maxsize=1)
def _function() -> tuple[Callable[[int], int], object]:
    kernel = load("fingerprint", find_target("host"), _text)
    return _LOOK(kernel.address("look")), kernel


class Fingerprint:
    """The fingerprint of contiguous tensors, which it keeps alive.

    >>> import torch
    >>> weights = torch.ones(1000)
    >>> seen = Fingerprint([weights])
    >>> weights.data[17] = 2
    >>> bool(seen.look(seen.address)), bool(seen.look(seen.address))
    (True, False)
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = list(tensors)
        self._table = array("q", bytes(8 * _state()))
        self._table.append(len(self._tensors))
        for tensor in self._tensors:
            self._table.extend((tensor.data_ptr(), tensor.numel() * tensor.itemsize))
        self.address = self._table.buffer_info()[0]
        #: takes ``address`` and returns whether the bytes changed since the last call
        self.look, self._kernel = _function()  # the code lives as long as its kernel
        self.look(self.address)

    @property
    def value(self) -> bytes:
        """The fingerprint of the last call of ``look``."""
        return self._table[: _state()].tobytes()
