"""The elementwise equations of a phase, after its products.

Phases without reductions have one function for whole blocks of units and one for the last, partial
block, over any number of rows.  Phases with a reduction over the row, such as a mean, process one
row at a time: one pass for each level of dependent reductions, and one to store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from elman.backends.native.llvm.ir import Builder, Module, Value
from elman.backends.native.llvm.layout import Layout
from elman.backends.native.llvm.math import VectorMathematics
from elman.backends.native.phases import Phase
from elman.backends.native.programs import Place
from elman.graph.node import OPERATIONS, Node
from elman.graph.ops import REDUCTIONS

Pointers = Mapping[Place, Value]
#: the address and offset of each place
At = dict[Place, tuple[Value, Value]]


class Equations:
    """The values of a phase for one vector of units, each computed on first use."""

    def __init__(
        self,
        b: Builder,
        comments: Mapping[Node, str],
        layout: Layout,
        phase: Phase,
        load: Mapping[Node, tuple[Value, Value, bool]],
        sums: Value,
        vectors: Value,
        reduced: Mapping[Node, Value],
        active: int,
    ) -> None:
        self.b, self.layout, self.active = b, layout, active
        self.comments = comments
        self.load, self.sums, self.vectors = load, sums, vectors
        self.mathematics = VectorMathematics(b)
        self.totals = {total.value: (a, total.rest) for a, total in enumerate(phase.accumulators)}
        self.computed = frozenset(phase.values)
        self.values: dict[Node, Value] = dict(reduced)

    def value(self, node: Node) -> Value:
        """The register that holds the value."""
        waiting = [node]  # no recursion, because chains of values may be long
        while waiting:
            last = waiting[-1]
            if last in self.values:
                waiting.pop()
                continue
            missing = [other for other in self._needed(last) if other not in self.values]
            if not missing:
                self.values[last] = self._compute(last)
            waiting += reversed(missing)
        return self.values[node]

    def _needed(self, node: Node) -> Sequence[Node]:
        """The values that are needed to compute a value here."""
        if node in self.totals:
            return self.totals[node][1]
        is_loaded = node in self.load and node not in self.computed
        return () if node.operation == "vector" or is_loaded else node.operands

    def _compute(self, node: Node) -> Value:
        b = self.b
        if node in self.totals:
            a, rest = self.totals[node]
            b.comment(self.comments.get(node, ""))
            total = b.load(b.at(self.sums, a * self.layout.lanes))
            for term in rest:
                total = self.mathematics.add(total, self.value(term))
            return total
        if node.operation == "constant":
            return b.constant(node.attribute)
        if node.operation == "vector":  # even if rows of it are stored
            return b.load(self.vectors, self.layout.vectors[node])
        if node in self.load and node not in self.computed:
            pointer, offset, bf16 = self.load[node]
            return b.load(pointer, offset, self.active, bf16=bf16)
        assert node.operation not in REDUCTIONS, "a reduction needs its whole row"
        rule = OPERATIONS[node.operation].evaluate
        assert rule is not None, f"{node.operation} is not elementwise"
        operands = [self.value(o) for o in node.operands]
        b.comment(self.comments.get(node, ""))
        value: Value = rule(self.mathematics, *operands)
        return value


def emit_equations(
    module: Module,
    layout: Layout,
    phase: Phase,
    name: str,
    places: Iterable[Place],
    row_stride: int,
    active: int,
) -> None:
    """``name(rows, sums, vectors, order, a pointer for each place)`` for one block of units.

    The pointers refer to the first row and the block's first unit; only ``active`` units of the
    block are read and written.
    """
    b = Builder(layout.scalar, layout.lanes)
    pointers = {place: f"%p{k}" for k, place in enumerate(places)}
    listed = [f"ptr {pointer}" for pointer in pointers.values()]
    b.begin(name, ["i64 %rows", "ptr %sums", "ptr %vectors", "ptr %order", *listed])
    with b.loop(0, "%rows") as row:
        at = _at_row(b, layout, pointers, row)
        sums = b.at("%sums", b.int_op("mul", row, row_stride))
        load = _loads(layout, at)
        found = Equations(b, module.comments, layout, phase, load, sums, "%vectors", {}, active)
        _store(b, layout, phase, found, at, active)
    b.end()
    module.add(b)


def emit_row_equations(
    module: Module, layout: Layout, phase: Phase, name: str, places: Iterable[Place]
) -> None:
    """Like ``emit_equations``, for whole rows: ``sums`` holds all blocks of each row."""
    b = Builder(layout.scalar, layout.lanes)
    pointers = {place: f"%p{k}" for k, place in enumerate(places)}
    listed = [f"ptr {pointer}" for pointer in pointers.values()]
    b.begin(name, ["i64 %rows", "ptr %sums", "ptr %vectors", "ptr %order", *listed])
    lanes, count, span = layout.lanes, len(phase.accumulators), layout.span(phase.size)
    waves = _waves(phase)
    with b.loop(0, "%rows") as row:
        first = {
            place: b.at(pointer, offset, bf16=place.buffer.bf16)
            for place, (pointer, offset) in _at_row(b, layout, pointers, row).items()
        }
        sums = b.at("%sums", b.int_op("mul", row, span.blocks * count * lanes))

        def at_block(block: Value | int) -> At:
            offset = b.int_op("mul", block, lanes)
            return {place: (pointer, offset) for place, pointer in first.items()}

        def equations(block: Value | int, reduced: Mapping[Node, Value], active: int) -> Equations:
            offset = b.int_op("mul", block, lanes)
            load = _loads(layout, at_block(block))
            at_sums = b.at(sums, b.int_op("mul", block, lanes * count))
            vectors = b.at("%vectors", offset)
            return Equations(
                b, module.comments, layout, phase, load, at_sums, vectors, reduced, active
            )

        reduced: dict[Node, Value] = {}
        for wave in waves:
            totals = {node: b.constant(0.0) for node in wave}
            if span.whole:
                for block, changing in b.repeat(span.whole, 1, totals):
                    found = equations(block, reduced, lanes)
                    for node in wave:
                        term = found.value(node.operands[0])
                        changing[node] = b.binary("fadd", changing[node], term)
                totals = changing
            if span.whole < span.blocks:
                found = equations(span.whole, reduced, span.tail)
                for node in wave:
                    term = b.keep_first(found.value(node.operands[0]), span.tail)
                    totals[node] = b.binary("fadd", totals[node], term)
            for node, total in totals.items():
                reduced[node] = b.spread_sum(total, 1 / span.width)

        def store(block: Value | int, active: int) -> None:
            found = equations(block, reduced, active)
            _store(b, layout, phase, found, at_block(block), active)

        with b.loop(0, span.whole) as block:
            store(block, lanes)
        if span.whole < span.blocks:
            store(span.whole, span.tail)
    b.end()
    module.add(b)


def _loads(layout: Layout, at: At) -> dict[Node, tuple[Value, Value, bool]]:
    """The location of each value, and whether it is bf16."""
    return {
        node: (*at[place], place.buffer.bf16)
        for node, place in layout.program.loads.items()
        if place in at
    }


def _store(
    b: Builder, layout: Layout, phase: Phase, equations: Equations, at: At, active: int
) -> None:
    """Store the phase's results; padded rows take whole vectors."""
    for node in phase.stored:
        value = equations.value(node)
        for place in stored_places(layout, phase, node):
            whole = layout.lanes if place.buffer.segments else active
            b.store(value, *at[place], active=whole, bf16=place.buffer.bf16)


def stored_places(layout: Layout, phase: Phase, node: Node) -> list[Place]:
    """Where a phase stores a value; one that is the same for all units has places of any size."""
    found = layout.program.stores.get(node, ())
    return [place for place in found if place.buffer.size == phase.size]


def _at_row(b: Builder, layout: Layout, pointers: Pointers, row: Value) -> At:
    """The address and offset of a row in each place."""
    own = ""
    found: At = {}
    for place, pointer in pointers.items():
        if place.buffer.external and not own:
            own = b.load_int("%order", row)
        index = own if place.buffer.external else row
        found[place] = (pointer, b.int_op("mul", index, layout.stride(place.buffer)))
    return found


def _waves(phase: Phase) -> list[list[Node]]:
    """The phase's reductions, grouped by dependency level."""
    depth: dict[Node, int] = {}
    waves: dict[int, list[Node]] = {}
    rest = {total.value: total.rest for total in phase.accumulators}
    for node in phase.values:
        operands = rest.get(node, node.operands)
        deepest = max([depth.get(operand, 0) for operand in operands], default=0)
        if node.operation in REDUCTIONS:
            waves.setdefault(deepest, []).append(node)
            deepest += 1
        depth[node] = deepest
    return [waves[k] for k in sorted(waves)]
