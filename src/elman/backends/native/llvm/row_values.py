"""Kernels for values that need no state: those of one row after another, for single steps.

Values are computed in levels: a product or a mean needs the whole value below it.  In each level
there is one loop for all values of a width, which stores what later levels read.  A value of width
one is repeated wherever it meets a wider one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from elman.backends.native.llvm.denormals import flush_subnormals, restore_mode
from elman.backends.native.llvm.ir import Builder, Module, Value
from elman.backends.native.llvm.math import VectorMathematics
from elman.backends.native.llvm.target import Target
from elman.graph.node import OPERATIONS, Node, ancestors
from elman.graph.ops import CONDITIONS, PRODUCTS

#: vectors of a product that are summed in registers at once
GROUP = 6
#: computes a vector of values, from its offset and the number of lanes that count
_Compute = Callable[[Value | int, int], None]
#: words of the table before the addresses of the leaves: the rows, and temporary memory
FIRST_LEAF = 2


@dataclass(frozen=True)
class Result:
    """A value that the kernel writes: ``width`` numbers a row, rows ``stride`` numbers apart."""

    node: Node
    width: int
    stride: int


@dataclass(frozen=True)
class RowLayout:
    """What a kernel reads and writes.

    ``leaves`` have a row of ``widths`` numbers each, or one for all rows (``fixed``); a matrix is
    (columns, rows padded to whole vectors).  ``columns`` says which columns multiply each operand
    of a product.  The table has the number of rows, the addresses of temporary memory of
    ``scratch`` numbers, of the leaves, and of the results.
    """

    leaves: tuple[Node, ...]
    fixed: frozenset[Node]
    results: tuple[Result, ...]
    widths: Mapping[Node, int]
    columns: Mapping[Node, Sequence[tuple[int, int]]]
    scalar: str
    lanes: int
    begins: dict[Node, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at = 0
        for node in self.inside:
            if node.operation not in CONDITIONS:
                self.begins[node] = at
                at += self.padded(self.widths[node])

    @property
    def inside(self) -> list[Node]:
        """The values to compute, operands first."""
        roots = [result.node for result in self.results]
        known = {*self.leaves}
        return [
            node
            for node in ancestors(roots, stop=known)
            if node not in known and node.operation != "constant" and node.size != "matrix"
        ]

    @property
    def scratch(self) -> int:
        """The numbers of temporary memory."""
        return sum([self.padded(self.widths[node]) for node in self.begins])

    def padded(self, width: int) -> int:
        """A width in whole vectors."""
        return -(-width // self.lanes) * self.lanes


def text_of(layout: RowLayout, target: Target) -> str:
    """The module with the function ``values(table)``."""
    b = Builder(layout.scalar, layout.lanes)
    b.begin("values", ["ptr %table"], exported=True)
    mode = flush_subnormals(b, target)
    _Rows(b, layout).emit()
    restore_mode(b, target, mode)
    b.end()
    module = Module()
    module.add(b)
    return module.text


class _Rows:
    """The loop over rows."""

    def __init__(self, b: Builder, layout: RowLayout) -> None:
        self.b, self.layout = b, layout
        self.mathematics = VectorMathematics(b)
        self.level: dict[Node, int] = {}
        for node in layout.inside:
            self.level[node] = max([self._after(o, node) for o in node.operands], default=0)
        self.pointers: dict[Node, Value] = {}

    def _after(self, operand: Node, node: Node) -> int:
        """The first level at which an operand can be read for a value."""
        if operand not in self.level:
            return 0
        if operand.operation in CONDITIONS:  # computed where it is needed
            return max([self._after(each, node) for each in operand.operands])
        is_alone = {"mean", *PRODUCTS}
        together = (
            node.operation not in is_alone
            and operand.operation not in is_alone
            and self.layout.widths[operand] == self.layout.widths[node]
        )
        return self.level[operand] + (not together)

    def emit(self) -> None:
        b, layout = self.b, self.layout
        addresses = [
            b.set(f"load ptr, ptr {b.at_word('%table', FIRST_LEAF + k)}, align 8")
            for k in range(len(layout.leaves) + len(layout.results))
        ]
        leaves, results = addresses[: len(layout.leaves)], addresses[len(layout.leaves) :]
        scratch = b.set(f"load ptr, ptr {b.at_word('%table', 1)}, align 8")
        with b.loop(0, b.load_int("%table", 0)) as row:
            for node, pointer in zip(layout.leaves, leaves, strict=True):
                if node in layout.fixed:
                    self.pointers[node] = pointer
                else:
                    self.pointers[node] = b.at(pointer, b.int_op("mul", row, layout.widths[node]))
            for node, begin in layout.begins.items():
                self.pointers[node] = b.at(scratch, begin)
            stores = [
                b.at(pointer, b.int_op("mul", row, result.stride))
                for pointer, result in zip(results, layout.results, strict=True)
            ]
            inside = [node for node in layout.inside if node.operation not in CONDITIONS]
            for level in sorted({self.level[node] for node in inside}):
                self._emit_level([node for node in inside if self.level[node] == level])
            for pointer, result in zip(stores, layout.results, strict=True):
                self._copy(result, pointer)

    def _emit_level(self, nodes: Sequence[Node]) -> None:
        together: dict[int, list[Node]] = {}
        for node in nodes:
            if node.operation in PRODUCTS:
                self._product(node)
            elif node.operation == "mean":
                self._mean(node)
            else:
                together.setdefault(self.layout.widths[node], []).append(node)
        for width, group in together.items():
            self._elementwise(width, group)

    def _elementwise(self, width: int, nodes: Sequence[Node]) -> None:
        def compute(offset: Value | int, active: int) -> None:
            values: dict[Node, Value] = {}
            for node in nodes:
                value = self._value(node, nodes, values, offset, active)
                if width == 1:
                    self.b.store_first(value, self.pointers[node])
                else:
                    self.b.store(value, self.pointers[node], offset)

        self._over(width, compute)

    def _value(
        self,
        node: Node,
        together: Sequence[Node],
        values: dict[Node, Value],
        offset: Value | int,
        active: int,
    ) -> Value:
        """A vector of a value; ``together`` are computed in this loop, others are in memory."""
        if node in values:
            return values[node]
        if node.operation == "constant":
            value = self.b.constant(node.attribute)
        elif node.operation in CONDITIONS or node in together:
            rule = OPERATIONS[node.operation].evaluate
            if node.operation == "repeat":
                operands = [self._value(node.operands[0], together, values, offset, active)]
                value = operands[0]
            else:
                assert rule is not None, f"{node.operation} is not elementwise"
                operands = [
                    self._value(operand, together, values, offset, active)
                    for operand in node.operands
                ]
                value = rule(self.mathematics, *operands)
        else:
            return self._loaded(node, offset, active)
        values[node] = value
        return value

    def _loaded(self, node: Node, offset: Value | int, active: int) -> Value:
        if self.layout.widths[node] == 1:
            return self.b.broadcast(self.pointers[node], 0)
        # memory of the caller's ends with the last number
        whole = node in self.layout.begins
        return self.b.load(self.pointers[node], offset, None if whole else active)

    def _over(self, width: int, compute: _Compute) -> None:
        """Call for each vector of a width: with its offset, and how many lanes are numbers."""
        lanes = self.layout.lanes
        if width == 1:
            compute(0, 1)
            return
        whole = width // lanes * lanes
        if whole:
            with self.b.loop(0, whole, lanes) as offset:
                compute(offset, lanes)
        if width > whole:
            compute(whole, width - whole)

    def _mean(self, node: Node) -> None:
        b, (operand,) = self.b, node.operands
        width, lanes = self.layout.widths[operand], self.layout.lanes
        total = b.constant(0.0)
        if width == 1:
            b.store_first(self._loaded(operand, 0, 1), self.pointers[node])
            return
        whole = width // lanes * lanes
        if whole:
            for offset, carried in b.repeat(whole, lanes, {"total": total}):
                carried["total"] = b.binary(
                    "fadd", carried["total"], self._loaded(operand, offset, lanes)
                )
            total = carried["total"]
        if width > whole:
            last = b.keep_first(self._loaded(operand, whole, width - whole), width - whole)
            total = b.binary("fadd", total, last)
        b.store_first(b.spread_sum(total, 1 / width), self.pointers[node])

    def _product(self, node: Node) -> None:
        """A few vectors of the result at a time, summed over the columns."""
        b, lanes = self.b, self.layout.lanes
        matrix, *factors = node.operands
        padded = self.layout.padded(self.layout.widths[node])

        def group(offset: Value | int, count: int) -> None:
            totals: dict[int, Value] = dict.fromkeys(range(count), b.constant(0.0))
            for factor, (first, columns) in zip(factors, self.layout.columns[node], strict=True):
                start = b.at(b.at(self.pointers[matrix], first * padded), offset)
                for column, carried in b.repeat(columns, 1, totals):
                    factor_value = b.broadcast(self.pointers[factor], column)
                    row = b.int_op("mul", column, padded)
                    for k in range(count):
                        weights = b.load(start, b.int_op("add", row, k * lanes))
                        carried[k] = b.fma(weights, factor_value, carried[k])
                totals = carried
            for k, total in totals.items():
                b.store(total, self.pointers[node], b.int_op("add", offset, k * lanes))

        vectors = padded // lanes
        groups = vectors // GROUP
        if groups:
            with b.loop(0, groups * GROUP * lanes, GROUP * lanes) as offset:
                group(offset, GROUP)
        if vectors % GROUP:
            group(groups * GROUP * lanes, vectors % GROUP)

    def _copy(self, result: Result, pointer: Value) -> None:
        """Write a result to the caller's memory, repeated if it is of width one."""

        def compute(offset: Value | int, active: int) -> None:
            if result.node.operation == "constant":
                value = self.b.constant(result.node.attribute)
            else:
                value = self._loaded(result.node, offset, active)
            self.b.store(value, pointer, offset, active)

        self._over(result.width, compute)
