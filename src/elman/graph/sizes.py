"""The size of a result from the sizes of its operands.

Sizes are symbols: ``input``, ``hidden``, ``one`` (a constant, or one value per row) and ``matrix``
(a matrix of parameters, or one computed from them).  ``Sizes`` binds them to a layer's numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from elman.graph.node import NO_MATRIX, Misuse, Size, SizeClash


@dataclass(frozen=True)
class Block:
    """The columns of a matrix that multiply one operand: ``size`` columns after ``before``."""

    before: tuple[Size, ...]
    size: Size


def columns_of(sizes: Sequence[Size]) -> tuple[Block, ...]:
    """The columns of a matrix that multiply each of its operands, from the operands' sizes.

    >>> columns_of(("hidden", "input"))[1]
    Block(before=('hidden',), size='input')
    """
    return tuple([Block(tuple(sizes[:k]), size) for k, size in enumerate(sizes)])


@dataclass(frozen=True)
class Sizes:
    """The values of the symbols in one layer.

    >>> Sizes(input=3, hidden=4).width(("hidden", "input"))
    7
    """

    input: int
    hidden: int

    def width(self, sizes: Sequence[Size]) -> int:
        """The total width of concatenated operands of these sizes."""
        values = {"input": self.input, "one": 1}
        return sum([values.get(size, self.hidden) for size in sizes])

    def columns(self, block: Block) -> slice:
        """The columns of a block as a slice."""
        start = self.width(block.before)
        return slice(start, start + self.width((block.size,)))


def declared(sizes: Sequence[Size], attribute: tuple[str, Size]) -> Size:
    """The size that a leaf carries with its name."""
    return attribute[1]


def of_vector(sizes: Sequence[Size], attribute: tuple[str, ...]) -> Size:
    """The size of a vector (FAMILY, GATE), which is hidden, or (FAMILY, GATE, SIZE)."""
    return attribute[2] if len(attribute) == 3 else "hidden"


def fixed(size: Size) -> Any:
    """A constant size."""
    return lambda sizes, attribute: size


def elementwise(sizes: Sequence[Size], attribute: object) -> Size:
    """Elementwise operations: all operands have one size; constants match any size."""
    found: int | None = None
    for position, size in enumerate(sizes):
        if size == "one":
            continue
        if found is None:
            found = position
        elif sizes[found] != size:
            if "matrix" in (size, sizes[found]):
                raise Misuse("a matrix and a vector are not of one size; multiply them with @")
            raise SizeClash(found, position)
    return "one" if found is None else sizes[found]


def of_vectors(sizes: Sequence[Size], attribute: object) -> Size:
    """Functions of all units of a row, which are no functions of a matrix."""
    if "matrix" in sizes:
        raise Misuse("a row's mean and variance are not those of a matrix of learned parameters")
    return elementwise(sizes, attribute)


def of_matrix(sizes: Sequence[Size], attribute: object) -> Size:
    """Functions of a matrix: the result is one too."""
    if sizes[0] != "matrix":
        raise Misuse("this takes a matrix of learned parameters, such as W.f")
    return "matrix"


def product(sizes: Sequence[Size], attribute: object) -> Size:
    """A matrix times one operand or several concatenated ones: a vector of hidden size."""
    if sizes[0] != "matrix":
        raise Misuse(NO_MATRIX)
    if len(sizes) == 1:
        raise Misuse("the list that is the right operand of @ is empty")
    for size in sizes[1:]:
        if size == "matrix":
            raise Misuse(
                "the product of two matrices is not available; multiply with one after the other"
            )
        if size == "one":
            raise Misuse(
                "a matrix cannot multiply a constant or an input of size one; use a vector, such "
                "as b.f or p.f * dt"
            )
    return "hidden"


def blocks(sizes: Sequence[Size], attribute: tuple[Block, ...]) -> Size:
    """A sum of transposed blocks times vectors; all blocks have the size of the result."""
    return attribute[0].size
