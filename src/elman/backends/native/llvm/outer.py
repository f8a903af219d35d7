"""The parameters' gradients: outer products and sums over all rows, as one native function.

``outer(table, k, k + 1, partitions, 0)`` computes partition ``k`` of ``partitions`` equal ones, for
one thread.  It processes rows in chunks: a chunk of an operand is packed into panels of a few
vectors, and tiles of a gradient's units × a panel stay in registers over the chunk.  The sums of a
chunk are added to those of earlier chunks, which is also more accurate.  In bfloat16, two rows are
processed at a time: copies of panels and gradients interleave them, with zeros for a missing last
row.  The table holds:

    0, 1 the first row and the one after the last   2 whether to add to the output
    3 scratch, divided among partitions
    then the gradients, a buffer for each of their sizes
    then for each operand: its rows, the initial rows for steps without a predecessor, and an
    index for each row (negative: initial rows, -1 the first)
    then the gradient that each outer product writes, then the same for each sum
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from elman.backends.native import tuning
from elman.backends.native.llvm.denormals import flush_subnormals, restore_mode
from elman.backends.native.llvm.ir import Builder, Module, Value
from elman.backends.native.llvm.layout import Layout, segmented_stride
from elman.backends.native.llvm.target import WIDTH
from elman.backends.native.programs import Buffer, Outer, Place, Programs, buffers_of
from elman.graph.node import Node
from elman.graph.sizes import Sizes

FIRST_GRADIENT = 4


@dataclass(frozen=True)
class Operand:
    """One operand of outer products: its place, its width and its products."""

    node: Node
    place: Place
    width: int
    outers: tuple[tuple[int, Outer], ...]


@dataclass(frozen=True, eq=False)
class OuterLayout:
    """The sizes of ``outer``'s computation; ``layout`` is that of the adjoint step."""

    programs: Programs
    layout: Layout

    @property
    def sizes(self) -> Sizes:
        """The sizes of the layer."""
        return self.layout.sizes

    @cached_property
    def gradients(self) -> tuple[Buffer, ...]:
        """The buffers of gradients, in the order of the table."""
        return buffers_of(self.programs.gradient_places)

    @cached_property
    def operands(self) -> tuple[Operand, ...]:
        """The operands in the order of the table."""
        found: dict[Node, list[tuple[int, Outer]]] = {}
        for k, product in enumerate(self.programs.outer):
            found.setdefault(product.operand, []).append((k, product))
        return tuple(
            [
                Operand(
                    node,
                    self.programs.operand_place(node),
                    self.sizes.width((node.size,)),
                    tuple(outers),
                )
                for node, outers in found.items()
            ]
        )

    def panel_widths(self, operand: Operand) -> list[int]:
        """The number of vectors of each panel of an operand."""
        vectors = -(-operand.width // self.layout.lanes)
        panels = -(-vectors // tuning.PANEL_VECTORS)
        return [vectors // panels + (k < vectors % panels) for k in range(panels)]

    @cached_property
    def scratch(self) -> int:
        """Elements of scratch per partition: panels, then pairs of gradients."""
        if not self.programs.bf16:
            return self.panels
        return self.panels + self.steps * sum(map(self.pairs_stride, self.gradients))

    @property
    def panels(self) -> int:
        """The maximum number of elements of an operand's panels."""
        widest = max([sum(self.panel_widths(o)) for o in self.operands], default=0)
        return self.steps * widest * self.layout.lanes

    @property
    def steps(self) -> int:
        """Rows of a chunk, or pairs of rows."""
        return tuning.PANEL_ROWS // 2 if self.programs.bf16 else tuning.PANEL_ROWS

    def pairs_stride(self, buffer: Buffer) -> int:
        """Pairs of gradients from one step to the next."""
        width = self.layout.sizes.width((buffer.size,))
        return segmented_stride(
            buffer.segments, width, self.layout.lanes, WIDTH[self.layout.scalar]
        )

    @cached_property
    def rows(self) -> int:
        """Units of a gradient per tile."""
        return tuning.OUTER_UNITS[32 if self.layout.target.registers >= 32 else 16]

    def tiles(self, buffer: Buffer) -> int:
        """The number of tiles of a gradient in a buffer."""
        return -(-self.sizes.width((buffer.size,)) // self.rows)

    @property
    def most_tiles(self) -> int:
        """The number of tiles of the widest gradient."""
        return max(map(self.tiles, self.gradients), default=0)


def emit_outer(module: Module, outer: OuterLayout) -> None:
    """Add the function ``outer``."""
    _Outer(module, outer).emit()


class _Outer:
    def __init__(self, module: Module, outer: OuterLayout) -> None:
        self.module, self.outer, self.layout = module, outer, outer.layout
        self.made: set[str] = set()
        programs = outer.programs
        self.bf16 = programs.bf16
        self.across = {
            (p.family, p.gate): outer.sizes.width(p.columns) for p in programs.cell.parameters
        }

    def builder(self) -> Builder:
        return Builder(self.layout.scalar, self.layout.lanes)

    def emit(self) -> None:
        outer, b = self.outer, self.builder()
        arguments = ["ptr %table", "i64 %partition", "i64 %a", "i64 %partitions", "i64 %b"]
        b.begin("outer", arguments, exported=True)
        mode = flush_subnormals(b, self.layout.target)

        def word(slot: int, kind: str) -> Value:
            address = b.set(f"getelementptr inbounds i64, ptr %table, i64 {slot}")
            return b.set(f"load {kind}, ptr {address}, align 8")

        start, stop, further = word(0, "i64"), word(1, "i64"), word(2, "i64")
        scratch = b.at(word(3, "ptr"), b.int_op("mul", "%partition", outer.scratch))
        gradients = {
            buffer: word(FIRST_GRADIENT + k, "ptr") for k, buffer in enumerate(outer.gradients)
        }
        first_operand = FIRST_GRADIENT + len(gradients)
        operands = [
            [word(first_operand + 3 * k + j, "ptr") for j in range(3)]
            for k in range(len(outer.operands))
        ]
        outputs = first_operand + 3 * len(operands)
        sums = outputs + len(outer.programs.outer)
        with b.loop(start, stop, tuning.PANEL_ROWS) as first:
            left = b.int_op("sub", stop, first)
            rows = b.choose(
                b.int_compare("slt", left, tuning.PANEL_ROWS), "i64", left, tuning.PANEL_ROWS
            )
            done = b.int_op("sub", first, start)
            again = b.int_compare("sgt", b.int_op("add", done, further), 0)
            chunks = {
                buffer: b.at(
                    pointer, b.int_op("mul", done, self.layout.stride(buffer)), bf16=self.bf16
                )
                for buffer, pointer in gradients.items()
            }
            factors, steps = chunks, rows
            if self.bf16:
                factors, used = {}, outer.panels
                steps = b.int_op("udiv", b.int_op("add", rows, 1), 2)
                for buffer, chunk in chunks.items():
                    factors[buffer] = b.at(scratch, used)
                    used += outer.steps * outer.pairs_stride(buffer)
                    self._pair_gradients(b, buffer, chunk, factors[buffer], rows)
            for operand, pointers in zip(outer.operands, operands, strict=True):
                self._operand(
                    b, operand, pointers, first, rows, steps, again, factors, scratch, word, outputs
                )
            for k, (key, node) in enumerate(outer.programs.sums):
                b.comment(self.module.comments.get((key, node), ""))
                place = outer.programs.gradient_places[node]
                self._sum(b, word(sums + k, "ptr"), place, rows, again, chunks[place.buffer])
        restore_mode(b, self.layout.target, mode)
        b.end()
        self.module.add(b)

    def _operand(
        self, b: Builder, operand: Operand, pointers: Sequence[Value], first: Value, rows: Value,
        steps: Value, again: Value, factors: Mapping[Buffer, Value], scratch: Value, word: object,
        outputs: int,
    ) -> None:  # fmt: skip
        lanes, outer = self.layout.lanes, self.outer
        widths = outer.panel_widths(operand)
        starts = [sum(widths[:k]) for k in range(len(widths))]
        for start, width in zip(starts, widths, strict=True):
            name = self._emit_panel(operand, start, width)
            to = b.at(scratch, start * lanes * outer.steps)
            arguments = [f"ptr {pointer}" for pointer in [*pointers, to]]
            b.call_function(name, [*arguments, f"i64 {first}", f"i64 {rows}"])
        by_buffer: dict[Buffer, list[tuple[int, Outer]]] = {}
        for k, product in operand.outers:
            by_buffer.setdefault(product.place.buffer, []).append((k, product))
        for buffer, outers in by_buffer.items():
            self._gradients(
                b, operand, buffer, outers, steps, again, factors[buffer], scratch, word, outputs
            )

    def _gradients(
        self, b: Builder, operand: Operand, buffer: Buffer, outers: Sequence[tuple[int, Outer]],
        steps: Value, again: Value, factors: Value, scratch: Value, word: object, outputs: int,
    ) -> None:  # fmt: skip
        """The products of an operand's panels with the gradients of a buffer."""
        lanes, outer = self.layout.lanes, self.outer
        widths = outer.panel_widths(operand)
        starts = [sum(widths[:k]) for k in range(len(widths))]
        tiles, padded = outer.tiles(buffer), self.layout.padded(buffer)
        each, larger = divmod(outer.sizes.width((buffer.size,)), tiles)
        assert outer.rows >= each
        targets = [word(outputs + k, "ptr") for k, _ in outers]  # type: ignore[operator]
        low, high = b.partition("%partition", "%partitions", tiles)
        with b.loop(low, high) as tile:
            is_larger = b.int_compare("slt", tile, larger)
            unit = self._first_unit(b, buffer, tile)
            for target, (k, product) in zip(targets, outers, strict=True):
                across = self.across[product.matrix]
                column = self.layout.columns(product.block).start
                to = b.at(b.at(target, b.int_op("mul", unit, across)), column)
                at = b.at(b.at(factors, product.place.segment * padded), unit)
                add = again if self._is_first(k) else "true"
                b.comment(self.module.comments.get(product, ""))
                for start, width in zip(starts, widths, strict=True):
                    vectors = b.at(scratch, start * lanes * outer.steps)
                    tail = operand.width - start * lanes
                    active = min(lanes, tail - (width - 1) * lanes)
                    done = b.fresh_label("done")
                    for size in dict.fromkeys([each + (larger > 0), each]):
                        if size == 0:
                            continue
                        name = self._emit_tile(buffer, size, width, active, across)
                        this, other = b.fresh_label("this"), b.fresh_label("other")
                        if larger == 0:
                            b.emit(f"br label %{this}")
                        elif size > each:
                            b.branch(is_larger, this, other)
                        else:
                            b.branch(is_larger, other, this)
                        b.label(this)
                        pieces = [f"ptr {p}" for p in (at, vectors, b.at(to, start * lanes))]
                        b.call_function(name, [*pieces, f"i64 {steps}", f"i1 {add}"])
                        b.emit(f"br label %{done}")
                        if larger:
                            b.label(other)
                    if larger:
                        b.emit(f"br label %{done}")
                    b.label(done)

    def _first_unit(self, b: Builder, buffer: Buffer, tile: Value) -> Value:
        """The first unit of a tile of a gradient in a buffer."""
        each, larger = divmod(self.outer.sizes.width((buffer.size,)), self.outer.tiles(buffer))
        extra = b.choose(b.int_compare("slt", tile, larger), "i64", tile, larger)
        return b.int_op("add", b.int_op("mul", tile, each), extra)

    def _pair_gradients(
        self, b: Builder, buffer: Buffer, chunk: Value, to: Value, rows: Value
    ) -> None:
        """Interleave the gradients of two rows at a time, for this partition's units."""
        tiles = b.partition("%partition", "%partitions", self.outer.tiles(buffer))
        low, high = [self._first_unit(b, buffer, tile) for tile in tiles]
        lanes = self.layout.lanes
        first = b.int_op("udiv", low, lanes)
        after = b.int_op("udiv", b.int_op("add", high, lanes - 1), lanes)
        pieces = [f"ptr {chunk}", f"ptr {to}", *[f"i64 {n}" for n in (rows, first, after)]]
        name = f"pair_gradients{self.outer.gradients.index(buffer)}"
        b.call_function(name, pieces)
        self._emit_pair_gradients(name, buffer)

    def _emit_pair_gradients(self, name: str, buffer: Buffer) -> None:
        b, lanes = self.builder(), self.layout.lanes
        numbers = [f"i64 %{number}" for number in ("rows", "low", "high")]
        b.begin(name, ["ptr %from", "ptr %to", *numbers])
        stride, padded = self.layout.stride(buffer), self.layout.padded(buffer)

        def write(step: Value, row: Value, both: bool) -> None:
            source = b.at("%from", b.int_op("mul", row, stride), bf16=True)
            to = b.at("%to", b.int_op("mul", step, self.outer.pairs_stride(buffer)))
            with b.loop("%low", "%high") as block:
                for segment in range(buffer.segments):
                    unit = b.int_op("mul", block, lanes)
                    unit = b.int_op("add", unit, segment * padded)
                    one = b.load_bf16(b.at(source, unit, bf16=True))
                    beside = b.at(b.at(source, stride, bf16=True), unit, bf16=True)
                    other = b.load_bf16(beside) if both else "zeroinitializer"
                    b.store(b.pairs(one, other), to, unit)

        self._by_pairs(b, "%rows", write)
        b.end()
        self.module.add(b)

    def _by_pairs(
        self, b: Builder, rows: Value, write: Callable[[Value, Value, bool], None]
    ) -> None:
        """Call ``write(step, first row, whether there is a second)`` for all pairs of rows."""
        whole = b.int_op("udiv", rows, 2)
        with b.loop(0, whole) as step:
            write(step, b.int_op("mul", step, 2), True)
        last = b.int_op("mul", whole, 2)
        with b.loop(last, rows) as row:
            write(whole, row, False)

    def _is_first(self, k: int) -> bool:
        """Whether no earlier product writes to the same columns."""
        own = self.outer.programs.outer[k]
        earlier = self._order[: self._order.index(k)]
        others = [self.outer.programs.outer[j] for j in earlier]
        return not any([(o.matrix, o.block) == (own.matrix, own.block) for o in others])

    @cached_property
    def _order(self) -> list[int]:
        return [k for operand in self.outer.operands for k, _ in operand.outers]

    def _emit_panel(self, operand: Operand, start: int, width: int) -> str:
        """Pack columns of a chunk of an operand."""
        position = self.outer.operands.index(operand)
        name = f"panel{position}_{start}"
        b, lanes, place = self.builder(), self.layout.lanes, operand.place
        pointers = ["ptr %rows", "ptr %firsts", "ptr %index", "ptr %to"]
        b.begin(name, [*pointers, "i64 %first", "i64 %count"])
        offset = place.segment * self.layout.padded(place.buffer) + start * lanes
        stride, bf16 = self.layout.stride(place.buffer), place.buffer.bf16
        own = [min(lanes, operand.width - (start + v) * lanes) for v in range(width)]

        def source_of(k: Value) -> Value:
            row = b.int_op("add", "%first", k)
            if place.buffer.external and not place.shift:
                base, row = "%rows", b.load_int("%index", row)
            elif place.shift:
                row = b.load_int("%index", row)
                other = b.int_op("xor", row, -1)
                is_first = b.int_compare("slt", row, 0)
                base = b.choose(is_first, "ptr", "%firsts", "%rows")
                row = b.choose(is_first, "i64", other, row)
            else:
                base = "%rows"
            at = b.at(base, b.int_op("mul", row, stride), bf16=bf16)
            return b.at(at, offset, bf16=bf16)

        def bits(source: Value, v: int) -> Value:
            if bf16:
                return b.load_bf16(b.at(source, v * lanes, bf16=True), own[v])
            return b.rounded(b.load(source, v * lanes, own[v]))

        def write_pairs(step: Value, row: Value, both: bool) -> None:
            to = b.at("%to", b.int_op("mul", step, width * lanes))
            source = source_of(row)
            other = source_of(b.int_op("add", row, 1)) if both else ""
            for v in range(width):
                beside = bits(other, v) if both else "zeroinitializer"
                b.store(b.pairs(bits(source, v), beside), to, v * lanes)

        if self.bf16:
            self._by_pairs(b, "%count", write_pairs)
        else:
            with b.loop(0, "%count") as k:
                source = source_of(k)
                to = b.at("%to", b.int_op("mul", k, width * lanes))
                for v in range(width):
                    b.store(b.load(source, v * lanes, own[v]), to, v * lanes)
        b.end()
        self.module.add(b)
        return name

    def _emit_tile(self, buffer: Buffer, rows: int, width: int, active: int, across: int) -> str:
        """Multiply units of a gradient with a panel, over the rows of a chunk."""
        stride = self.outer.pairs_stride(buffer) if self.bf16 else self.layout.stride(buffer)
        name = f"tile_{rows}x{width}_{active}_{across}_{stride}"
        if name in self.made:
            return name
        self.made.add(name)
        b, lanes = self.builder(), self.layout.lanes
        b.begin(name, ["ptr %g", "ptr %panel", "ptr %to", "i64 %rows", "i1 %add"])
        zeros = {(m, v): b.constant(0.0) for m in range(rows) for v in range(width)}
        few = self.layout.target.registers < 32
        add_product = b.dot if self.bf16 else b.fma
        for k, sums in b.repeat("%rows", 1, zeros):
            g = b.at("%g", b.int_op("mul", k, stride))
            panel = b.at("%panel", b.int_op("mul", k, width * lanes))
            if few:
                numbers = [b.broadcast(g, m) for m in range(rows)]
                for v in range(width):
                    vector = b.load(panel, v * lanes)
                    for m in range(rows):
                        sums[m, v] = add_product(numbers[m], vector, sums[m, v])
            else:
                vectors = [b.load(panel, v * lanes) for v in range(width)]
                for m in range(rows):
                    number = b.broadcast(g, m)
                    for v in range(width):
                        sums[m, v] = add_product(number, vectors[v], sums[m, v])
        fresh, added, leave = [b.fresh_label(stem) for stem in ("fresh", "added", "leave")]
        b.branch("%add", added, fresh)
        for label in (fresh, added):
            b.label(label)
            for (m, v), value in sums.items():
                lanes_used = active if v == width - 1 else lanes
                at = m * across + v * lanes
                if label is added:
                    value = b.binary("fadd", value, b.load("%to", at, lanes_used))
                b.store(value, "%to", at, lanes_used)
            b.emit(f"br label %{leave}")
        b.label(leave)
        b.end()
        self.module.add(b)
        return name

    def _sum(
        self, b: Builder, target: Value, place: Place, rows: Value, again: Value, chunk: Value
    ) -> None:
        """Sum a segment of the gradients over the rows of a chunk."""
        lanes, span = self.layout.lanes, self.layout.span(place.buffer.size)
        stride = self.layout.stride(place.buffer)
        low, high = b.partition("%partition", "%partitions", span.blocks)
        with b.loop(low, high) as block:
            unit = b.int_op("mul", block, lanes)
            at = b.int_op("add", unit, place.segment * span.padded)
            at = b.at(chunk, at, bf16=self.bf16)
            to = b.at(target, unit)
            done = b.fresh_label("done")
            last = b.int_compare("eq", block, span.blocks - 1)
            labels = [b.fresh_label("last"), b.fresh_label("inner")]
            b.branch(last, *labels)
            for label, active in zip(labels, (span.tail, lanes), strict=True):
                b.label(label)
                add = "i1 " + again
                name = self._emit_sum(active, stride)
                b.call_function(name, [f"ptr {at}", f"ptr {to}", f"i64 {rows}", add])
                b.emit(f"br label %{done}")
            b.label(done)

    def _emit_sum(self, active: int, stride: int) -> str:
        name = f"sum_{active}_{stride}"
        if name in self.made:
            return name
        self.made.add(name)
        b = self.builder()
        b.begin(name, ["ptr %g", "ptr %to", "i64 %rows", "i1 %add"])
        for k, sums in b.repeat("%rows", 1, {0: b.constant(0.0)}):
            value = b.load("%g", b.int_op("mul", k, stride), bf16=self.bf16)
            sums[0] = b.binary("fadd", sums[0], value)
        before = b.load("%to", 0, active)
        before = b.choose("%add", b.vector, before, b.constant(0.0))
        b.store(b.binary("fadd", sums[0], before), "%to", 0, active)
        b.end()
        self.module.add(b)
        return name
