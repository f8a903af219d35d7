"""A program's numbers: strides of its buffers, register blocks, and how its weights are packed.

Weights lie in the order in which a step reads them.  For each phase, for each group of
accumulators that fit the registers together, for each block of as many units as a vector has
lanes:

    start     [accumulator][lane]
    operand   [k][accumulator][lane]      for each operand of the group's products

so that one block is one stream from memory.  In a program that is ``bf16``, pairs of weights in
bfloat16 stand in the place of numbers, and k counts pairs; behind an odd last one is a zero.
``pack.py`` writes this, ``product.py`` reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from elman.backends.native import tuning
from elman.backends.native.llvm.target import WIDTH, Target
from elman.backends.native.phases import Accumulator, Phase, Term
from elman.backends.native.programs import Buffer, Program
from elman.graph.node import Node
from elman.graph.sizes import Block, Sizes


@dataclass(frozen=True)
class Segment:
    """An operand of a group: which of the group's accumulators it feeds, and by which weights."""

    operand: Node
    size: int
    fed: tuple[tuple[int, Term], ...]
    bf16: bool

    @property
    def steps(self) -> int:
        """What k runs to: numbers of the operand, or pairs of them."""
        return -(-self.size // 2) if self.bf16 else self.size


@dataclass(frozen=True)
class Group:
    """Accumulators of a phase that one product computes; ``first`` is the place of the first."""

    first: int
    accumulators: tuple[Accumulator, ...]
    segments: tuple[Segment, ...]
    offset: int  # of its first block in the packed weights
    lanes: int

    @property
    def count(self) -> int:
        """How many accumulators it has."""
        return len(self.accumulators)

    @property
    def block(self) -> int:
        """How many numbers the weights of one block of units are."""
        fed = sum([segment.steps * len(segment.fed) for segment in self.segments])
        return (self.count + fed) * self.lanes


@dataclass(frozen=True)
class Tiling:
    """How many rows and blocks of units one product takes at once.

    Products keep rows × blocks × accumulators vectors in registers.  With 32 registers the
    weights of a step lie in registers too; with 16, the numbers that they meet do.  Few rows
    take more blocks, so that enough sums are under way to hide the time of one.
    """

    accumulators: int
    blocks: int
    registers: int

    @cached_property
    def rows(self) -> int:
        """Most rows at once."""
        vectors = self.accumulators * self.columns_of_many
        if self.registers >= 32:
            most = (tuning.MANY_ROWS_REGISTERS - vectors) // vectors
            return max(1, min(tuning.MAX_ROWS[32], most))
        return max(1, min(tuning.MAX_ROWS[16], (self.registers - 1) // (vectors + 1)))

    @cached_property
    def columns_of_many(self) -> int:
        """Blocks at once where there are many rows."""
        return max(1, min(tuning.MANY_ROWS_VECTORS // self.accumulators, self.blocks))

    def columns(self, rows: int) -> int:
        """Blocks at once for this many rows."""
        if rows == 1:
            most = tuning.ONE_ROW_VECTORS[32 if self.registers >= 32 else 16]
        elif self.registers >= 32:
            most = min(tuning.FEW_ROWS_VECTORS, tuning.FEW_ROWS_REGISTERS // (rows + 1))
        else:
            most = 0
        return min(self.blocks, max(self.columns_of_many, most // self.accumulators))

    @property
    def most_columns(self) -> int:
        """Most blocks at once."""
        return max([self.columns(rows) for rows in range(1, self.rows + 1)])

    def sizes(self, columns: int) -> list[int]:
        """The numbers of rows that are taken with this many blocks."""
        few = {rows for rows in range(1, self.rows + 1) if self.columns(rows) == columns}
        if columns == self.columns_of_many:  # more rows than fit are split into like parts
            few |= {*range((self.rows + 1) // 2, self.rows + 1)}
        return sorted(few)


@dataclass(frozen=True, eq=False)
class Layout:
    """A program with numbers for its sizes, for one processor and type of number."""

    program: Program
    sizes: Sizes
    scalar: str
    target: Target

    @cached_property
    def lanes(self) -> int:
        """Numbers of a vector."""
        return self.target.lanes(self.scalar)

    @cached_property
    def width(self) -> int:
        """Units of a value of this program."""
        return self.sizes.width((self.program.width,))

    @cached_property
    def blocks(self) -> int:
        """Vectors that a value of this program takes."""
        return -(-self.width // self.lanes)

    @cached_property
    def tail(self) -> int:
        """Units in the last block."""
        return self.width - (self.blocks - 1) * self.lanes

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
                offset += groups[-1].block * self.blocks
                first += size
            found.append(tuple(groups))
        return tuple(found)

    def _segments(self, members: tuple[Accumulator, ...]) -> Iterator[Segment]:
        fed: dict[Node, list[tuple[int, Term]]] = {}
        for position, total in enumerate(members):
            for term in total.terms:
                fed.setdefault(term.operand, []).append((position, term))
        # products with the input first, in an order of their own: they may be taken ahead
        first = sorted([o for o in fed if o.size == "input"], key=repr)
        for operand in [*first, *[o for o in fed if o.size != "input"]]:
            terms = fed[operand]
            size = self.sizes.width((operand.size,))
            yield Segment(operand, size, tuple(terms), self.program.bf16)

    @cached_property
    def weights_size(self) -> int:
        """How many numbers the packed weights are; the vectors of the cell come after them."""
        return sum([group.block * self.blocks for phase in self.groups for group in phase])

    @cached_property
    def packed_size(self) -> int:
        """How many numbers the packed weights and vectors are."""
        return self.weights_size + len(self.vectors) * self.blocks * self.lanes

    @cached_property
    def vectors(self) -> dict[Node, int]:
        """Vectors that the equations use unit by unit, and where each is among them."""
        found: dict[Node, None] = {}
        for phase in self.program.phases:
            summed = {total.value: total.rest for total in phase.accumulators}
            for value in phase.values:
                operands = summed.get(value, value.operands)
                found.update(dict.fromkeys([o for o in operands if o.operation == "vector"]))
            found.update(dict.fromkeys([o for o in phase.stored if o.operation == "vector"]))
        return {node: k * self.blocks * self.lanes for k, node in enumerate(found)}

    def tiling(self, phase: Phase) -> Tiling:
        """How the products of a phase are cut."""
        index = self.program.phases.index(phase)
        widest = max([group.count for group in self.groups[index]], default=1)
        return Tiling(widest, self.blocks, self.target.registers)

    def padded(self, buffer: Buffer) -> int:
        """Numbers that a value takes in a segment of a buffer."""
        return -(-self.sizes.width((buffer.size,)) // self.lanes) * self.lanes

    def stride(self, buffer: Buffer) -> int:
        """Numbers from a row of a buffer to the next."""
        if not buffer.segments:
            return self.sizes.width((buffer.size,))
        width = self.sizes.width((buffer.size,))
        return segmented_stride(buffer.segments, width, self.lanes, self.number_bytes(buffer))

    def number_bytes(self, buffer: Buffer) -> int:
        """Bytes of a number in a buffer."""
        return 2 if buffer.bf16 else WIDTH[self.scalar]

    def row_bytes(self, buffer: Buffer) -> int:
        """Bytes from a row of a buffer to the next."""
        return self.stride(buffer) * self.number_bytes(buffer)

    def columns(self, block: Block) -> range:
        """The columns of a matrix that a block stands for."""
        found = self.sizes.columns(block)
        return range(found.start, found.stop)


def segmented_stride(segments: int, width: int, lanes: int, bytes_each: int) -> int:
    """Numbers in a row of padded segments; never a multiple of 512 bytes.

    Rows a power of two apart fall into the same few sets of the cache.
    """
    stride = segments * -(-width // lanes) * lanes
    return stride + lanes if stride * bytes_each % tuning.CONFLICT_BYTES == 0 else stride
