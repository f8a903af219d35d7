"""A few numbers of each tensor as one: a sign that weights were changed.

torch counts the changes of a tensor, but not those made through ``tensor.data`` or from outside
torch.  Packed weights are used again only if this sample is also what it was.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from torch import Tensor

from elman.backends.llvm.jit import load
from elman.backends.llvm.target import find_target

#: words that are looked at in each tensor
WORDS = 32

# the table: where the result goes, then an address and a number of 32-bit words for each tensor
_TEXT = f"""\
define void @sample(ptr %table, i64 %count, i64 %b, i64 %c, i64 %d) nounwind {{
entry:
  %out = load ptr, ptr %table
  br label %tensors
tensors:
  %i = phi i64 [0, %entry], [%i1, %words_end]
  %sum = phi i64 [0, %entry], [%inner, %words_end]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %tensor, label %leave
tensor:
  %twice = mul i64 %i, 2
  %slot = add i64 %twice, 1
  %at = getelementptr inbounds i64, ptr %table, i64 %slot
  %base = load ptr, ptr %at
  %at_words = getelementptr inbounds i64, ptr %at, i64 1
  %words = load i64, ptr %at_words
  %part = udiv i64 %words, {WORDS}
  %small = icmp eq i64 %part, 0
  %step = select i1 %small, i64 1, i64 %part
  %span = mul i64 %step, {WORDS}
  %short = icmp slt i64 %words, %span
  %end = select i1 %short, i64 %words, i64 %span
  br label %words_head
words_head:
  %k = phi i64 [0, %tensor], [%k1, %word]
  %inner = phi i64 [%sum, %tensor], [%mixed, %word]
  %again = icmp slt i64 %k, %end
  br i1 %again, label %word, label %words_end
word:
  %place = getelementptr inbounds i32, ptr %base, i64 %k
  %short_word = load i32, ptr %place, align 2
  %long_word = zext i32 %short_word to i64
  %turned = mul i64 %inner, 31
  %mixed = add i64 %turned, %long_word
  %k1 = add i64 %k, %step
  br label %words_head
words_end:
  %i1 = add i64 %i, 1
  br label %tensors
leave:
  store i64 %sum, ptr %out
  ret void
}}
"""


@lru_cache(maxsize=1)
def _function() -> tuple[Any, object]:
    kernel = load("sample", find_target("host"), lambda: _TEXT)
    return kernel.function("sample"), kernel


def sample(tensors: Sequence[Tensor]) -> int:
    """A number made from some of the numbers of contiguous tensors."""
    result = array("q", [0])
    table = array("q", [result.buffer_info()[0]])
    for tensor in tensors:
        table.extend((tensor.data_ptr(), tensor.numel() * tensor.itemsize // 4))
    _function()[0](table.buffer_info()[0], len(tensors), 0, 0, 0)
    return result[0]
