"""The product of a phase with int8 weights: exact sums of integers, one operand after another.

Before the products of some rows, each row of an operand is rounded to integers from -127 to 127,
with a scale of its own; a unit's weights for an operand were rounded in the same way when they were
packed.  The sums of products are integers and exact.  Times both scales they are added to the sums
of the phase, which are float32.

x86 multiplies unsigned by signed bytes, so operands are stored plus 128, and the sums start with
-128 times the sum of the weights.  ``layout.py`` has the order of the weights, of which four
neighbours in k are one element; ``pack_int8.py`` writes it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from elman.backends.native.llvm.ir import Builder, Module, Value
from elman.backends.native.llvm.layout import Group, Layout, Segment
from elman.backends.native.llvm.product import unrolling
from elman.backends.native.llvm.target import Target
from elman.graph.node import Node

#: rows whose largest number is smaller are zero: 127 divided by it may be infinite
_LEAST = 1e-30
_LARGEST = 127.0


@dataclass(frozen=True, eq=False)
class Rounded:
    """The memory of the rounded rows of a phase's operands: for each operand, rows and scales."""

    layout: Layout
    groups: Sequence[Group]
    rows: int

    @cached_property
    def operands(self) -> dict[Node, int]:
        """Where the memory of each operand begins, in elements."""
        found: dict[Node, int] = {}
        end = 0
        for segment in [segment for group in self.groups for segment in group.segments]:
            if segment.operand not in found:
                found[segment.operand] = end
                end += self.rows * (self.width(segment.operand) + 1)
                end = -(-end // self.layout.lanes) * self.layout.lanes
        return found

    @property
    def size(self) -> int:
        """The number of elements."""
        operands = self.operands
        if not operands:
            return 0
        last = next(reversed(operands))
        return operands[last] + self.rows * (self.width(last) + 1)

    def width(self, operand: Node) -> int:
        """The elements of a row, of four integers each; whole vectors of integers."""
        return self.vectors(operand) * self.layout.lanes // 4

    def vectors(self, operand: Node) -> int:
        """The vectors of a row before it is rounded."""
        return -(-self.layout.sizes.width((operand.size,)) // self.layout.lanes)

    def row(self, operand: Node, row: int) -> int:
        """Where a rounded row begins."""
        return self.operands[operand] + row * self.width(operand)

    def scales(self, operand: Node) -> int:
        """Where the scales of all rows begin."""
        return self.operands[operand] + self.rows * self.width(operand)


def emit_rounding(module: Module, rounded: Rounded, name: str) -> None:
    """``name(rows, room, order, operand pointers ...)`` rounds rows of all operands."""
    layout = rounded.layout
    b = Builder(layout.scalar, layout.lanes)
    pointers = {operand: f"%x{k}" for k, operand in enumerate(rounded.operands)}
    arguments = ["i64 %n", "ptr %room", "ptr %order", *[f"ptr {p}" for p in pointers.values()]]
    b.begin(name, arguments)
    for operand, pointer in pointers.items():
        place = layout.program.operands[operand]
        with b.loop(0, "%n") as row:
            index = b.load_int("%order", row) if place.buffer.external else row
            at = b.at(pointer, b.int_op("mul", index, layout.stride(place.buffer)))
            to = b.at("%room", b.int_op("mul", row, rounded.width(operand)))
            to = b.at(to, rounded.operands[operand])
            scale = _round(b, at, to, layout.sizes.width((operand.size,)))
            place_of_scale = b.int_op("add", row, rounded.scales(operand))
            address = b.at("%room", place_of_scale)
            b.emit(f"store {b.scalar} {scale}, ptr {address}, align {b.width}")
    b.end()
    module.add(b)


def _round(b: Builder, at: Value, to: Value, size: int) -> Value:
    """Round a row to integers plus 128, and return its scale.

    A number that is not finite makes the scale, and with it the sums, not finite.
    """
    lanes, v, s, suffix = b.lanes, b.vector, b.scalar, b.suffix
    whole, rest = divmod(size, lanes)
    largest = {0: "zeroinitializer"}

    def larger(value: Value, before: Value) -> Value:
        magnitude = b.call_declared(v, f"llvm.fabs.{suffix}", v, f"{v} {value}")
        return b.call_declared(
            v, f"llvm.maximum.{suffix}", f"{v}, {v}", f"{v} {before}, {v} {magnitude}"
        )

    if whole:
        for k, changing in b.repeat(whole, 1, largest):
            changing[0] = larger(b.load(at, b.int_op("mul", k, lanes)), changing[0])
        largest.update(changing)
    if rest:
        largest[0] = larger(b.load(at, whole * lanes, rest), largest[0])
    most = b.call_declared(s, f"llvm.vector.reduce.fmaximum.{suffix}", v, f"{v} {largest[0]}")
    is_small = b.set(f"fcmp olt {s} {most}, {b.literal(_LEAST)}")
    scale = b.set(f"fdiv {s} {most}, {b.literal(_LARGEST)}")
    factor = b.set(f"fdiv {s} {b.literal(_LARGEST)}, {most}")
    zero = b.literal(0.0)
    scale, factor = [
        b.set(f"select i1 {is_small}, {s} {zero}, {s} {each}") for each in (scale, factor)
    ]
    spread = b.spread(factor)

    def store(value: Value, offset: Value | int) -> None:
        value = b.binary("fmul", value, spread)
        value = b.call_declared(v, f"llvm.rint.{suffix}", v, f"{v} {value}")
        integers = b.call_declared(
            b.integers, f"llvm.fptosi.sat.v{lanes}i32.{suffix}", v, f"{v} {value}"
        )
        integers = b.integer("add", integers, b.int_constant(128))
        narrow = b.set(f"trunc {b.integers} {integers} to <{lanes} x i8>")
        address = b.set(f"getelementptr inbounds i8, ptr {to}, i64 {offset}")
        b.emit(f"store <{lanes} x i8> {narrow}, ptr {address}, align 4")

    if whole:
        nothing: dict[int, Value] = {}
        for k, _ in b.repeat(whole, 1, nothing):
            offset = b.int_op("mul", k, lanes)
            store(b.load(at, offset), offset)
    if rest:
        store(b.load(at, whole * lanes, rest), whole * lanes)
    return scale


class Int8Product:
    """A tile of sums; the strides are those of ``emit_product``."""

    def __init__(
        self,
        layout: Layout,
        group: Group,
        rows: int,
        columns: int,
        row_stride: int,
        block_stride: int,
        rounded: Rounded,
    ) -> None:
        self.layout, self.group, self.rounded = layout, group, rounded
        self.rows, self.columns = rows, columns
        self.row_stride, self.block_stride = row_stride, block_stride
        self.b = Builder(layout.scalar, layout.lanes)

    def emit(self, module: Module, name: str) -> None:
        """Add ``name(weights, sums, room, start pointers ...)``."""
        b, layout, group = self.b, self.layout, self.group
        starts = {a: f"%s{a}" for a in group.starts}
        pointers = ["%w", "%sums", "%room", *starts.values()]
        b.begin(name, [f"ptr {pointer}" for pointer in pointers])
        for row, column, a in self._keys(group.count):
            if a in starts:
                stride = layout.stride(layout.program.loads[group.starts[a]].buffer)
                first = b.load(starts[a], row * stride + column * layout.lanes)
            else:
                first = b.load(b.at("%w", column * group.block + a * layout.lanes))
            b.store(first, "%sums", self._place(row, column, a))
        weights = group.count * layout.lanes
        for segment in group.segments:
            self._segment(segment, weights)
            weights += segment.elements * layout.lanes
        b.end()
        module.add(b)

    def _keys(self, count: int) -> list[tuple[int, int, int]]:
        return list(itertools.product(range(self.rows), range(self.columns), range(count)))

    def _place(self, row: int, column: int, a: int) -> int:
        lanes = self.layout.lanes
        return row * self.row_stride + column * self.block_stride + (self.group.first + a) * lanes

    def _segment(self, segment: Segment, weights: int) -> None:
        """Add the products with one operand to the sums."""
        b, lanes, block = self.b, self.layout.lanes, self.group.block
        operand, fed = segment.operand, [a for a, _ in segment.fed]
        count = len(fed)

        def header(column: int, position: int, kind: int) -> Value:
            offset = column * block + weights + (kind * count + position) * lanes
            return b.load(b.at("%w", offset))

        sums = {key: header(*key[1:], 1) for key in self._keys(count)}
        first = weights + 2 * count * lanes
        unroll = unrolling(segment.steps, self.rows * self.columns * count)
        at_rows = [b.at("%room", self.rounded.row(operand, row)) for row in range(self.rows)]
        for k, changing in b.repeat(segment.steps, unroll, sums):
            at_weights = b.at("%w", b.int_op("mul", k, count * lanes))
            at_fours = [b.at(at_row, k) for at_row in at_rows]
            for step in range(unroll):
                offset = first + step * count * lanes
                vectors = {
                    (column, position): b.load(
                        at_weights, offset + column * block + position * lanes
                    )
                    for column in range(self.columns)
                    for position in range(count)
                }
                for row in range(self.rows):
                    four = b.broadcast(at_fours[row], step)
                    for column, position in vectors:
                        key = (row, column, position)
                        changing[key] = self._dot(four, vectors[column, position], changing[key])
        sums.update(changing)
        scales = [
            b.broadcast("%room", self.rounded.scales(operand) + row) for row in range(self.rows)
        ]
        for (row, column, position), total in sums.items():
            place = self._place(row, column, fed[position])
            whole = b.set(f"sitofp {b.integers} {b.as_integers(total)} to {b.vector}")
            scale = b.binary("fmul", header(column, position, 0), scales[row])
            b.store(b.fma(whole, scale, b.load("%sums", place)), "%sums", place)

    def _dot(self, four: Value, weights: Value, total: Value) -> Value:
        """``total`` plus the products of four unsigned and four signed bytes in every lane.

        All are bits of float vectors.
        """
        b = self.b
        four, weights, total = map(b.as_integers, (four, weights, total))
        target = self.layout.target
        if multiplies_bytes(target):
            v = b.integers
            name = f"llvm.x86.avx512.vpdpbusd.{32 * b.lanes}"
            short = f"<{4 * b.lanes} x i8>"
            four, weights = [b.set(f"bitcast {v} {each} to {short}") for each in (four, weights)]
            arguments = f"{v} {total}, {short} {four}, {short} {weights}"
            return b.as_numbers(b.call_declared(v, name, f"{v}, {short}, {short}", arguments))
        for byte in range(4):
            up = b.integer("shl", weights, b.int_constant(24 - 8 * byte))
            signed = b.integer("ashr", up, b.int_constant(24))
            down = b.integer("lshr", four, b.int_constant(8 * byte))
            unsigned = b.integer("and", down, b.int_constant(255))
            total = b.integer("add", total, b.integer("mul", signed, unsigned))
        return b.as_numbers(total)


def multiplies_bytes(target: Target) -> bool:
    """Whether the processor has an instruction for sums of products of bytes."""
    features = target.features.split(",")
    if target.vector_bytes == 64:
        return "+avx512vnni" in features
    return target.vector_bytes == 32 and "+avxvnni" in features
