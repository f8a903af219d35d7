"""Loops over the heads, units and keys of a cell with a matrix state.

A value for each unit and key lies in an array as [head][key][unit]: neighbours are units, so that
a compiler vectorises both what writes to a matrix state and what reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from elman.graph.node import Size
from elman.graph.sizes import Sizes


@dataclass(frozen=True)
class Nest:
    """Loops around equations, and how they index an array of each size."""

    opening: Sequence[str]
    indices: Mapping[Size, str]

    def index(self, size: Size) -> str:
        """Where an array of this size has the value that belongs to the equations."""
        return self.indices[size]

    @property
    def indent(self) -> str:
        """The blanks before the equations."""
        return "    " * (1 + len(self.opening))

    @property
    def closing(self) -> Sequence[str]:
        """The ends of the loops."""
        return ["    " * k + "}" for k in range(len(self.opening), 0, -1)]


def nest_of(size: Size, sizes: Sizes, *, by_head: bool) -> Nest:
    """The loops over all values of a size; ``by_head`` if an equation reads a value of each head.

    >>> print("\\n".join(nest_of("key", Sizes(3, 8, heads=2, keys=5), by_head=True).opening))
        for (int n = 0; n < 2; ++n) {
            for (int k = n * 5; k < n * 5 + 5; ++k) {
    """
    units, keys = sizes.hidden // sizes.heads, sizes.keys
    over_heads = f"    for (int n = 0; n < {sizes.heads}; ++n) {{"
    if size == "memory":
        return Nest(
            [
                over_heads,
                f"        for (int k = n * {keys}; k < n * {keys} + {keys}; ++k) {{",
                f"            for (int u = 0; u < {units}; ++u) {{",
            ],
            {"memory": f"k * {units} + u", "hidden": f"n * {units} + u", "key": "k", "head": "n"},
        )
    letter, count = ("k", keys) if size == "key" else ("u", units)
    if size in ("hidden", "key") and by_head:
        inner = (
            f"        for (int {letter} = n * {count}; {letter} < n * {count} + {count}; "
            f"++{letter}) {{"
        )
        return Nest([over_heads, inner], {size: letter, "head": "n"})
    letter = "n" if size == "head" else letter
    width = sizes.width((size,))
    return Nest([f"    for (int {letter} = 0; {letter} < {width}; ++{letter}) {{"], {size: letter})
