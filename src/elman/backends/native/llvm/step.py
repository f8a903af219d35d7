"""A program as one native function: the loop over time with its phases.

``run(table, first, last, begin, end)`` runs the sequences ``first`` to before ``last`` through
the steps ``begin`` to before ``end``; threads run disjoint sequences and never synchronise.
``step(table)`` runs the first step for all sequences.  Sequences are sorted so that those running
at a step come first.  The table holds, as 64-bit words:

    0 counts    the number of sequences at each step, with a zero before and after
    1 offsets   the row of each step's first sequence in buffers with a row for each step
    2           the number of sequences
    3 weights   packed, followed by the cell's vectors (``layout.py``)
    4 order     the caller's index of each sequence
    5 times     the row of the caller's first sequence at each step
    6 ...       the program's buffers, in its order
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from elman.backends.native.llvm.denormals import flush_subnormals, restore_mode
from elman.backends.native.llvm.int8 import Int8Product, Rounded, emit_rounding
from elman.backends.native.llvm.ir import Builder, Module, Value
from elman.backends.native.llvm.layout import Group, Layout, Tiling
from elman.backends.native.llvm.pointwise import emit_equations, emit_row_equations, stored_places
from elman.backends.native.llvm.product import emit_product, product_name
from elman.backends.native.phases import Phase
from elman.backends.native.programs import Buffer, Place

FIRST_BUFFER = 6


def emit_program(module: Module, layout: Layout) -> None:
    """Add the function ``run`` and, for a program with states, ``step``."""
    phases = [_Phase(module, layout, k, phase) for k, phase in enumerate(layout.program.phases)]
    for phase in phases:
        phase.emit()
    if layout.program.lasts:
        copied = {_copy_name(layout, place.buffer): place for place, _ in layout.program.lasts}
        for name, place in copied.items():
            _emit_copy(module, layout, name, place.buffer)
        _emit_step(module, layout)
    _emit_run(module, layout, phases)


class _Phase:
    """The functions of one phase."""

    def __init__(self, module: Module, layout: Layout, index: int, phase: Phase) -> None:
        self.module, self.layout, self.index, self.phase = module, layout, index, phase
        self.groups, self.span = layout.groups[index], layout.span(phase.size)
        self.name = f"phase{index}"
        self.by_rows = phase.reduces or not phase.accumulators
        program = layout.program
        needed = dict.fromkeys(phase.values)
        self.places: dict[Place, Value] = {}
        reads = [o for value in needed for o in value.operands]
        reads += [o for total in phase.accumulators for o in total.rest]
        reads += list(phase.stored)
        inside = set(phase.values)
        found = [program.loads[n] for n in reads if n not in inside and n in program.loads]
        terms = [term for total in phase.accumulators for term in total.terms]
        found += [program.operands[term.operand] for term in terms]
        starts = [total.start for total in phase.accumulators if total.start is not None]
        found += [program.loads[n] for n in starts if n in program.loads]
        found += [p for n in phase.stored for p in stored_places(layout, phase, n)]
        self.places = {place: f"%q{k}" for k, place in enumerate(dict.fromkeys(found))}
        #: with int8 weights, the memory after the sums
        self.rounded = Rounded(layout, self.groups, self.tiling.rows) if layout.int8 else None

    @property
    def tiling(self) -> Tiling:
        return self.layout.tiling(self.phase)

    @property
    def count(self) -> int:
        return len(self.phase.accumulators)

    @property
    def row_stride(self) -> int:
        """Elements from the sums of a row to those of the next."""
        columns = self.span.blocks if self.by_rows else self.tiling.most_columns
        return columns * self.count * self.layout.lanes

    @property
    def sums_size(self) -> int:
        """The elements of sums in memory at a time, and of rounded operands."""
        return self._room + (0 if self.rounded is None else self.rounded.size)

    @property
    def _room(self) -> int:
        """Where rounded operands begin, after the sums."""
        return self.tiling.rows * self.row_stride

    def emit(self) -> None:
        layout, whole = self.layout, self.layout.lanes
        places = list(self.places)
        if self.by_rows:
            emit_row_equations(self.module, layout, self.phase, f"equations{self.index}", places)
        else:
            for active in dict.fromkeys([whole, self.span.tail]):
                name = self._equations(active)
                emit_equations(
                    self.module, layout, self.phase, name, places, self.row_stride, active
                )
        if self.count:
            self._emit_products()
        self._emit_phase()

    def _equations(self, active: int) -> str:
        return f"equations{self.index}" + ("" if active == self.layout.lanes else "_tail")

    # products

    def _classes(self) -> dict[int, list[int]]:
        """The numbers of blocks per product, with the numbers of rows that use them."""
        tiling = self.tiling
        classes = {tiling.columns(rows) for rows in range(1, tiling.rows + 1)}
        return {c: tiling.sizes(c) for c in sorted(classes | {tiling.columns_of_many})}

    def _groups_of_blocks(self, columns: int) -> tuple[int, int]:
        """The number of groups of whole blocks, and the number of blocks in the last group."""
        full = self.span.whole // columns
        return full, self.span.blocks - full * columns

    def _emit_products(self) -> None:
        if self.rounded is not None:
            emit_rounding(self.module, self.rounded, f"round{self.index}")
        made: set[str] = set()
        for columns, sizes in self._classes().items():
            full, rest = self._groups_of_blocks(columns)
            for width in [columns] * (full > 0) + [rest] * (rest > 0):
                for rows in sizes:
                    for k, group in enumerate(self.groups):
                        name = product_name(self.index, k, rows, width)
                        if name not in made:
                            made.add(name)
                            self._emit_product(name, group, rows, width)

    def _emit_product(self, name: str, group: Group, rows: int, columns: int) -> None:
        strides = self.row_stride, self.count * self.layout.lanes
        if self.rounded is None:
            emit_product(self.module, self.layout, name, group, rows, columns, *strides)
        else:
            product = Int8Product(self.layout, group, rows, columns, *strides, self.rounded)
            product.emit(self.module, name)

    def _call_product(
        self, b: Builder, rows: int, columns: int, block: Value | int, at: dict[Place, Value],
        sums: Value, order: Value,
    ) -> None:  # fmt: skip
        layout = self.layout
        for k, group in enumerate(self.groups):
            offset = b.int_op("mul", block, group.block)
            weights = b.at(b.at("%w", group.offset), offset)
            if self.rounded is None:
                operands = [layout.program.operands[s.operand] for s in group.segments]
                arguments = [weights, sums, order, *[at[place] for place in operands]]
            else:
                arguments = [weights, sums, b.at("%sums", self._room)]
            for start in group.starts.values():
                place = layout.program.loads[start]
                arguments.append(b.at(at[place], b.int_op("mul", block, layout.lanes)))
            name = product_name(self.index, k, rows, columns)
            b.call_function(name, [f"ptr {argument}" for argument in arguments])

    # the phase

    def _emit_phase(self) -> None:
        b = Builder(self.layout.scalar, self.layout.lanes)
        pointers = [f"ptr {pointer}" for pointer in self.places.values()]
        heads = ["i64 %n", "ptr %w", "ptr %vectors", "ptr %sums", "ptr %order"]
        b.begin(self.name, [*heads, *pointers])
        if not self.count:
            listed = [f"ptr {pointer}" for pointer in self.places.values()]
            b.call_function(
                f"equations{self.index}",
                ["i64 %n", "ptr %sums", "ptr %vectors", "ptr %order", *listed],
            )
        else:
            self._emit_tiles(b)
        b.end()
        self.module.add(b)

    def _emit_tiles(self, b: Builder) -> None:
        most = self.tiling.rows
        parts = b.int_op("udiv", b.int_op("add", "%n", most - 1), most)
        each = b.int_op("udiv", "%n", parts)
        larger = b.int_op("urem", "%n", parts)
        done = b.fresh_label("done")
        classes = self._classes()
        labels = {columns: b.fresh_label("class") for columns in classes}
        few = {rows: labels[self.tiling.columns(rows)] for rows in range(1, most + 1)}
        b.switch("%n", few, labels[self.tiling.columns_of_many])
        for columns, sizes in classes.items():
            b.label(labels[columns])
            if self.by_rows:
                with b.loop(0, parts) as part:
                    self._emit_row_tile(b, columns, sizes, part, each, larger)
            elif self.rounded is not None:  # rows first: they are rounded once
                with b.loop(0, parts) as part:
                    self._emit_rounding(b, part, each, larger)
                    full, rest = self._groups_of_blocks(columns)
                    with b.loop(0, full) as group:
                        block = b.int_op("mul", group, columns)
                        self._emit_tile(b, columns, sizes, block, part, each, larger, False)
                    if rest:
                        block = str(full * columns)
                        self._emit_tile(b, rest, sizes, block, part, each, larger, True)
            else:
                full, rest = self._groups_of_blocks(columns)
                with b.loop(0, full) as group:
                    block = b.int_op("mul", group, columns)
                    with b.loop(0, parts) as part:
                        self._emit_tile(b, columns, sizes, block, part, each, larger, False)
                if rest:
                    block = str(full * columns)
                    with b.loop(0, parts) as part:
                        self._emit_tile(b, rest, sizes, block, part, each, larger, True)
            b.emit(f"br label %{done}")
        b.label(done)

    def _emit_rounding(self, b: Builder, part: Value, each: Value, larger: Value) -> None:
        """Round the rows of a part, of all operands."""
        if self.rounded is None:
            return
        size, order, at = self._at_rows(b, part, each, larger)
        places = [self.layout.program.operands[operand] for operand in self.rounded.operands]
        pointers = [b.at("%sums", self._room), order, *[at[place] for place in places]]
        b.call_function(f"round{self.index}", [f"i64 {size}", *[f"ptr {p}" for p in pointers]])

    def _at_rows(
        self, b: Builder, part: Value, each: Value, larger: Value
    ) -> tuple[Value, Value, dict[Place, Value]]:
        """The number of rows of a part, the order of its rows, and pointers to its first row."""
        is_larger = b.int_compare("slt", part, larger)
        size = b.int_op("add", each, b.choose(is_larger, "i64", 1, 0))
        before = b.choose(is_larger, "i64", part, larger)
        row = b.int_op("add", b.int_op("mul", part, each), before)
        at = {
            place: pointer
            if place.buffer.external
            else b.at(
                pointer,
                b.int_op("mul", row, self.layout.stride(place.buffer)),
                bf16=place.buffer.bf16,
            )
            for place, pointer in self.places.items()
        }
        return size, b.at_word("%order", row), at

    def _dispatch(
        self, b: Builder, size: Value, sizes: Sequence[int], columns: int, block: Value | int,
        at: dict[Place, Value], sums: Value, order: Value,
    ) -> None:  # fmt: skip
        joined = b.fresh_label("joined")
        cases = {rows: b.fresh_label("rows") for rows in sizes}
        b.switch(size, cases, joined)
        for rows, label in cases.items():
            b.label(label)
            self._call_product(b, rows, columns, block, at, sums, order)
            b.emit(f"br label %{joined}")
        b.label(joined)

    def _emit_tile(
        self, b: Builder, columns: int, sizes: Sequence[int], block: Value, part: Value,
        each: Value, larger: Value, is_last: bool,
    ) -> None:  # fmt: skip
        lanes = self.layout.lanes
        size, order, at = self._at_rows(b, part, each, larger)
        self._dispatch(b, size, sizes, columns, block, at, "%sums", order)
        for column in range(columns):
            at_block = b.int_op("mul", b.int_op("add", block, column), lanes)
            active = self.span.tail if is_last and column == columns - 1 else lanes
            sums = b.at("%sums", column * self.count * lanes)
            arguments = [sums, b.at("%vectors", at_block), order]
            arguments += [
                b.at(pointer, at_block, bf16=place.buffer.bf16) for place, pointer in at.items()
            ]
            b.call_function(
                self._equations(active), [f"i64 {size}", *[f"ptr {a}" for a in arguments]]
            )

    def _emit_row_tile(
        self, b: Builder, columns: int, sizes: Sequence[int], part: Value, each: Value,
        larger: Value,
    ) -> None:  # fmt: skip
        lanes = self.layout.lanes
        self._emit_rounding(b, part, each, larger)
        size, order, at = self._at_rows(b, part, each, larger)
        full, rest = self._groups_of_blocks(columns)
        with b.loop(0, full) as group:
            block = b.int_op("mul", group, columns)
            sums = b.at("%sums", b.int_op("mul", block, self.count * lanes))
            self._dispatch(b, size, sizes, columns, block, at, sums, order)
        if rest:
            sums = b.at("%sums", full * columns * self.count * lanes)
            self._dispatch(b, size, sizes, rest, full * columns, at, sums, order)
        arguments = ["%sums", "%vectors", order, *at.values()]
        b.call_function(f"equations{self.index}", [f"i64 {size}", *[f"ptr {a}" for a in arguments]])


def _emit_copy(module: Module, layout: Layout, name: str, buffer: Buffer) -> None:
    """``copy(rows, order, from, to)``: copy unpadded rows into the caller's order.

    Rows of an external buffer are already in that order.
    """
    b, bf16, span = Builder(layout.scalar, layout.lanes), buffer.bf16, layout.span(buffer.size)
    b.begin(name, ["i64 %rows", "ptr %order", "ptr %from", "ptr %to"])
    with b.loop(0, "%rows") as row:
        own = b.int_op("mul", b.load_int("%order", row), span.width)
        from_row = own if buffer.external else b.int_op("mul", row, span.width)
        source, target = b.at("%from", from_row, bf16=bf16), b.at("%to", own, bf16=bf16)
        with b.loop(0, span.whole) as block:
            at = b.int_op("mul", block, layout.lanes)
            b.store(b.load(source, at, bf16=bf16), target, at, bf16=bf16)
        if span.whole < span.blocks:
            at = str(span.whole * layout.lanes)
            value = b.load(source, at, span.tail, bf16=bf16)
            b.store(value, target, at, span.tail, bf16=bf16)
    b.end()
    module.add(b)


def _copy_name(layout: Layout, buffer: Buffer) -> str:
    kind = "_external" * buffer.external + "_bf16" * buffer.bf16
    return f"copy{layout.span(buffer.size).width}{kind}"


def _emit_run(module: Module, layout: Layout, phases: Sequence[_Phase]) -> None:
    b, program = Builder(layout.scalar, layout.lanes), layout.program
    arguments = ["ptr %table", "i64 %first", "i64 %last", "i64 %begin", "i64 %end"]
    b.begin("run", arguments, exported=True)
    # memory for the sums of the largest phase
    size = max([phase.sums_size for phase in phases], default=0) + layout.lanes
    sums = b.set(f"alloca {layout.scalar}, i64 {size}, align 64")
    mode = flush_subnormals(b, layout.target)

    def word(slot: int, kind: str) -> Value:
        address = b.set(f"getelementptr inbounds i64, ptr %table, i64 {slot}")
        return b.set(f"load {kind}, ptr {address}, align 8")

    counts, offsets, batch, weights = word(0, "ptr"), word(1, "ptr"), word(2, "i64"), word(3, "ptr")
    order, times = word(4, "ptr"), word(5, "ptr")
    base = {buffer: word(FIRST_BUFFER + k, "ptr") for k, buffer in enumerate(program.buffers)}
    vectors = b.at(weights, layout.weights_size)
    shifts = sorted({p.shift for phase in phases for p in phase.places if p.shift})

    with b.loop("%begin", "%end") as turn:
        k = turn
        if program.direction == -1:
            back = b.int_op("sub", "%end", turn)
            k = b.int_op("add", b.int_op("sub", back, 1), "%begin")
        running = b.load_int(counts, k)
        beyond = b.int_compare("slt", "%last", running)
        high = b.choose(beyond, "i64", "%last", running)
        neighbour = {shift: b.int_op("add", k, shift) for shift in (-1, 1)}

        def edge(shift: int) -> Value:
            """The first running row without such a neighbouring step."""
            count = b.load_int(counts, neighbour[shift])
            below = b.int_compare("slt", count, high)
            count = b.choose(below, "i64", count, high)
            above = b.int_compare("sgt", count, "%first")
            return b.choose(above, "i64", count, "%first")

        edges = [edge(shift) for shift in shifts]
        if len(edges) == 2:
            ordered = b.int_compare("slt", *edges)
            edges = [
                b.choose(ordered, "i64", *edges),
                b.choose(ordered, "i64", edges[1], edges[0]),
            ]
        bounds = ["%first", *edges, high]

        def pointer(place: Place, row: Value) -> Value:
            at = _row(b, layout, place.buffer, base, place.shift, row, k, offsets, times, batch)
            if place.buffer.segments:
                offset = place.segment * layout.padded(place.buffer)
                at = b.at(at, offset, bf16=place.buffer.bf16)
            if place.first is None:
                return at
            has = b.int_compare("sgt", b.load_int(counts, neighbour[place.shift]), row)
            start = base[place.first]
            if not place.first.external:
                before = b.int_op("mul", row, layout.stride(place.first))
                start = b.at(start, before, bf16=place.first.bf16)
            return b.choose(has, "ptr", at, start)

        for phase in phases:
            for low, up in itertools.pairwise(bounds):
                rows = b.int_op("sub", up, low)
                some, none = b.fresh_label("some"), b.fresh_label("none")
                b.branch(b.int_compare("sgt", rows, 0), some, none)
                b.label(some)
                pointers = [f"ptr {pointer(place, low)}" for place in phase.places]
                b.call_function(
                    phase.name,
                    [
                        f"i64 {rows}",
                        f"ptr {weights}",
                        f"ptr {vectors}",
                        f"ptr {sums}",
                        f"ptr {b.at_word(order, low)}",
                        *pointers,
                    ],
                )
                b.emit(f"br label %{none}")
                b.label(none)
        if program.lasts:
            start = edge(program.direction)
            rows = b.int_op("sub", high, start)
            some, none = b.fresh_label("some"), b.fresh_label("none")
            b.branch(b.int_compare("sgt", rows, 0), some, none)
            b.label(some)
            for place, last in program.lasts:
                pieces = [b.at_word(order, start), pointer(place, start), base[last]]
                b.call_function(
                    _copy_name(layout, place.buffer),
                    [f"i64 {rows}", *[f"ptr {piece}" for piece in pieces]],
                )
            b.emit(f"br label %{none}")
            b.label(none)
    restore_mode(b, layout.target, mode)
    b.end()
    module.add(b)


def _emit_step(module: Module, layout: Layout) -> None:
    """``step`` has one argument: passing another costs more than a small layer's products."""
    b = Builder(layout.scalar, layout.lanes)
    b.begin("step", ["ptr %table"], exported=True)
    batch = b.load_int("%table", 2)
    b.call_function("run", ["ptr %table", "i64 0", f"i64 {batch}", "i64 0", "i64 1"])
    b.end()
    module.add(b)


def _row(
    b: Builder, layout: Layout, buffer: Buffer, base: dict[Buffer, Value], shift: int, row: Value,
    k: Value, offsets: Value, times: Value, batch: Value,
) -> Value:  # fmt: skip
    """The address of a sequence's row at the step plus ``shift``.

    For an external buffer, the address of the caller's first sequence; ``order`` is added later.
    """
    step = b.int_op("add", k, shift) if shift else k
    if buffer.external:
        if buffer.rows == "batch":
            return base[buffer]
        first = b.load_int(times, step)
        offset = b.int_op("mul", first, layout.stride(buffer))
        return b.at(base[buffer], offset, bf16=buffer.bf16)
    if buffer.rows == "step":
        row = b.int_op("add", b.load_int(offsets, step), row)
    elif buffer.rows == "pair":
        turn = b.int_op("mul", b.int_op("and", step, 1), batch)
        row = b.int_op("add", turn, row)
    offset = b.int_op("mul", row, layout.stride(buffer))
    return b.at(base[buffer], offset, bf16=buffer.bf16)
