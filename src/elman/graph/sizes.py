"""How the size of a result follows from the sizes of its operands.

Sizes are symbols: ``input``, ``hidden``, ``one`` (a constant) and ``matrix`` (a parameter that
only products take).  They become numbers in a layer, through ``Sizes``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from elman.graph.node import NO_MATRIX, Misuse, Size, SizeClash


@dataclass(frozen=True)
class Block:
    """Which columns of a matrix an operand meets: those after ``before``, ``size`` wide."""

    before: tuple[Size, ...]
    size: Size


@dataclass(frozen=True)
class Sizes:
    """The numbers that the symbols stand for in one layer.

    >>> Sizes(input=3, hidden=4).width(("hidden", "input"))
    7
    """

    input: int
    hidden: int

    def width(self, sizes: Sequence[Size]) -> int:
        """The total width of operands of these sizes side by side."""
        return sum([self.input if size == "input" else self.hidden for size in sizes])

    def columns(self, block: Block) -> slice:
        """The columns of a matrix that a block stands for."""
        start = self.width(block.before)
        return slice(start, start + self.width((block.size,)))


def declared(sizes: Sequence[Size], attribute: tuple[str, Size]) -> Size:
    """A leaf that carries its own size beside its name."""
    return attribute[1]


def fixed(size: Size) -> Any:
    """The same size always."""
    return lambda sizes, attribute: size


def elementwise(sizes: Sequence[Size], attribute: object) -> Size:
    """Element by element: all operands of one size; constants fit to any."""
    found: int | None = None
    for position, size in enumerate(sizes):
        if size == "matrix":
            raise Misuse("a matrix of learned parameters can only stand to the left of @")
        if size == "one":
            continue
        if found is None:
            found = position
        elif sizes[found] != size:
            raise SizeClash(found, position)
    return "one" if found is None else sizes[found]


def product(sizes: Sequence[Size], attribute: object) -> Size:
    """A matrix with one operand or with several side by side gives a vector of hidden size."""
    if sizes[0] != "matrix":
        raise Misuse(NO_MATRIX)
    if len(sizes) == 1:
        raise Misuse("the list to the right of @ is empty")
    for size in sizes[1:]:
        if size == "matrix":
            raise Misuse("a product of two matrices of learned parameters is one matrix: write one")
        if size == "one":
            raise Misuse("a matrix cannot be multiplied with a constant; use a bias such as b.f")
    return "hidden"


def blocks(sizes: Sequence[Size], attribute: tuple[Block, ...]) -> Size:
    """A sum of transposed blocks, each times a vector, has the size of any of the blocks."""
    return attribute[0].size
