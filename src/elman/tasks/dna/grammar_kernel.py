"""Compiled recursions over the states of an automaton: sums (forward, backward) and the best path.

The automaton is fixed, so its few edges become straight-line code, and the chains of states that
hold a minimum length become short loops.  A step over a thousand states costs about a microsecond
for eight rows; dense matrices of the same automaton cost a thousand times as many products.

``grammar_crf.py`` and ``grammar_path.py`` call this module; the kernels are cached on disk like
those of the recurrent layers.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from elman.backends.native.llvm.jit import Kernel, load
from elman.backends.native.llvm.target import find_target

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: shortest chain of states that is written as a loop
_CHAIN = 6


@dataclass(frozen=True)
class Lattice:
    """The structure of an automaton for kernels.

    States are renumbered so that those of one *kind* (the same class, costs and group) are
    adjacent: ``order`` (state) lists the given states in that order.  ``kinds`` (state) and the
    edges refer to the new numbers; edges are sorted by target, and ``edge_order`` lists the given
    edges in that order.
    """

    order: tuple[int, ...]
    kinds: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]
    edge_order: tuple[int, ...]

    @property
    def num_states(self) -> int:
        """The number of states."""
        return len(self.kinds)

    @property
    def num_kinds(self) -> int:
        """The number of kinds."""
        return self.kinds[-1] + 1

    @cached_property
    def by_source(self) -> tuple[int, ...]:
        """The edges, as sorted here, in the order of their sources."""
        return tuple(sorted(range(len(self.edges)), key=lambda k: self.edges[k]))

    @cached_property
    def predecessors(self) -> tuple[Integers, Integers]:
        """The predecessors of each state in the order of its edges, and how many there are."""
        into: list[list[int]] = [[] for _ in self.kinds]
        for a, b in self.edges:
            into[b].append(a)
        most = max(map(len, into))
        table = np.array([row + [0] * (most - len(row)) for row in into], dtype=np.int64)
        return table, np.array([len(row) for row in into])

    @staticmethod
    def of(kinds: npt.NDArray[np.int64], edges: npt.NDArray[np.int64]) -> Lattice:
        """The lattice of states with these kinds (numbered from 0, without gaps) and edges."""
        order = np.argsort(kinds, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        moved = place[edges]
        edge_order = np.lexsort((np.arange(len(moved)), moved[:, 1]))
        return Lattice(
            tuple(order.tolist()),
            tuple(kinds[order].tolist()),
            tuple([(int(a), int(b)) for a, b in moved[edge_order]]),
            tuple(edge_order.tolist()),
        )


@dataclass(frozen=True)
class Kinds:
    """The lattice of an automaton, and what the states of each kind share."""

    lattice: Lattice
    classes: Integers  # kind
    costs: Floats  # symbol kind
    groups: Integers  # kind

    @staticmethod
    def of(
        classes: Integers, costs: Floats, edges: Integers, groups: Integers | None = None
    ) -> Kinds:
        """Merges states of the same class, costs (symbol, state) and group into kinds."""
        own = np.zeros_like(classes) if groups is None else groups
        rows = np.concatenate([classes[None], own[None], costs])
        _, first, kinds = np.unique(rows, axis=1, return_index=True, return_inverse=True)
        lattice = Lattice.of(kinds.reshape(-1).astype(np.int64), edges)
        return Kinds(lattice, classes[first], costs[:, first], own[first])


def lanes_for(rows: int) -> int:
    """The number of rows that a kernel processes at once, for a batch of this size."""
    return next((n for n in (1, 2, 4) if rows <= n), 8)


class Compiled:
    """The kernels of a lattice for blocks of ``lanes`` rows.

    Arrays are contiguous float64 with the rows of a block in the last axis: ``own`` (time, kind,
    lane), ``alphas`` (time, state, lane), ``scales`` (time, lane).
    """

    def __init__(self, lattice: Lattice, lanes: int) -> None:
        self.lattice, self.lanes = lattice, lanes
        key = f"grammar {lanes} {_FORMAT} {lattice!r}"
        kernel: Kernel = load(key, find_target("host"), lambda: _text(lattice, lanes))
        self._forward = kernel.function("forward")
        self._backward = kernel.function("backward")
        self._best = kernel.function("best")
        self._kernel = kernel  # the functions are valid as long as it lives

    def forward(
        self, own: Floats, weights: Floats, start: Floats, alphas: Floats, scales: Floats
    ) -> None:
        """Fills ``alphas``, each step divided by the sum of the step before, and their sums.

        ``weights`` (edge, sorted by target) and ``start`` (state) are factors, not logarithms.
        """
        _call(self._forward, len(own), own, weights, start, alphas, scales)

    def backward(
        self,
        own: Floats,
        weights: Floats,
        end: Floats,
        alphas: Floats,
        scales: Floats,
        lengths: Integers,
        ended: Floats,
        marginals: Floats,
        counts: Floats,
    ) -> None:
        """Fills ``marginals`` (time, kind, lane) and the expected ``counts`` (edge, lane).

        ``weights`` and ``counts`` are sorted by source; ``ended`` (lane) is the reciprocal of the
        weight of all ends.
        """
        scratch = np.zeros((2, self.lattice.num_states, self.lanes))
        arrays = (own, weights, end, alphas, scales, lengths, ended, marginals, counts, scratch)
        _call(self._backward, len(own), *arrays)

    def best(
        self, own: Floats, weights: Floats, scores: Floats, choices: npt.NDArray[np.uint8]
    ) -> None:
        """Advances the best ``scores`` (2, state, lane) over all steps.

        The scores of the step before are first in ``scores[0]``, and at the end in ``scores[n %
        2]`` for n steps.  ``choices`` (time, state, lane) receives the number of the best edge
        into each state.  All values are logarithms.
        """
        _call(self._best, len(own), own, weights, scores, choices)


def _call(function: object, steps: int, *arrays: npt.NDArray[np.generic]) -> None:
    for array in arrays:
        assert array.flags.c_contiguous
    table = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
    function(ctypes.addressof(table), steps, 0, 0, 0)  # type: ignore[operator]


@lru_cache(maxsize=16)
def compiled(lattice: Lattice, lanes: int) -> Compiled:
    """The kernels of a lattice, compiled once."""
    return Compiled(lattice, lanes)


#: changes with the code below, so that kernels of another version are not used
_FORMAT = 3


class _Writer:
    """Lines of one function; values are vectors of doubles with one lane per row."""

    def __init__(self, name: str, pointers: Sequence[str], lanes: int) -> None:
        self.lanes, self.vector = lanes, f"<{lanes} x double>"
        self.lines = [
            f"define void @{name}(ptr %table, i64 %steps, i64 %a, i64 %b, i64 %c) nounwind {{",
            "entry:",
        ]
        self._count = 0
        self.block = "entry"
        self.carried = ""
        for k, each in enumerate(pointers):
            slot = self.set(f"getelementptr ptr, ptr %table, i64 {k}")
            self.lines.append(f"  %{each} = load ptr, ptr {slot}")

    def emit(self, line: str) -> None:
        self.lines.append(f"  {line}")

    def set(self, expression: str) -> str:
        self._count += 1
        self.lines.append(f"  %v{self._count} = {expression}")
        return f"%v{self._count}"

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")
        self.block = name

    def fresh(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"

    def at(self, pointer: str, row: str | int, type_: str = "") -> str:
        """The address of a vector (or ``type_``) at an index."""
        return self.set(f"getelementptr {type_ or self.vector}, ptr {pointer}, i64 {row}")

    def load(self, pointer: str, row: str | int) -> str:
        return self.set(f"load {self.vector}, ptr {self.at(pointer, row)}, align 8")

    def store(self, value: str, pointer: str, row: str | int) -> None:
        self.emit(f"store {self.vector} {value}, ptr {self.at(pointer, row)}, align 8")

    def spread(self, pointer: str, row: str | int) -> str:
        """A scalar in all lanes."""
        one = self.set(f"load double, ptr {self.at(pointer, row, 'double')}, align 8")
        first = self.set(f"insertelement {self.vector} poison, double {one}, i64 0")
        return self.set(
            f"shufflevector {self.vector} {first}, {self.vector} poison, "
            f"<{self.lanes} x i32> zeroinitializer"
        )

    def op(self, name: str, a: str, b: str) -> str:
        return self.set(f"{name} {self.vector} {a}, {b}")

    def repeat(self, count: int, carried: str = "") -> Iterator[str]:
        """A loop; yields its counter once, while its body is written.

        ``carried`` is the first value of ``self.carried``, a vector that the body replaces.
        """
        begin, body, end = self.fresh("loop"), self.fresh("body"), self.fresh("done")
        before = self.block
        self.emit(f"br label %{begin}")
        self.label(begin)
        head = len(self.lines)
        k, kept = self.fresh("%k"), self.fresh("%kept")
        more = self.set(f"icmp slt i64 {k}, {count}")
        self.emit(f"br i1 {more}, label %{body}, label %{end}")
        self.label(body)
        self.carried = kept
        yield k
        following = self.set(f"add i64 {k}, 1")
        heads = [f"  {k} = phi i64 [ 0, %{before} ], [ {following}, %{self.block} ]"]
        if carried:
            heads.append(
                f"  {kept} = phi {self.vector} [ {carried}, %{before} ], "
                f"[ {self.carried}, %{self.block} ]"
            )
        self.lines[head:head] = heads
        self.emit(f"br label %{begin}")
        self.label(end)
        self.carried = kept

    @property
    def text(self) -> str:
        return "\n".join([*_allocas_first(self.lines), "  ret void", "}"])


def _allocas_first(lines: Sequence[str]) -> list[str]:
    """Moves stack slots to the entry, so that a loop does not allocate them again."""
    slots = [line for line in lines if " = alloca " in line]
    others = [line for line in lines if " = alloca " not in line]
    return [*others[:2], *slots, *others[2:]]


def _text(lattice: Lattice, lanes: int) -> str:
    return "\n\n".join([_forward(lattice, lanes), _backward(lattice, lanes), _best(lattice, lanes)])


def _runs(
    neighbours: Sequence[Sequence[tuple[int, int]]], kinds: Sequence[int]
) -> Iterator[tuple[int, int, int]]:
    """Runs of states with one neighbour each, at a constant distance: (first, count, distance).

    Neighbours are (state, edge) with consecutive edges; other states are runs of one.
    """
    first = 0
    while first < len(kinds):
        count, distance = 1, 0
        if len(neighbours[first]) == 1:
            distance = neighbours[first][0][0] - first
            while (
                first + count < len(kinds)
                and kinds[first + count] == kinds[first]
                and len(neighbours[first + count]) == 1
                and neighbours[first + count][0][0] - (first + count) == distance
            ):
                count += 1
        if count < _CHAIN:
            count = 1
        yield first, count, distance
        first += count


def _incoming(lattice: Lattice) -> list[list[tuple[int, int]]]:
    found: list[list[tuple[int, int]]] = [[] for _ in lattice.kinds]
    for k, (a, b) in enumerate(lattice.edges):
        found[b].append((a, k))
    return found


def _time_loop(w: _Writer, *, backwards: bool = False) -> Iterator[str]:
    """The loop over steps; yields the step."""
    counter = w.set("alloca i64")
    w.emit(f"store i64 0, ptr {counter}")
    w.emit("br label %time")
    w.label("time")
    k = w.set(f"load i64, ptr {counter}")
    more = w.set(f"icmp slt i64 {k}, %steps")
    w.emit(f"br i1 {more}, label %step, label %over")
    w.label("step")
    t = k
    if backwards:
        t = w.set(f"sub i64 {w.set('sub i64 %steps, 1')}, {k}")
    yield t
    w.emit(f"store i64 {w.set(f'add i64 {k}, 1')}, ptr {counter}")
    w.emit("br label %time")
    w.label("over")


def _slice(w: _Writer, array: str, t: str, size: int) -> str:
    """The address of step ``t`` of an array with ``size`` vectors per step."""
    return w.at(array, w.set(f"mul i64 {t}, {size}"))


def _forward(lattice: Lattice, lanes: int) -> str:
    w = _Writer("forward", ("own", "weights", "start", "alphas", "scales"), lanes)
    states, kinds = lattice.num_states, lattice.kinds
    last = w.set(f"alloca {w.vector}")
    incoming = _incoming(lattice)
    for t in _time_loop(w):
        own = _slice(w, "%own", t, lattice.num_kinds)
        now = _slice(w, "%alphas", t, states)
        before = w.at("%alphas", w.set(f"mul i64 {w.set(f'sub i64 {t}, 1')}, {states}"))
        w.emit(f"br i1 {w.set(f'icmp eq i64 {t}, 0')}, label %first, label %later")
        w.label("first")
        total = _zeros(lanes)
        for first, count in _kind_ranges(kinds):
            factor = w.load(own, kinds[first])
            for k in w.repeat(count, total):
                s = w.set(f"add i64 {k}, {first}")
                value = w.op("fmul", w.spread("%start", s), factor)
                w.store(value, now, s)
                w.carried = w.op("fadd", w.carried, value)
            total = w.carried
        w.store(total, last, 0)
        w.emit("br label %summed")
        w.label("later")
        inverse = w.set(f"fdiv {w.vector} {_ones(lanes)}, {w.load(last, 0)}")
        total = _zeros(lanes)
        kind, factor = -1, ""
        for first, count, distance in _runs(incoming, kinds):
            if kinds[first] != kind:
                kind = kinds[first]
                factor = w.op("fmul", w.load(own, kind), inverse)
            if count > 1:
                edge = incoming[first][0][1]
                for k in w.repeat(count, total):
                    s = w.set(f"add i64 {k}, {first}")
                    source = w.set(f"add i64 {k}, {first + distance}")
                    weight = w.spread("%weights", w.set(f"add i64 {k}, {edge}"))
                    value = w.op("fmul", w.load(before, source), weight)
                    value = w.op("fmul", value, factor)
                    w.store(value, now, s)
                    w.carried = w.op("fadd", w.carried, value)
                total = w.carried
                continue
            value = _zeros(lanes)
            for number, (other, edge) in enumerate(incoming[first]):
                part = w.op("fmul", w.load(before, other), w.spread("%weights", edge))
                value = w.op("fadd", value, part) if number else part
            value = w.op("fmul", value, factor)
            w.store(value, now, first)
            total = w.op("fadd", total, value)
        w.store(total, last, 0)
        w.emit("br label %summed")
        w.label("summed")
        w.store(w.load(last, 0), "%scales", t)
    return w.text


def _kind_ranges(kinds: Sequence[int]) -> Iterator[tuple[int, int]]:
    first = 0
    for k in range(1, len(kinds) + 1):
        if k == len(kinds) or kinds[k] != kinds[first]:
            yield first, k - first
            first = k


def _zeros(lanes: int) -> str:
    return "<" + ", ".join(["double 0.0"] * lanes) + ">"


def _ones(lanes: int) -> str:
    return "<" + ", ".join(["double 1.0"] * lanes) + ">"


def _backward(lattice: Lattice, lanes: int) -> str:
    pointers = ("own", "weights", "end", "alphas", "scales", "lengths", "ended", "marginals")
    w = _Writer("backward", (*pointers, "counts", "scratch"), lanes)
    states, kinds = lattice.num_states, lattice.kinds
    whole = f"<{lanes} x i64>"
    lengths = w.set(f"load {whole}, ptr %lengths, align 8")
    ended = w.load("%ended", 0)
    outgoing: list[list[tuple[int, int]]] = [[] for _ in kinds]
    for k, edge in enumerate(lattice.by_source):
        a, b = lattice.edges[edge]
        outgoing[a].append((b, k))
    for t in _time_loop(w, backwards=True):
        odd = w.set(f"and i64 {t}, 1")
        now = w.at("%scratch", w.set(f"mul i64 {odd}, {states}"))
        after = w.at("%scratch", w.set(f"mul i64 {w.set(f'xor i64 {odd}, 1')}, {states}"))
        own = _slice(w, "%own", t, lattice.num_kinds)
        alphas = _slice(w, "%alphas", t, states)
        marginals = _slice(w, "%marginals", t, lattice.num_kinds)
        step = w.set(f"insertelement {whole} poison, i64 {t}, i64 0")
        step = w.set(
            f"shufflevector {whole} {step}, {whole} poison, <{lanes} x i32> zeroinitializer"
        )
        inside = w.set(f"icmp slt {whole} {step}, {lengths}")
        one = "<" + ", ".join(["i64 1"] * lanes) + ">"
        is_last = w.set(f"icmp eq {whole} {w.set(f'add {whole} {step}, {one}')}, {lengths}")
        mask = f"<{lanes} x i1>"

        def only(condition: str, value: str, other: str = "zeroinitializer") -> str:
            return w.set(f"select {mask} {condition}, {w.vector} {value}, {w.vector} {other}")  # noqa: B023

        inverse = only(inside, w.set(f"fdiv {w.vector} {_ones(lanes)}, {w.load('%scales', t)}"))

        def state(
            s: str | int, links: Sequence[tuple[str | int, str | int]], factor: str, total: str
        ) -> str:
            """One state: its beta from the states after it, its marginal, and its edges."""
            raw = w.load(alphas, s)  # noqa: B023
            alpha = w.op("fmul", only(inside, raw), inverse)  # noqa: B023
            beta = w.op("fmul", w.spread("%end", s), ended)
            beta = only(is_last, beta)  # noqa: B023
            for target, edge in links:
                part = w.op("fmul", w.load(after, target), w.spread("%weights", edge))  # noqa: B023
                beta = w.op("fadd", beta, part)
                count = w.op("fmul", alpha, part)
                w.store(w.op("fadd", w.load("%counts", edge), count), "%counts", edge)
            w.store(w.op("fmul", beta, factor), now, s)  # noqa: B023
            return w.op("fadd", total, w.op("fmul", alpha, beta))

        runs = list(_runs(outgoing, kinds))
        factor = total = ""
        for k, (first, count, distance) in enumerate(runs):
            if k == 0 or kinds[runs[k - 1][0]] != kinds[first]:
                total = _zeros(lanes)
                factor = w.op("fmul", w.load(own, kinds[first]), inverse)
            if count > 1:
                edge = outgoing[first][0][1]
                for at in w.repeat(count, total):
                    link = (
                        w.set(f"add i64 {at}, {first + distance}"),
                        w.set(f"add i64 {at}, {edge}"),
                    )
                    place = w.set(f"add i64 {at}, {first}")
                    w.carried = state(place, [link], factor, w.carried)
                total = w.carried
            else:
                total = state(first, list(outgoing[first]), factor, total)
            if k + 1 == len(runs) or kinds[runs[k + 1][0]] != kinds[first]:
                w.store(total, marginals, kinds[first])
    return w.text


def _best(lattice: Lattice, lanes: int) -> str:
    w = _Writer("best", ("own", "weights", "scores", "choices"), lanes)
    states, kinds = lattice.num_states, lattice.kinds
    incoming = _incoming(lattice)
    bytes_ = f"<{lanes} x i8>"
    for t in _time_loop(w):
        odd = w.set(f"and i64 {t}, 1")
        before = w.at("%scores", w.set(f"mul i64 {odd}, {states}"))
        now = w.at("%scores", w.set(f"mul i64 {w.set(f'xor i64 {odd}, 1')}, {states}"))
        own = _slice(w, "%own", t, lattice.num_kinds)
        choices = w.at("%choices", w.set(f"mul i64 {t}, {states}"), bytes_)
        kind, added = -1, ""
        for first, count, distance in _runs(incoming, kinds):
            if kinds[first] != kind:
                kind = kinds[first]
                added = w.load(own, kind)
            if count > 1:
                edge = incoming[first][0][1]
                for k in w.repeat(count):
                    s = w.set(f"add i64 {k}, {first}")
                    source = w.set(f"add i64 {k}, {first + distance}")
                    weight = w.spread("%weights", w.set(f"add i64 {k}, {edge}"))
                    value = w.op("fadd", w.op("fadd", w.load(before, source), weight), added)
                    w.store(value, now, s)
                    w.emit(
                        f"store {bytes_} zeroinitializer, ptr {w.at(choices, s, bytes_)}, align 1"
                    )
                continue
            value, choice = "", "zeroinitializer"
            for number, (other, edge) in enumerate(incoming[first]):
                part = w.op("fadd", w.load(before, other), w.spread("%weights", edge))
                if not value:
                    value = part
                    continue
                better = w.set(f"fcmp ogt {w.vector} {part}, {value}")
                mask = f"<{lanes} x i1>"
                value = w.set(f"select {mask} {better}, {w.vector} {part}, {w.vector} {value}")
                mark = "<" + ", ".join([f"i8 {number}"] * lanes) + ">"
                choice = w.set(f"select {mask} {better}, {bytes_} {mark}, {bytes_} {choice}")
            if not value:
                value = "<" + ", ".join(["double 0xFFF0000000000000"] * lanes) + ">"
            w.store(w.op("fadd", value, added), now, first)
            w.emit(f"store {bytes_} {choice}, ptr {w.at(choices, first, bytes_)}, align 1")
    return w.text
