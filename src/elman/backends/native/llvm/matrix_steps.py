"""Kernels for the steps of a matrix state: one head of one row after another.

A head's state S has a row of units for each key, so that a vector of the processor holds units.
Values per unit and per key lie in short buffers; those per head in registers.  The values of a
step are computed in levels: a sum over keys or units needs the whole loop before.  In each level
there is one loop over keys, one over units, and one over both, in which everything of that size is
computed where it is needed, from memory or again, so that S is read once for each level and
written once.

``forward`` runs the steps in place, and can save the states of each ``CHUNK``-th step; ``backward``
computes the steps of a chunk again from there, keeps their states, and runs the adjoint step over
them from the last to the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from elman.backends.native.llvm.denormals import flush_subnormals, restore_mode
from elman.backends.native.llvm.ir import Builder, Module, Value
from elman.backends.native.llvm.math import VectorMathematics
from elman.backends.native.llvm.target import Target
from elman.graph import read_cell
from elman.graph.node import OPERATIONS, Node, ancestors, intern, sum_of
from elman.graph.ops import CONDITIONS
from elman.graph.rewrite import moved, rewrite
from elman.passes.memory import memory_gradient

#: a vector of a value in a loop, if it is in memory
Load = Callable[[Node], Value | None]
#: steps whose states ``backward`` keeps: those of one head are to fit into the level-2 cache
CHUNK = 16
#: vectors of units whose sums over keys are in registers at once
GROUP = 4
#: sums over keys or units: their results are there after the loop
SUMS = frozenset({"read", "key_sum", "unit_sum", "head_sum"})
#: dL/dy of a step
OUTER = intern("adjoint", (), (None, "hidden"))


@dataclass(frozen=True)
class Shape:
    """The numbers of a kernel: units and keys of a head, and the lanes of a vector."""

    scalar: str
    lanes: int
    units: int
    keys: int

    @property
    def padded_units(self) -> int:
        """The units in whole vectors."""
        return -(-self.units // self.lanes) * self.lanes

    @property
    def padded_keys(self) -> int:
        """The keys in whole vectors."""
        return -(-self.keys // self.lanes) * self.lanes

    def padded(self, size: str) -> int:
        """The numbers of one head's value in the kernel's own memory."""
        widths = {
            "hidden": self.padded_units,
            "key": self.padded_keys,
            "memory": self.keys * self.padded_units,
        }
        return widths.get(size, self.lanes)

    def width(self, size: str) -> int:
        """The numbers of one head's value in the caller's memory."""
        return {"hidden": self.units, "key": self.keys}.get(size, 1)


@dataclass(frozen=True)
class Place:
    """Where one head's value lies; ``padded`` memory can be read and written in whole vectors."""

    pointer: Value
    padded: bool


