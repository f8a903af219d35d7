"""The product of a phase: rows × blocks of units × accumulators, kept in registers.

Each shape has its own function.  It loads the initial values of the sums, loops over the operands
of the group, and stores the sums for ``pointwise.py``.  While it loops over an operand, registers
hold only the sums that this operand feeds: with 16 registers, one more would be stored and loaded
again at each k.  Every shape sums over k in the same order, so a row's values do not depend on
other rows.  In bfloat16, operands and weights are pairs; one instruction multiplies two pairs and
adds both products.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container
from functools import partial

from elman.backends.native import tuning
from elman.backends.native.llvm.ir import Builder, Module, Value
from elman.backends.native.llvm.layout import Group, Layout
from elman.backends.native.programs import Place

Key = tuple[int, int, int]  # row, block, accumulator


def product_name(phase: int, group: int, rows: int, columns: int) -> str:
    """The name of the function for this shape."""
    return f"product{phase}_{group}_{rows}x{columns}"


def emit_product(
    module: Module,
    layout: Layout,
    name: str,
    group: Group,
    rows: int,
    columns: int,
    row_stride: int,
    block_stride: int,
) -> None:
    """``name(weights, sums, order, operand pointers ..., start pointers ...)``.

    ``row_stride`` and ``block_stride`` are the strides of the sums.
    """
    b = Builder(layout.scalar, layout.lanes)
    operands = [f"%x{k}" for k in range(len(group.segments))]
    starts = {a: f"%s{a}" for a in group.starts}
    pointers = ["%w", "%sums", "%order", *operands, *starts.values()]
    b.begin(name, [f"ptr {pointer}" for pointer in pointers])
    if layout.program.bf16:
        b.alignment = 2  # pairs may start at any element
    starting, places = layout.program.loads, layout.program.operands
    for total in group.accumulators:
        b.comment(module.comments.get(total.value, ""))
    lanes, block = layout.lanes, group.block
    sums: dict[Key, Value] = {}

    def begin(a: int) -> None:
        """Load the initial values of an accumulator."""
        for column in range(columns):
            if a in starts:
                stride = layout.stride(starting[group.starts[a]].buffer)
                for row in range(rows):
                    sums[row, column, a] = b.load(starts[a], row * stride + column * lanes)
            else:
                first = b.load(b.at("%w", column * block + a * lanes))
                for row in range(rows):
                    sums[row, column, a] = first

    def place_of(key: Key) -> int:
        row, column, a = key
        return row * row_stride + column * block_stride + (group.first + a) * lanes

    def put_away(kept: Container[int]) -> None:
        """Move the sums of other accumulators from registers to memory."""
        for key in [key for key in sums if key[2] not in kept]:
            b.store(sums.pop(key), "%sums", place_of(key))

    def take(a: int) -> None:
        """Load the sums of an accumulator that were moved to memory."""
        for row, column in itertools.product(range(rows), range(columns)):
            sums[row, column, a] = b.load("%sums", place_of((row, column, a)))

    begun: set[int] = set()
    weights = group.count * lanes

    def multiplier(at: list[Value], step: int, row: int) -> Value:
        return b.broadcast(at[row], step)

    def last_multiplier(at: list[Value], step: int, row: int) -> Value:
        """The last element of a row, paired with zero: the memory after it is undefined."""
        return b.spread(b.single(at[row], step))

    for pointer, segment in zip(operands, group.segments, strict=True):
        at_rows = _row_pointers(b, layout, places[segment.operand], pointer, rows)
        each = len(segment.fed) * lanes
        whole = segment.size // 2 if segment.bf16 else segment.size
        unroll = unrolling(whole, rows * columns * len(segment.fed))
        fed = [a for a, _ in segment.fed]
        put_away(fed)
        for a in fed:
            if a not in begun:
                begin(a)
            elif (0, 0, a) not in sums:
                take(a)
        begun.update(fed)
        if whole:
            for k, changing in b.repeat(whole, unroll, sums):
                at_weights = b.at("%w", b.int_op("mul", k, each))
                at_operands = [b.at(at_row, k) for at_row in at_rows]
                for step in range(unroll):
                    _multiply(
                        b, layout, changing, fed, rows, columns, at_weights,
                        weights + step * each, block, partial(multiplier, at_operands, step),
                    )  # fmt: skip
            sums.update(changing)
        if whole < segment.steps:
            _multiply(
                b, layout, sums, fed, rows, columns, "%w",
                weights + whole * each, block, partial(last_multiplier, at_rows, whole),
            )  # fmt: skip
        weights += segment.steps * each
    for a in range(group.count):
        if a not in begun:
            begin(a)
    put_away(())
    b.end()
    module.add(b)


def unrolling(rounds: int, each: int) -> int:
    """How many rounds of a loop over k, of so many multiply-adds each, are one.

    >>> unrolling(128, 8), unrolling(128, 16), unrolling(7, 1)
    (4, 2, 1)
    """
    return next(
        u
        for u in tuning.UNROLLING
        if rounds % u == 0 and (u == 1 or u * each <= tuning.MAX_UNROLLED)
    )


def _row_pointers(
    b: Builder, layout: Layout, place: Place, pointer: Value, rows: int
) -> list[Value]:
    """The start of each row of an operand."""
    stride = layout.stride(place.buffer)
    if not place.buffer.external:
        return [b.at(pointer, row * stride, bf16=place.buffer.bf16) for row in range(rows)]
    order = [b.load_int("%order", row) for row in range(rows)]
    return [b.at(pointer, b.int_op("mul", row, stride), bf16=place.buffer.bf16) for row in order]


def _multiply(
    b: Builder,
    layout: Layout,
    sums: dict[Key, Value],
    fed: list[int],
    rows: int,
    columns: int,
    at_weights: Value,
    offset: int,
    block: int,
    number: Callable[[int], Value],
) -> None:
    """One k: update every accumulator of the operand, in every row and block."""

    def weight(column: int, position: int) -> Value:
        return b.load(at_weights, offset + column * block + position * layout.lanes)

    add_product = b.dot if layout.program.bf16 else b.fma
    shape = [(column, position) for column in range(columns) for position in range(len(fed))]
    if layout.target.registers >= 32:
        # the weights stay in registers; the operand's elements are broadcast from memory
        vectors = {key: weight(*key) for key in shape}
        for row in range(rows):
            spread = number(row)
            for column, position in shape:
                key = (row, column, fed[position])
                sums[key] = add_product(spread, vectors[column, position], sums[key])
    else:
        # with few registers, the elements stay in registers, with one vector of weights at a time
        numbers = [number(row) for row in range(rows)]
        for column, position in shape:
            vector = weight(column, position)
            for row in range(rows):
                key = (row, column, fed[position])
                sums[key] = add_product(numbers[row], vector, sums[key])
