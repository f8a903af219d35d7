"""A program's layout: strides of its buffers, register blocks, and the order of its weights.

Weights are packed in the order in which a step reads them.  For each phase, for each group of
accumulators that fit the registers together, for each block of units (one vector):

    start     [accumulator][lane]
    operand   [k][accumulator][lane]      for each operand of the group's products

so that each block is one contiguous stream.  ``bf16`` programs store pairs of bfloat16 weights,
and k counts pairs; an odd last weight is paired with a zero.  ``pack.py`` writes this order,
``product.py`` reads it.  With ``int8``, an element is four weights, and before those of an operand
stand their scales and the starts of the sums (``int8.py``), each [accumulator][lane].
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from elman.backends.native import tuning
from elman.backends.native.llvm.target import WIDTH, Target
from elman.backends.native.phases import Accumulator, Phase, Term
from elman.backends.native.programs import Buffer, Program
from elman.graph.node import Node, Size
from elman.graph.sizes import Block, Sizes


@dataclass(frozen=True)
class Segment:
    """An operand of a group, with the accumulators that it feeds and their terms."""

    operand: Node
    size: int
    fed: tuple[tuple[int, Term], ...]
    bf16: bool
    int8: bool = False

    @property
    def steps(self) -> int:
        """The number of iterations over k: elements of the operand, pairs, or fours."""
        return -(-self.size // (4 if self.int8 else 2 if self.bf16 else 1))

    @property
    def elements(self) -> int:
        """The number of vectors in a block of units."""
        return (self.steps + 2 * self.int8) * len(self.fed)


@dataclass(frozen=True)
class Group:
    """Accumulators of a phase that one product computes, from index ``first`` on."""

    first: int
    accumulators: tuple[Accumulator, ...]
    segments: tuple[Segment, ...]
    offset: int  # of its first block in the packed weights
    lanes: int

    @property
    def count(self) -> int:
        """The number of accumulators."""
        return len(self.accumulators)

    @property
    def starts(self) -> dict[int, Node]:
        """The accumulators, by position, whose sums start at a value in memory, and that value."""
        given = {a: total.start for a, total in enumerate(self.accumulators)}
        return {a: n for a, n in given.items() if n is not None and n.operation != "vector"}

    @property
    def block(self) -> int:
        """The number of packed weights of one block of units."""
        return (self.count + sum([each.elements for each in self.segments])) * self.lanes


@dataclass(frozen=True)
class Tiling:
    """The numbers of rows and blocks of units that one product computes at once.

    Products keep rows × blocks × accumulators vectors in registers.  With 32 registers, the
    weights of one k are in registers too; with 16, the operand's elements are.  With few rows, a
    product takes more blocks, so that enough independent sums hide the latency.
    """

    accumulators: int
    blocks: int
    target: Target

    @property
    def registers(self) -> int:
        """The number of vector registers that sums, operands and weights may take."""
        return self.target.registers - (0 if self.target.fuses else tuning.UNFUSED_REGISTERS)

    @cached_property
    def rows(self) -> int:
        """The maximum number of rows."""
        vectors = self.accumulators * self.columns_of_many
        if self.registers >= 32:
            most = (tuning.MANY_ROWS_REGISTERS - vectors) // vectors
            return max(1, min(tuning.MAX_ROWS[32], most))
        return max(1, min(tuning.MAX_ROWS[16], (self.registers - 1) // (vectors + 1)))

    @cached_property
    def columns_of_many(self) -> int:
        """The number of blocks for many rows."""
        return max(1, min(tuning.MANY_ROWS_VECTORS // self.accumulators, self.blocks))

    def columns(self, rows: int) -> int:
        """The number of blocks for this many rows."""
        if rows == 1:
            most = tuning.ONE_ROW_VECTORS[min(self.registers, 32 if self.target.is_x86 else 16)]
        elif self.registers >= 32:
            most = min(tuning.FEW_ROWS_VECTORS, tuning.FEW_ROWS_REGISTERS // (rows + 1))
        else:
            most = 0
        return min(self.blocks, max(self.columns_of_many, most // self.accumulators))

    @property
    def most_columns(self) -> int:
        """The maximum number of blocks."""
        return max([self.columns(rows) for rows in range(1, self.rows + 1)])

    def sizes(self, columns: int) -> list[int]:
        """The numbers of rows that are computed with this many blocks."""
        few = {rows for rows in range(1, self.rows + 1) if self.columns(rows) == columns}
        if columns == self.columns_of_many:  # more rows than fit are split evenly
            few |= {*range((self.rows + 1) // 2, self.rows + 1)}
        return sorted(few)


@dataclass(frozen=True)
class Span:
    """The units of a value, in vectors of ``lanes``."""

    width: int
    lanes: int

    @property
    def blocks(self) -> int:
        """The number of vectors."""
        return -(-self.width // self.lanes)

    @property
    def whole(self) -> int:
        """The number of vectors in which all lanes are units."""
        return self.width // self.lanes

    @property
    def tail(self) -> int:
        """Units in the last vector."""
        return self.width - (self.blocks - 1) * self.lanes

    @property
    def padded(self) -> int:
        """Elements of all vectors."""
        return self.blocks * self.lanes


@dataclass(frozen=True, eq=False)
class Layout:
    """A program with concrete sizes, for one processor and scalar type."""

    program: Program
    sizes: Sizes
    scalar: str
    target: Target
    int8: bool = False

    @cached_property
    def lanes(self) -> int:
        """Elements of a vector."""
        return self.target.lanes(self.scalar)

    def span(self, size: Size) -> Span:
        """The units of a value of this size."""
        return Span(self.sizes.width((size,)), self.lanes)

    @cached_property
    def widest(self) -> Span:
        """The units of the largest value that a phase computes."""
        spans = [self.span(phase.size) for phase in self.program.phases]
        return max(spans, key=lambda span: span.width, default=Span(1, self.lanes))

    @cached_property
    def groups(self) -> tuple[tuple[Group, ...], ...]:
        """The groups of each phase."""
        found: list[tuple[Group, ...]] = []
        offset = 0
        for phase in self.program.phases:
            groups: list[Group] = []
            count = len(phase.accumulators)
            parts = -(-count // tuning.MAX_ACCUMULATORS)
            first = 0
            for part in range(parts):
                size = count // parts + (part < count % parts)
                members = phase.accumulators[first : first + size]
                segments = tuple(self._segments(members))
                groups.append(Group(first, members, segments, offset, self.lanes))
                offset += groups[-1].block * self.span(phase.size).blocks
                first += size
            found.append(tuple(groups))
        return tuple(found)

    def _segments(self, members: tuple[Accumulator, ...]) -> Iterator[Segment]:
        fed: dict[Node, list[tuple[int, Term]]] = {}
        for position, total in enumerate(members):
            for term in total.terms:
                fed.setdefault(term.operand, []).append((position, term))
        # products with the input first, in a fixed order: they may be hoisted
        first = sorted([o for o in fed if o.size == "input"], key=repr)
        for operand in [*first, *[o for o in fed if o.size != "input"]]:
            terms = fed[operand]
            size = self.sizes.width((operand.size,))
            yield Segment(operand, size, tuple(terms), self.program.bf16, self.int8)

    @cached_property
    def weights_size(self) -> int:
        """The number of packed weights; the vectors of the cell follow them."""
        return sum(
            [
                group.block * self.span(phase.size).blocks
                for phase, groups in zip(self.program.phases, self.groups, strict=True)
                for group in groups
            ]
        )

    @cached_property
    def packed_size(self) -> int:
        """The number of elements of packed weights and vectors."""
        return self.weights_size + sum([self.span(node.size).padded for node in self.vectors])

    @cached_property
    def vectors(self) -> dict[Node, int]:
        """The vectors that the equations use, with their offsets."""
        found: dict[Node, None] = {}
        for phase in self.program.phases:
            summed = {total.value: total.rest for total in phase.accumulators}
            for value in phase.values:
                operands = summed.get(value, value.operands)
                found.update(dict.fromkeys([o for o in operands if o.operation == "vector"]))
            found.update(dict.fromkeys([o for o in phase.stored if o.operation == "vector"]))
        starts = itertools.accumulate([self.span(node.size).padded for node in found], initial=0)
        return dict(zip(found, starts, strict=False))

    def tiling(self, phase: Phase) -> Tiling:
        """The tiling of a phase's products."""
        index = self.program.phases.index(phase)
        widest = max([group.count for group in self.groups[index]], default=1)
        return Tiling(widest, self.span(phase.size).blocks, self.target)

    def padded(self, buffer: Buffer) -> int:
        """The padded size of a value in a segment of a buffer."""
        return self.span(buffer.size).padded

    def stride(self, buffer: Buffer) -> int:
        """Elements from a row of a buffer to the next."""
        width = self.sizes.width((buffer.size,))
        if not buffer.segments:
            return width
        return segmented_stride(buffer.segments, width, self.lanes, self.number_bytes(buffer))

    def number_bytes(self, buffer: Buffer) -> int:
        """Bytes per element of a buffer."""
        return 2 if buffer.bf16 else WIDTH[self.scalar]

    def row_bytes(self, buffer: Buffer) -> int:
        """Bytes from a row of a buffer to the next."""
        return self.stride(buffer) * self.number_bytes(buffer)

    def columns(self, block: Block) -> range:
        """The columns of a block as a range."""
        found = self.sizes.columns(block)
        return range(found.start, found.stop)


def segmented_stride(segments: int, width: int, lanes: int, bytes_each: int) -> int:
    """Elements per row of padded segments; the row's bytes are never a multiple of 512.

    Rows a power of two apart compete for a few sets of the cache.
    """
    stride = segments * -(-width // lanes) * lanes
    return stride + lanes if stride * bytes_each % tuning.CONFLICT_BYTES == 0 else stride
