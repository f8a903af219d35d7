"""The size of a result from the sizes of its operands.

Sizes are symbols: ``input``, ``hidden``, ``one`` (a constant, or one value per row) and ``matrix``
(a matrix of parameters, or one computed from them).  In a cell with a matrix state, the units are
divided among heads, and each head has keys: a value of size ``head`` has one number for each head,
``key`` one for each key of each head, ``memory`` one for each pair of a unit and a key of a head.
Any other name is a size of the cell's own, such as ``projection``, and a number is itself.
``Sizes`` binds these symbols to a layer's numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from elman.graph.node import NO_MATRIX, Misuse, Size, SizeClash

#: the sizes of states, besides hidden, in cells with a matrix state; and those of parameters
MEMORY_SIZES = ("memory", "key", "head")
#: the sizes with a meaning of their own; those of a cell's own have other names
COMMON_SIZES = frozenset({"input", "hidden", "one", "matrix", *MEMORY_SIZES})
#: maximum number of characters of a name, so that it fits a line and a file name
MAX_NAME = 100


def is_own_size(size: object) -> bool:
    """Whether this is a size of a cell's own: a name, or a number, of at most 100 characters.

    >>> is_own_size("projection"), is_own_size("16"), is_own_size("hidden"), is_own_size("01")
    (True, True, False, False)
    """
    if not isinstance(size, str) or size in COMMON_SIZES or len(size) > MAX_NAME:
        return False
    return size.isidentifier() or (size.isdecimal() and size.isascii() and size[0] != "0")


def own_names(sizes: Iterable[Size]) -> tuple[Size, ...]:
    """The names, in order of first use, to which a layer must give a number."""
    return tuple(dict.fromkeys([s for s in sizes if is_own_size(s) and s.isidentifier()]))


@dataclass(frozen=True)
class Block:
    """The columns of a matrix that multiply one operand: ``size`` columns after ``before``.

    ``rows`` is the size of the product.
    """

    before: tuple[Size, ...]
    size: Size
    rows: Size = "hidden"


def columns_of(sizes: Sequence[Size], rows: Size | None = None) -> tuple[Block, ...]:
    """The columns of a matrix that multiply each of its operands, from the operands' sizes.

    >>> columns_of(("hidden", "input"))[1]
    Block(before=('hidden',), size='input', rows='hidden')
    """
    made = rows or "hidden"
    return tuple([Block(tuple(sizes[:k]), size, made) for k, size in enumerate(sizes)])


@dataclass(frozen=True)
class Sizes:
    """The values of the symbols in one layer.

    >>> Sizes(input=3, hidden=4).width(("hidden", "input"))
    7
    """

    input: int
    hidden: int
    heads: int = 1
    #: keys of each head
    keys: int = 0
    #: the cell's own sizes by name
    own: tuple[tuple[Size, int], ...] = ()

    def width(self, sizes: Sequence[Size]) -> int:
        """The total width of concatenated operands of these sizes."""
        values = {
            "input": self.input,
            "hidden": self.hidden,
            "one": 1,
            "head": self.heads,
            "key": self.heads * self.keys,
            "memory": self.hidden * self.keys,
            **dict(self.own),
        }
        return sum([values[size] if size in values else int(size) for size in sizes])

    def of_row(self, size: Size) -> tuple[int, ...]:
        """The shape of a state's value in one row.

        >>> Sizes(input=3, hidden=8, heads=2, keys=5).of_row("memory")
        (2, 4, 5)
        """
        units = self.hidden // self.heads
        shapes = {
            "hidden": (self.hidden,),
            "head": (self.heads,),
            "key": (self.heads, self.keys),
            "memory": (self.heads, units, self.keys),
        }
        return shapes[size] if size in shapes else (self.width((size,)),)

    def axes(self, size: Size) -> tuple[int, int, int]:
        """The lengths of the axes (head, unit, key) of a value in a cell with a matrix state.

        >>> Sizes(input=3, hidden=8, heads=2, keys=5).axes("key")
        (2, 1, 5)
        """
        units = self.hidden // self.heads
        axes = {
            "hidden": (self.heads, units, 1),
            "key": (self.heads, 1, self.keys),
            "head": (self.heads, 1, 1),
            "memory": (self.heads, units, self.keys),
            "input": (1, 1, self.input),
            "one": (1, 1, 1),
        }
        return axes[size]

    def columns(self, block: Block) -> slice:
        """The columns of a block as a slice."""
        start = self.width(block.before)
        return slice(start, start + self.width((block.size,)))


def declared(sizes: Sequence[Size], attribute: tuple[str, Size]) -> Size:
    """The size that a leaf carries with its name."""
    return attribute[1]


def of_state(sizes: Sequence[Size], attribute: str | tuple[str, Size]) -> Size:
    """The size of a state: hidden, or that in its attribute (NAME, SIZE)."""
    return "hidden" if isinstance(attribute, str) else attribute[1]


def of_vector(sizes: Sequence[Size], attribute: tuple[str, ...]) -> Size:
    """The size of a vector (FAMILY, GATE), which is hidden, or (FAMILY, GATE, SIZE)."""
    return attribute[2] if len(attribute) == 3 else "hidden"


def of_mask(sizes: Sequence[Size], attribute: tuple[str, ...]) -> Size:
    """The size of a mask (ROLE, OF, PER), which is hidden, or (ROLE, OF, PER, SIZE)."""
    return attribute[3] if len(attribute) == 4 else "hidden"


def of_repeat(sizes: Sequence[Size], attribute: Size) -> Size:
    """A matrix stays one; a value has the size in the attribute."""
    return "matrix" if sizes[0] == "matrix" else attribute


def rows_of_block(sizes: Sequence[Size], attribute: Block | None) -> Size:
    """The size of the product of some columns of a matrix."""
    return "hidden" if attribute is None else attribute.rows


def fixed(size: Size) -> Any:
    """A constant size."""
    return lambda sizes, attribute: size


#: what is repeated to the size of another operand, besides ``one``
_WITHIN = {"hidden": {"head"}, "key": {"head"}, "memory": {"head", "hidden", "key"}}


def contains(size: Size, other: Size) -> bool:
    """Whether a value of the other size can be repeated to this size."""
    return other in (size, "one") or other in _WITHIN.get(size, ())


def elementwise(sizes: Sequence[Size], attribute: object) -> Size:
    """Elementwise operations: the largest size, to which the other operands are repeated."""
    found = 0
    for position, size in enumerate(sizes):
        if contains(sizes[found], size):
            continue
        if not contains(size, sizes[found]):
            if "matrix" in (size, sizes[found]):
                raise Misuse("a matrix and a vector are not of one size; multiply them with @")
            if {size, sizes[found]} == {"hidden", "key"}:
                raise Misuse("units and keys are not of one size; outer(v, k) has both")
            raise SizeClash(found, position)
        found = position
    return sizes[found]


def outer(sizes: Sequence[Size], attribute: object) -> Size:
    """The products of units and keys."""
    if tuple(sizes) != ("hidden", "key"):
        raise Misuse(
            f"outer takes a value per unit and a value per key, of sizes hidden and key, not "
            f"{sizes[0]} and {sizes[1]}; sizes makes a product one per key, as in "
            'sizes={"W.k": "key"}'
        )
    return "memory"


def read(sizes: Sequence[Size], attribute: object) -> Size:
    """A matrix state times a vector of keys."""
    if tuple(sizes) != ("memory", "key"):
        raise Misuse(
            f"a matrix state multiplies a value per key, not one of size {sizes[1]}, as in "
            'S @ (W.q @ x) with sizes={"W.q": "key"}'
        )
    return "hidden"


def head_sum(sizes: Sequence[Size], attribute: object) -> Size:
    """A sum over the units or keys of each head."""
    if sizes[0] not in ("hidden", "key"):
        raise Misuse(f"head_sum takes a value per unit or per key, not of size {sizes[0]}")
    return "head"


def given(sizes: Sequence[Size], attribute: Size) -> Size:
    """The size that the attribute names."""
    return attribute


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


def product(sizes: Sequence[Size], attribute: Size | None) -> Size:
    """A matrix times one operand or several concatenated ones: hidden, or as the attribute says."""
    if sizes[0] != "matrix":
        raise Misuse(NO_MATRIX)
    if len(sizes) == 1:
        raise Misuse("the list that is the right operand of @ is empty")
    for size in sizes[1:]:
        if size == "matrix":
            raise Misuse(
                "the product of two matrices is not available; multiply with one after the other"
            )
        if size == "memory":
            raise Misuse("a matrix cannot multiply a matrix state; read it first, as in S @ k")
        if size == "one":
            raise Misuse(
                "a matrix cannot multiply a constant or another value of size one; use a vector, "
                "such as b.f or p.f * dt, or give what it multiplies a size with a name, to which "
                'a layer gives the number 1, as in sizes={"W.d": "single"}'
            )
    return attribute or "hidden"


def blocks(sizes: Sequence[Size], attribute: tuple[Block, ...]) -> Size:
    """A sum of transposed blocks times vectors; all blocks have the size of the result."""
    return attribute[0].size