class Step:
    """The loops of one step, which compute ``roots`` from ``leaves``."""

    def __init__(
        self, b: Builder, shape: Shape, leaves: Container[Node], roots: Sequence[Node]
    ) -> None:
        self.b, self.shape, self.roots = b, shape, tuple(roots)
        self.mathematics = VectorMathematics(b)
        inside = [n for n in ancestors(roots, stop=leaves) if n.operation != "constant"]
        self.nodes = [node for node in inside if node not in leaves]
        self.leaves = [node for node in inside if node in leaves]
        self.level: dict[Node, int] = {}
        for node in self.nodes:
            deepest = max([self.level.get(operand, 0) for operand in node.operands], default=0)
            self.level[node] = deepest + (node.operation in SUMS)
        self.uses = Counter([operand for node in self.nodes for operand in node.operands])
        users: dict[Node, list[Node]] = {}
        for node in self.nodes:
            for operand in _without_conditions(node):
                users.setdefault(operand, []).append(node)
        sized = [node for node in self.nodes if node.size in ("hidden", "key")]
        #: where values per unit and key are kept that another loop reads
        self.buffers: dict[Node, Value] = {
            node: b.set(f"alloca [{shape.padded(node.size)} x {b.scalar}], align 64")
            for node in sized
            if node.operation in SUMS
            or any([self._is_other_loop(node, user) for user in users.get(node, ())])
        }
        matrices = [n for n in self.nodes if n.operation in SUMS and n.operands[0].size == "memory"]
        #: the last loop over a matrix, in which all results that are matrices are stored
        self.last = max([self._loop_of(node) for node in matrices], default=0)
        self.last = max([self.last, *[self.level.get(n, 0) for n in roots if n.size == "memory"]])

    def _loop_of(self, node: Node) -> int:
        """The level in whose loop a value is computed."""
        return self.level[node] - (node.operation in SUMS)

    def _is_other_loop(self, node: Node, user: Node) -> bool:
        size = user.operands[0].size if user.operation in SUMS else user.size
        return (size, self._loop_of(user)) != (node.size, self.level[node])

    def emit(
        self,
        loads: Mapping[Node, Place],
        stores: Sequence[tuple[Node, Place]],
        added: Sequence[tuple[Node, Place]],
    ) -> None:
        """The loops of all levels; results go to ``stores``, or are added in ``added``."""
        self.loads, self.stores, self.added = loads, stores, added
        #: values per head, in every lane
        self.heads: dict[Node, Value] = {}
        #: the values whose buffers are filled
        self.filled: set[Node] = set()
        for node in self.leaves:
            if node.size == "head":
                self.heads[node] = self.b.broadcast(loads[node].pointer, 0)
        for level in range(max([0, self.last, *self.level.values()]) + 1):
            self._heads_of(level)
            for size in ("key", "hidden"):
                self._vector_loop(size, level)
            self._matrix_loop(level)
        self._store_vectors()

    # values

    def _heads_of(self, level: int) -> None:
        for node in self.nodes:
            plain = node.operation not in SUMS
            if node.size in ("head", "one") and plain and self.level[node] == level:
                self.heads[node] = self._apply(node, [self._head(o) for o in node.operands])

    def _head(self, node: Node) -> Value:
        """A value per head, in every lane."""
        return self.b.constant(node.attribute) if node.operation == "constant" else self.heads[node]

    def _apply(self, node: Node, operands: Sequence[Value]) -> Value:
        rule = OPERATIONS[node.operation].evaluate
        assert rule is not None, f"{node.operation} has no definition"
        value: Value = rule(self.mathematics, *operands)
        return value

    def _value(self, node: Node, known: dict[Node, Value], load: Load) -> Value:
        """A vector of a value in a loop, computed from what ``known`` and ``load`` give."""
        if node.size in ("head", "one"):
            return self._head(node)
        if node not in known:
            given = load(node)
            known[node] = self._computed(node, known, load) if given is None else given
        return known[node]

    def _computed(self, node: Node, known: dict[Node, Value], load: Load) -> Value:
        assert node.operation not in SUMS, "a sum is read before its loop has ended"
        if node.operation == "add":
            for factors, other in (node.operands, node.operands[::-1]):
                alone = self.uses[factors] == 1 and factors not in known
                if factors.operation in ("multiply", "outer") and alone and factors in self.level:
                    a, c = [self._value(o, known, load) for o in factors.operands]
                    return self.b.fma(a, c, self._value(other, known, load))
        return self._apply(node, [self._value(o, known, load) for o in node.operands])

    def _in_row(self, node: Node, offset: Value | int, active: int) -> Value | None:
        """A vector of a value per unit or key, if it is in memory."""
        if node in self.filled:
            return self.b.load(self.buffers[node], offset)
        if node in self.loads:
            place = self.loads[node]
            return self.b.load(place.pointer, offset, None if place.padded else active)
        return None

    # loops over units or keys

    def _vector_loop(self, size: str, level: int) -> None:
        """The values of a size and level that leave the loop, and the sums over them."""
        wanted = [
            n
            for n in self.buffers
            if n.size == size and n.operation not in SUMS and self.level[n] == level
        ]
        sums = [
            n
            for n in self.nodes
            if n.operation == "head_sum"
            and n.operands[0].size == size
            and self._loop_of(n) == level
        ]
        if not wanted and not sums:
            return
        b, lanes = self.b, self.shape.lanes

        def body(offset: Value | int, active: int, totals: dict[Node, Value]) -> None:
            known: dict[Node, Value] = {}
            load = partial(self._in_row, offset=offset, active=active)
            for node in wanted:
                b.store(self._value(node, known, load), self.buffers[node], offset)
            for node in sums:
                term = self._value(node.operands[0], known, load)
                if active < lanes:
                    term = b.keep_first(term, active)
                totals[node] = b.binary("fadd", totals[node], term)

        totals = self._over(size, {node: b.constant(0.0) for node in sums}, body)
        self.filled.update(wanted)
        for node, total in totals.items():
            self.heads[node] = b.spread_sum(total, 1.0)

    def _sums(self, size: str, level: int) -> list[Node]:
        """The sums over values of a size that are computed in a level's loop."""
        found = [node for node in self.nodes if node.operation in SUMS]
        return [n for n in found if n.operands[0].size == size and self._loop_of(n) == level]

    def _over(
        self,
        size: str,
        totals: dict[Node, Value],
        body: Callable[[Value | int, int, dict[Node, Value]], None],
    ) -> dict[Node, Value]:
        """Run ``body(offset, active, totals)`` over the vectors of a size; returns the totals."""
        lanes = self.shape.lanes
        whole, tail = divmod(self.shape.width(size), lanes)
        if whole:
            for offset, carried in self.b.repeat(whole * lanes, lanes, totals):
                body(offset, lanes, carried)
            totals = carried
        if tail:
            body(whole * lanes, tail, totals)
        return totals

    def _store_vectors(self) -> None:
        """The results per head, key and unit."""
        b = self.b
        for node, place, add in self._results("head"):
            value = self._head(node)
            if add:
                value = b.binary("fadd", b.broadcast(place.pointer, 0), value)
            b.store_first(value, place.pointer)
        for size in ("key", "hidden"):
            results = self._results(size)

            def body(
                offset: Value | int,
                active: int,
                totals: dict[Node, Value],
                results: Sequence[tuple[Node, Place, bool]] = results,
            ) -> None:
                known: dict[Node, Value] = {}
                load = partial(self._in_row, offset=offset, active=active)
                values = [self._value(result[0], known, load) for result in results]
                for value, (_, place, add) in zip(values, results, strict=True):
                    part = None if place.padded else active
                    if add:
                        value = b.binary("fadd", b.load(place.pointer, offset, part), value)
                    b.store(value, place.pointer, offset, part)

            if results:
                self._over(size, {}, body)

    def _results(self, size: str) -> list[tuple[Node, Place, bool]]:
        """The results of a size, their places, and whether they are added there."""
        found = [(n, p, False) for n, p in self.stores if n.size == size]
        return found + [(n, p, True) for n, p in self.added if n.size == size]

    # loops over keys and units

    def _matrix_loop(self, level: int) -> None:
        """The sums over a level's matrices, and in the last one the results that are matrices."""
        sums = self._sums("memory", level)
        results = self._results("memory") if level == self.last else []
        if not sums and not results:
            return
        b, lanes, shape = self.b, self.shape.lanes, self.shape
        over_units = [n for n in sums if n.operation == "unit_sum"]
        over_keys = [n for n in sums if n.operation != "unit_sum"]
        whole_blocks, tail = divmod(shape.units, lanes)
        groups, rest = divmod(whole_blocks, GROUP)
        several = shape.padded_units > GROUP * lanes
        sized = self._read_by([*sums, *[node for node, _, _ in results]])
        zero = b.constant(0.0)
        if over_units and several:
            for offset, _ in b.repeat(shape.padded_keys, lanes, {}):
                for node in over_units:
                    b.store(zero, self.buffers[node], offset)

        def group(start: Value | int, active: Sequence[int]) -> None:
            """Some vectors of units, over all keys."""
            offsets = [b.int_op("add", start, k * lanes) for k in range(len(active))]
            units: list[dict[Node, Value]] = []
            for offset, part in zip(offsets, active, strict=True):
                own = {n: self._in_row(n, offset, part) for n in sized if n.size == "hidden"}
                units.append({n: value for n, value in own.items() if value is not None})
            totals = {(n, k): zero for n in over_keys for k in range(len(active))}
            for key, carried in b.repeat(shape.keys, 1, totals):
                row = b.int_op("mul", key, shape.padded_units)
                shared = {n: self._at_key(n, key) for n in sized if n.size == "key"}
                across: dict[Node, Value] = {}
                for k, part in enumerate(active):
                    known = {**units[k], **shared}
                    place = b.int_op("add", row, offsets[k])
                    load = partial(self._in_matrix, place=place)
                    for node in over_keys:
                        value = self._value(node.operands[0], known, load)
                        total = carried[node, k]
                        carried[node, k] = (
                            b.binary("fadd", total, value)
                            if len(node.operands) == 1
                            else b.fma(value, known[node.operands[1]], total)
                        )
                    for node in over_units:
                        value = self._value(node.operands[0], known, load)
                        value = b.keep_first(value, part) if part < lanes else value
                        across[node] = b.binary("fadd", across.get(node, zero), value)
                    values = [self._value(node, known, load) for node, _, _ in results]
                    for value, (_, at, add) in zip(values, results, strict=True):
                        if add:
                            value = b.binary("fadd", b.load(at.pointer, place), value)
                        b.store(value, at.pointer, place)
                for node, value in across.items():
                    total = b.spread_sum(value, 1.0)
                    if several:
                        total = b.binary("fadd", total, b.broadcast(self.buffers[node], key))
                    b.store_first(total, self.buffers[node], key)
            for (node, k), total in carried.items():
                b.store(total, self.buffers[node], offsets[k])

        if groups > 1:
            for start, _ in b.repeat(groups * GROUP * lanes, GROUP * lanes, {}):
                group(start, [lanes] * GROUP)
        elif groups:
            group(0, [lanes] * GROUP)
        last = [lanes] * rest + ([tail] if tail else [])
        if last:
            group(groups * GROUP * lanes, last)
        self.filled.update(sums)

    def _read_by(self, roots: Sequence[Node]) -> list[Node]:
        """The values per unit and key that the matrices of a loop are computed from."""
        found: dict[Node, None] = {}
        waiting = [o for n in roots for o in (n.operands if n.operation in SUMS else (n,))]
        seen: set[Node] = set()
        while waiting:
            node = waiting.pop()
            if node in seen or node.size in ("head", "one"):  # those are in registers
                continue
            seen.add(node)
            if node.size in ("hidden", "key") and node.operation not in CONDITIONS:
                found[node] = None
            elif node not in self.loads:
                waiting += node.operands
        return list(found)

    def _at_key(self, node: Node, key: Value) -> Value:
        """A value per key, at one key, in every lane."""
        pointer = self.buffers[node] if node in self.filled else self.loads[node].pointer
        return self.b.broadcast(pointer, key)

    def _in_matrix(self, node: Node, place: Value) -> Value | None:
        """A vector of units of a matrix, at one key, if it is in memory."""
        if node.size != "memory" or node not in self.loads:
            return None
        return self.b.load(self.loads[node].pointer, place)


