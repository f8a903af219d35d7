"""A function that calls the kernels of several layers, so that Python makes one call per step."""

from __future__ import annotations

from elman.backends.native.llvm.jit import Kernel, load
from elman.backends.native.llvm.target import Target

#: ``chain(words)``: the number of calls, then the address of a function and its table for each
_TEXT = """\
define void @chain(ptr %words) {
entry:
  %count = load i64, ptr %words
  %end = shl i64 %count, 1
  br label %next
next:
  %k = phi i64 [ 0, %entry ], [ %after, %next ]
  %at = or disjoint i64 %k, 1
  %table_at = add i64 %k, 2
  %function_word = getelementptr i64, ptr %words, i64 %at
  %table_word = getelementptr i64, ptr %words, i64 %table_at
  %function = load ptr, ptr %function_word
  %table = load ptr, ptr %table_word
  call void %function(ptr %table)
  %after = add i64 %k, 2
  %more = icmp ult i64 %after, %end
  br i1 %more, label %next, label %done
done:
  ret void
}
"""


def chain_of(target: Target) -> Kernel:
    """The kernel with the function ``chain``."""
    return load("chain 1", target, lambda: _TEXT)
