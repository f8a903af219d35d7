"""Pack weights from torch's layout into that of the products (``layout.py``).

``pack(table, k, k + 1, partitions, 0)`` packs partition ``k`` of ``partitions`` equal ones, for
one thread.  The table holds the address of the packed weights, then the cell's parameters in the
cell's order.  The matrices of a ``bf16`` program are bfloat16.
"""

from __future__ import annotations

from elman.backends.native.llvm.ir import Builder, Module, Value
from elman.backends.native.llvm.layout import Group, Layout, Segment
from elman.backends.native.phases import Term
from elman.graph.cell import Parameter


def emit_pack(module: Module, layout: Layout, parameters: tuple[Parameter, ...]) -> None:
    """Add the function ``pack``."""
    _Pack(module, layout, parameters).emit()


class _Pack:
    def __init__(self, module: Module, layout: Layout, parameters: tuple[Parameter, ...]) -> None:
        self.module, self.layout = module, layout
        self.columns = {(p.family, p.gate): layout.sizes.width(p.columns) for p in parameters}
        self.slots = {(p.family, p.gate): 1 + k for k, p in enumerate(parameters)}
        self.made: set[str] = set()

    def emit(self) -> None:
        layout, b = self.layout, Builder(self.layout.scalar, self.layout.lanes)
        arguments = ["ptr %table", "i64 %partition", "i64 %a", "i64 %partitions", "i64 %b"]
        b.begin("pack", arguments, exported=True)
        self.pointers = {
            key: b.set(f"load ptr, ptr {self._slot(b, slot)}, align 8")
            for key, slot in self.slots.items()
        }
        out = b.set(f"load ptr, ptr {self._slot(b, 0)}, align 8")
        mine, others = b.fresh_label("last"), b.fresh_label("others")
        spans = [layout.span(phase.size) for phase in layout.program.phases]
        shares = {
            span: b.partition("%partition", "%partitions", span.whole)
            for span in dict.fromkeys(spans)
        }
        for span, groups in zip(spans, layout.groups, strict=True):
            for group in groups:
                with b.loop(*shares[span]) as block:
                    self._block(b, out, group, block, layout.lanes)
        # the first partition also packs partial blocks and vectors
        b.branch(b.int_compare("eq", "%partition", 0), mine, others)
        b.label(mine)
        for span, groups in zip(spans, layout.groups, strict=True):
            for group in groups if span.whole < span.blocks else ():
                self._block(b, out, group, span.whole, span.tail)
        for node, offset in layout.vectors.items():
            at, source = b.at(out, layout.weights_size + offset), self.pointers[node.attribute[:2]]
            span = layout.span(node.size)
            with b.loop(0, span.whole) as block:
                position = b.int_op("mul", block, layout.lanes)
                b.store(b.load(source, position), at, position)
            if span.whole < span.blocks:
                position = str(span.whole * layout.lanes)
                b.store(b.load(source, position, span.tail), at, position)
        b.emit(f"br label %{others}")
        b.label(others)
        b.end()
        self.module.add(b)

    def _slot(self, b: Builder, slot: int) -> Value:
        return b.set(f"getelementptr inbounds i64, ptr %table, i64 {slot}")

    def _block(self, b: Builder, out: Value, group: Group, block: Value | int, active: int) -> None:
        lanes = self.layout.lanes
        base = b.at(b.at(out, group.offset), b.int_op("mul", block, group.block))
        unit = b.int_op("mul", block, lanes)
        for a, total in enumerate(group.accumulators):
            value = b.constant(0.0)
            if total.start is not None and total.start.operation == "vector":
                value = b.load(self.pointers[total.start.attribute[:2]], unit, active)
            b.store(value, b.at(base, a * lanes))
        offset = group.count * lanes
        for segment in group.segments:
            for position, (_, term) in enumerate(segment.fed):
                to = b.at(base, offset + position * lanes)
                self._weights(b, segment, term, to, len(segment.fed) * lanes, unit, active)
            offset += segment.steps * len(segment.fed) * lanes

    def _weights(
        self, b: Builder, segment: Segment, term: Term, to: Value, each: int, unit: Value,
        active: int,
    ) -> None:  # fmt: skip
        key = term.matrix.attribute[:2]
        across, first = self.columns[key], self.layout.columns(term.block).start
        bf16 = segment.bf16
        source = b.at(self.pointers[key], first, bf16=bf16)
        if term.transposed:
            name = f"copy_{segment.size}_{active}"
            source = b.at(source, unit, bf16=bf16)
            emit = self._emit_copy_of_pairs if bf16 else self._emit_copy
        else:
            name = f"transpose_{segment.size}_{active}"
            source = b.at(source, b.int_op("mul", unit, across), bf16=bf16)
            emit = self._emit_transpose
        if name not in self.made:
            self.made.add(name)
            emit(name, segment.size, active)
        b.call_function(name, [f"ptr {source}", f"i64 {across}", f"ptr {to}", f"i64 {each}"])

    def _emit_copy(self, name: str, size: int, active: int) -> None:
        """Copy rows of the matrix."""
        b = Builder(self.layout.scalar, self.layout.lanes)
        b.begin(name, ["ptr %from", "i64 %across", "ptr %to", "i64 %each"])
        with b.loop(0, size) as k:
            vector = b.load("%from", b.int_op("mul", k, "%across"), active)
            b.store(vector, "%to", b.int_op("mul", k, "%each"))
        b.end()
        self.module.add(b)

    def _emit_copy_of_pairs(self, name: str, size: int, active: int) -> None:
        """Interleave two rows of the matrix at a time."""
        b = Builder(self.layout.scalar, self.layout.lanes)
        b.begin(name, ["ptr %from", "i64 %across", "ptr %to", "i64 %each"])

        def row(k: Value | int) -> Value:
            offset = b.int_op("mul", k, "%across")
            return b.load_bf16(b.at("%from", offset, bf16=True), active)

        with b.loop(0, size // 2) as pair:
            k = b.int_op("mul", pair, 2)
            vector = b.pairs(row(k), row(b.int_op("add", k, 1)))
            b.store(vector, "%to", b.int_op("mul", pair, "%each"))
        if size % 2:
            vector = b.pairs(row(size - 1), "zeroinitializer")
            b.store(vector, "%to", b.int_op("mul", size // 2, "%each"))
        b.end()
        self.module.add(b)

    def _emit_transpose(self, name: str, size: int, active: int) -> None:
        """Transpose square blocks of the matrix in registers; a pair is one element."""
        lanes, bf16 = self.layout.lanes, self.layout.program.bf16
        b = Builder(self.layout.scalar, lanes)
        b.begin(name, ["ptr %from", "i64 %across", "ptr %to", "i64 %each"])
        if bf16:
            b.alignment = 2  # pairs may start at any element

        def start(row: int) -> Value:
            return b.at("%from", b.int_op("mul", row, "%across"), bf16=bf16)

        def square(first: Value | int, columns: int) -> None:
            rows = [
                b.load(start(row), first, columns) if row < active else b.constant(0.0)
                for row in range(lanes)
            ]
            for k, column in enumerate(b.transposed(rows)[:columns]):
                at = b.int_op("add", first, k)
                b.store(column, "%to", b.int_op("mul", at, "%each"))

        whole = size // 2 if bf16 else size
        with b.loop(0, whole // lanes * lanes, lanes) as k:
            square(k, lanes)
        if whole % lanes:
            square(str(whole // lanes * lanes), whole % lanes)
        if bf16 and size % 2:
            vector = b.constant(0.0)
            for row in range(active):
                single = b.single(start(row), whole)
                vector = b.set(f"insertelement {b.vector} {vector}, {b.scalar} {single}, i64 {row}")
            b.store(vector, "%to", b.int_op("mul", whole, "%each"))
        b.end()
        self.module.add(b)