def _without_conditions(node: Node) -> list[Node]:
    """The operands of a value, and of its conditions, which no memory holds."""
    found: list[Node] = []
    for operand in node.operands:
        found += _without_conditions(operand) if operand.operation in CONDITIONS else [operand]
    return found


class Kernels:
    """Writes the functions of a core for heads of one shape.

    ``forward`` and ``forward_saving`` take the table of ``FORWARD``, ``backward`` that of
    ``BACKWARD``, followed by the addresses of the side inputs and, for ``backward``, of their
    gradients.  ``low`` and ``high`` are the first head and the one after the last, counted over all
    rows.  ``step`` takes the table of ``forward`` alone.
    """

    def __init__(self, core: str, shape: Shape, target: Target) -> None:
        self.cell, self.shape, self.target = read_cell(core), shape, target
        self.sides = [intern("side", (), side) for side in self.cell.inputs]
        self.sizes = [self.cell.state_size(name) for name in self.cell.states]
        #: where each state begins in the record of a head
        self.begins = [0]
        for size in self.sizes:
            self.begins.append(self.begins[-1] + shape.padded(size))

    @property
    def record(self) -> int:
        """The numbers of all states of one head."""
        return self.begins[-1]

    def text(self, fixed: Sequence[bool]) -> str:
        """The module; ``fixed`` says which side inputs never vary."""
        module = Module()
        for name in ("forward", "forward_saving"):
            module.add(self._forward(name, fixed, save=name != "forward"))
        module.add(self._step())
        module.add(self._backward(fixed))
        return module.text

    # parts of the functions

    def _begin(self, name: str) -> Builder:
        b = Builder(self.shape.scalar, self.shape.lanes)
        integers = [f"i64 %{each}" for each in ("low", "high", "begin", "end")]
        b.begin(name, ["ptr %table", *integers], exported=True)
        return b

    def _address(self, b: Builder, position: int) -> Value:
        return b.set(f"load ptr, ptr {b.at_word('%table', position)}, align 8")

    def _at_step(
        self, b: Builder, pointers: Sequence[Value], fixed: Sequence[bool], where: Where
    ) -> dict[Node, Place]:
        """The side inputs, or their gradients, of one head and step."""
        found = {}
        for node, pointer, stays in zip(self.sides, pointers, fixed, strict=True):
            width = self.shape.width(node.size)
            if node.size == "memory":
                offset = b.int_op("mul", where.head, self.shape.padded("memory"))
            else:
                offset = b.int_op("mul", where.head if stays else where.all, width)
            found[node] = Place(b.at(pointer, offset), node.size == "memory")
        return found

    def _states(self, b: Builder, record: Value) -> list[Place]:
        return [Place(b.at(record, start), True) for start in self.begins[:-1]]

    def _copy(self, b: Builder, source: Value, target: Value) -> None:
        for offset, _ in b.repeat(self.record, self.shape.lanes, {}):
            b.store(b.load(source, offset), target, offset)

    def _where(self, b: Builder, head: Value, index: Value, length: Value, n: Numbers) -> Where:
        """The place in the caller's tensors of a head's step, counted from the first that runs."""
        last = b.int_op("sub", b.int_op("sub", length, index), 1)
        backwards = b.int_compare("ne", n.reverse, 0)
        t = b.choose(backwards, "i64", last, index)
        return Where(
            head=b.int_op("urem", head, n.heads),
            all=b.int_op("add", b.int_op("mul", t, b.int_op("mul", n.batch, n.heads)), head),
        )

    def _numbers(self, b: Builder) -> Numbers:
        return Numbers(*[b.load_int("%table", k) for k in range(3)])

    def _forward(self, name: str, fixed: Sequence[bool], *, save: bool) -> Builder:
        b = self._begin(name)
        mode = flush_subnormals(b, self.target)
        n = self._numbers(b)
        lengths, y, states, saved = [self._address(b, k) for k in range(3, 7)]
        pointers = [self._address(b, 7 + k) for k in range(len(self.sides))]
        leaves = self.cell.state_leaves
        following = self.cell.next_states
        step = Step(b, self.shape, {*leaves, *self.sides}, following)
        with b.loop("%low", "%high") as head:
            length = b.load_int(lengths, b.int_op("udiv", head, n.heads))
            record = b.at(states, b.int_op("mul", head, self.record))
            with b.loop(0, length) as index:
                if save:
                    self._save(b, record, saved, head, index)
                where = self._where(b, head, index, length, n)
                own = self._states(b, record)
                loads = self._at_step(b, pointers, fixed, where)
                loads |= dict(zip(leaves, own, strict=True))
                at = b.at(y, b.int_op("mul", where.all, self.shape.units))
                step.emit(
                    loads, [*zip(following, own, strict=True), (following[0], Place(at, False))], []
                )
        restore_mode(b, self.target, mode)
        b.end()
        return b

    def _step(self) -> Builder:
        """``step(table)``: ``forward`` for all heads of all rows and one step."""
        b = Builder(self.shape.scalar, self.shape.lanes)
        b.begin("step", ["ptr %table"], exported=True)
        heads = b.int_op("mul", b.load_int("%table", 0), b.load_int("%table", 1))
        b.call_function("forward", ["ptr %table", "i64 0", f"i64 {heads}", "i64 1", "i64 0"])
        b.end()
        return b

    def _save(self, b: Builder, record: Value, saved: Value, head: Value, index: Value) -> None:
        """Keep the states before the first step of a chunk."""
        save, on = b.fresh_label("save"), b.fresh_label("on")
        is_first = b.int_compare("eq", b.int_op("urem", index, CHUNK), 0)
        b.branch(is_first, save, on)
        b.label(save)
        chunk = b.int_op("add", b.int_op("mul", head, "%begin"), b.int_op("udiv", index, CHUNK))
        self._copy(b, record, b.at(saved, b.int_op("mul", chunk, self.record)))
        b.emit(f"br label %{on}")
        b.label(on)

    def _backward(self, fixed: Sequence[bool]) -> Builder:
        b = self._begin("backward")
        mode = flush_subnormals(b, self.target)
        n = self._numbers(b)
        lengths, dy, dstates, saved, kept = [self._address(b, k) for k in range(3, 8)]
        count = len(self.sides)
        pointers = [self._address(b, 8 + k) for k in range(count)]
        gradients = [self._address(b, 8 + count + k) for k in range(count)]
        leaves, following = self.cell.state_leaves, self.cell.next_states
        again = Step(b, self.shape, {*leaves, *self.sides}, following)
        gradient = memory_gradient(self.cell.text)
        seeds = gradient.seeds
        # dL/dy of a step comes from the caller and from later steps
        total = sum_of([seeds[0], OUTER])
        roots = rewrite(
            [node for node in (*gradient.states, *gradient.sides) if node is not None],
            lambda node, new: total if node is seeds[0] else moved(node, new),
        )
        dleaves = [None if node is None else roots[node] for node in gradient.states]
        dsides = [None if node is None else roots[node] for node in gradient.sides]
        wanted = [node for node in (*dleaves, *dsides) if node is not None]
        adjoint = Step(b, self.shape, {*leaves, *self.sides, *seeds, OUTER}, wanted)
        with b.loop("%low", "%high") as head:
            length = b.load_int(lengths, b.int_op("udiv", head, n.heads))
            chunks = b.int_op("udiv", b.int_op("add", length, CHUNK - 1), CHUNK)
            own = self._states(b, b.at(dstates, b.int_op("mul", head, self.record)))
            slots = b.at(kept, b.int_op("mul", head, CHUNK * self.record))
            with b.loop(0, chunks) as passed:
                chunk = b.int_op("sub", b.int_op("sub", chunks, passed), 1)
                first = b.int_op("mul", chunk, CHUNK)
                rest = b.int_op("sub", length, first)
                steps = b.choose(b.int_compare("slt", rest, CHUNK), "i64", rest, CHUNK)
                at = b.int_op("add", b.int_op("mul", head, "%begin"), chunk)
                self._copy(b, b.at(saved, b.int_op("mul", at, self.record)), slots)
                with b.loop(0, b.int_op("sub", steps, 1)) as index:
                    where = self._where(b, head, b.int_op("add", first, index), length, n)
                    before = b.at(slots, b.int_op("mul", index, self.record))
                    loads = self._at_step(b, pointers, fixed, where)
                    loads |= dict(zip(leaves, self._states(b, before), strict=True))
                    after = self._states(b, b.at(before, self.record))
                    again.emit(loads, list(zip(following, after, strict=True)), [])
                with b.loop(0, steps) as back:
                    index = b.int_op("sub", b.int_op("sub", steps, back), 1)
                    where = self._where(b, head, b.int_op("add", first, index), length, n)
                    before = b.at(slots, b.int_op("mul", index, self.record))
                    loads = self._at_step(b, pointers, fixed, where)
                    loads |= dict(zip(leaves, self._states(b, before), strict=True))
                    loads |= dict(zip(seeds, own, strict=True))
                    at = b.at(dy, b.int_op("mul", where.all, self.shape.units))
                    loads[OUTER] = Place(at, False)
                    stores = [(d, p) for d, p in zip(dleaves, own, strict=True) if d is not None]
                    places = self._gradient_places(b, gradients, fixed, where, head)
                    added: list[tuple[Node, Place]] = []
                    for node, place, stays in zip(dsides, places, fixed, strict=True):
                        if node is not None:
                            (added if stays else stores).append((node, place))
                    adjoint.emit(loads, stores, added)
                    for node, place, size in zip(dleaves, own, self.sizes, strict=True):
                        if node is None:  # no earlier step matters
                            self._clear(b, place, size)
        restore_mode(b, self.target, mode)
        b.end()
        return b

    def _gradient_places(
        self,
        b: Builder,
        gradients: Sequence[Value],
        fixed: Sequence[bool],
        where: Where,
        head: Value,
    ) -> list[Place]:
        """Where the gradients of side inputs go: at each step, or, if they never vary, by head."""
        found = []
        for node, pointer, stays in zip(self.sides, gradients, fixed, strict=True):
            if stays:
                offset = b.int_op("mul", head, self.shape.padded(node.size))
            else:
                offset = b.int_op("mul", where.all, self.shape.width(node.size))
            found.append(Place(b.at(pointer, offset), stays))
        return found

    def _clear(self, b: Builder, place: Place, size: str) -> None:
        zero = b.constant(0.0)
        for offset, _ in b.repeat(self.shape.padded(size), self.shape.lanes, {}):
            b.store(zero, place.pointer, offset)


@dataclass(frozen=True)
class Numbers:
    """Registers with the caller's numbers."""

    batch: Value
    heads: Value
    reverse: Value


@dataclass(frozen=True)
class Where:
    """Registers: the head in its row, and counted over all steps and rows."""

    head: Value
    all: Value
