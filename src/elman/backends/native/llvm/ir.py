"""Text of LLVM's intermediate representation, line by line, for vectors of one width.

A value is the name of a register, or a constant, as text; all vectors have ``lanes`` numbers of
one type.  Nothing here knows what a cell is: ``math.py`` says how a function is computed,
``programs.py`` what a step is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from elman.backends.native.llvm.target import WIDTH

Value = str
Key = TypeVar("Key")


@dataclass
class Module:
    """Functions and declarations, to be compiled together.

    ``comments`` says what stands above the instructions for a value, if anything.
    """

    comments: Mapping[Any, str] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)
    declared: set[str] = field(default_factory=set)

    def add(self, builder: Builder) -> None:
        """Take over a finished function."""
        self.functions.append("\n".join([*builder.lines, "}"]))
        self.declared |= builder.declared

    @property
    def text(self) -> str:
        """The whole module."""
        return "\n\n".join([*sorted(self.declared), *self.functions]) + "\n"


class Builder:
    """The lines of one function, and what has to be declared for it."""

    def __init__(self, scalar: str, lanes: int) -> None:
        self.scalar, self.lanes = scalar, lanes
        self.width = self.alignment = WIDTH[scalar]
        self.vector = f"<{lanes} x {scalar}>"
        self.mask = f"<{lanes} x i1>"
        self.bits = f"i{8 * self.width}"
        self.integers = f"<{lanes} x {self.bits}>"
        self.suffix = f"v{lanes}f{8 * self.width}"
        self.lines: list[str] = []
        self.declared: set[str] = set()
        self.block = "entry"
        self._count = 0

    # lines

    def emit(self, line: str) -> None:
        """A line without a result."""
        self.lines.append("  " + line)

    def comment(self, text: str) -> None:
        """What the lines to come compute; an empty text is left out.

        A comment ends with its line, so whatever cannot be printed is a question mark.
        """
        if text:
            shown = [character if character.isprintable() else "?" for character in text]
            self.lines.append(f"  ; {''.join(shown)}")

    def label(self, name: str) -> None:
        """Where a block of lines begins."""
        self.lines.append(f"{name}:")
        self.block = name

    def name(self) -> Value:
        """A register that has not been used."""
        self._count += 1
        return f"%v{self._count}"

    def set(self, expression: str) -> Value:
        """A register with the value of an instruction."""
        register = self.name()
        self.lines.append(f"  {register} = {expression}")
        return register

    def call_declared(self, result: str, function: str, types: str, arguments: str) -> Value:
        """A call with the declared types given."""
        self.declared.add(f"declare {result} @{function}({types})")
        if result == "void":
            self.emit(f"call void @{function}({arguments})")
            return ""
        return self.set(f"call {result} @{function}({arguments})")

    # functions and loops

    def begin(self, name: str, arguments: Iterable[str], *, exported: bool = False) -> None:
        """The head of a function; an argument is its type, a blank and its name."""
        linkage = "" if exported else "internal "
        ending = "nounwind {" if exported else "noinline nounwind {"
        self.lines.append(f"define {linkage}void @{name}({', '.join(arguments)}) {ending}")
        self.label("entry")

    def end(self) -> None:
        """The function returns."""
        self.emit("ret void")

    def fresh_label(self, stem: str) -> str:
        """A label that has not been used."""
        self._count += 1
        return f"{stem}{self._count}"

    def call_function(self, name: str, arguments: Iterable[str]) -> None:
        """Call a function of the same module."""
        self.emit(f"call void @{name}({', '.join(arguments)})")

    @contextmanager
    def loop(self, start: Value | int, stop: Value | int, step: int = 1) -> Iterator[Value]:
        """Whole numbers from ``start`` to before ``stop``, which may be none at all."""
        head, body, leave = [self.fresh_label(stem) for stem in ("head", "body", "leave")]
        before = self.block
        self.emit(f"br label %{head}")
        self.label(head)
        index, following = self.name(), self.name()
        place = len(self.lines)
        self.lines.append("")
        self.branch(self.set(f"icmp slt i64 {index}, {stop}"), body, leave)
        self.label(body)
        yield index
        self.emit(f"{following} = add nsw i64 {index}, {step}")
        self.lines[place] = (
            f"  {index} = phi i64 [{start}, %{before}], [{following}, %{self.block}]"
        )
        self.emit(f"br label %{head}")
        self.label(leave)

    def repeat(
        self, count: Value | int, step: int, carried: Mapping[Key, Value]
    ) -> Iterator[tuple[Value, dict[Key, Value]]]:
        """A loop over 0, step ... below ``count`` (at least once) with values that it changes.

        Yields once: the index and the values, to be replaced in place by those of the next round;
        after the loop they are the last ones.
        """
        top, leave = self.fresh_label("top"), self.fresh_label("leave")
        before = self.block
        self.emit(f"br label %{top}")
        self.label(top)
        index, following = self.name(), self.name()
        initial = {key: self.name() for key in carried}
        place = len(self.lines)
        self.lines.append("")
        values = dict(initial)
        yield index, values
        self.emit(f"{following} = add nuw nsw i64 {index}, {step}")
        again = self.set(f"icmp slt i64 {following}, {count}")
        self.lines[place] = "\n".join(
            [f"  {index} = phi i64 [0, %{before}], [{following}, %{self.block}]"]
            + [
                f"  {initial[key]} = phi {self.vector} "
                f"[{value}, %{before}], [{values[key]}, %{self.block}]"
                for key, value in carried.items()
            ]
        )
        self.branch(again, top, leave)
        self.label(leave)

    def branch(self, condition: Value, then: str, otherwise: str) -> None:
        """Go to one of two labels."""
        self.emit(f"br i1 {condition}, label %{then}, label %{otherwise}")

    def switch(self, value: Value, cases: Mapping[int, str], otherwise: str) -> None:
        """Go to the label of a whole number."""
        listed = " ".join([f"i64 {number}, label %{label}" for number, label in cases.items()])
        self.emit(f"switch i64 {value}, label %{otherwise} [{listed}]")

    # whole numbers, one at a time

    def whole_number(self, instruction: str, a: Value | int, b: Value | int) -> Value:
        """``add``, ``sub``, ``mul``, ``udiv``, ``urem`` or ``and`` of two."""
        return self.set(f"{instruction} i64 {a}, {b}")

    def partition(self, index: Value, partitions: Value, count: int) -> tuple[Value, Value]:
        """The part of a whole number of pieces that one of several equal partitions has."""
        low = self.whole_number("udiv", self.whole_number("mul", index, count), partitions)
        after = self.whole_number("add", index, 1)
        return low, self.whole_number("udiv", self.whole_number("mul", after, count), partitions)

    def whole_compare(self, how: str, a: Value | int, b: Value | int) -> Value:
        """A truth value; ``how`` as in ``icmp``: slt, sge, eq ..."""
        return self.set(f"icmp {how} i64 {a}, {b}")

    def choose(self, condition: Value, kind: str, a: Value | int, b: Value | int) -> Value:
        """One of two values of a type such as ``i64`` or ``ptr``."""
        return self.set(f"select i1 {condition}, {kind} {a}, {kind} {b}")

    def load_whole(self, pointer: Value, index: Value | int) -> Value:
        """A whole number from a table."""
        return self.set(f"load i64, ptr {self.at_word(pointer, index)}, align 8")

    def at_word(self, pointer: Value, index: Value | int) -> Value:
        """The address of a whole number in a table."""
        return self.set(f"getelementptr inbounds i64, ptr {pointer}, i64 {index}")

    # numbers

    def literal(self, number: float) -> str:
        """A number as the compiler reads it, exact in the builder's type."""
        if self.scalar == "float":
            (number,) = struct.unpack("<f", struct.pack("<f", number))
        (bits,) = struct.unpack("<Q", struct.pack("<d", number))
        return f"0x{bits:016X}"

    def constant(self, number: float) -> Value:
        """The number in every lane."""
        return f"splat ({self.scalar} {self.literal(number)})"

    def whole(self, number: int) -> Value:
        """The whole number in every lane."""
        return f"splat ({self.bits} {number})"

    # arithmetic

    def binary(self, instruction: str, a: Value, b: Value) -> Value:
        """``fadd``, ``fsub``, ``fmul`` or ``fdiv``."""
        return self.set(f"{instruction} {self.vector} {a}, {b}")

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a * b + c, rounded once where the processor can."""
        v = self.vector
        return self.call_declared(
            v, f"llvm.fmuladd.{self.suffix}", f"{v}, {v}, {v}", f"{v} {a}, {v} {b}, {v} {c}"
        )

    def negate(self, a: Value) -> Value:
        return self.set(f"fneg {self.vector} {a}")

    def compare(self, how: str, a: Value, b: Value) -> Value:
        """A mask; ``how`` as in ``fcmp``: ogt, oge, olt, uno ..."""
        return self.set(f"fcmp {how} {self.vector} {a}, {b}")

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        v = self.vector
        return self.set(f"select {self.mask} {condition}, {v} {a}, {v} {b}")

    def unary(self, function: str, a: Value) -> Value:
        """A function of one vector that the compiler has, such as ``fabs`` or ``sqrt``."""
        v = self.vector
        return self.call_declared(v, f"llvm.{function}.{self.suffix}", v, f"{v} {a}")

    def keep_first(self, a: Value, active: int) -> Value:
        """The first lanes, and zeros after them."""
        return self.select(self._first(active), a, self.constant(0.0))

    def transposed(self, rows: Sequence[Value]) -> list[Value]:
        """A square of numbers, given by its rows, by its columns."""
        v, half = self.vector, 1
        values = list(rows)
        while half < self.lanes:
            low, high = [
                [
                    (lane // (2 * half)) * 2 * half
                    + (lane % half)
                    + (half if upper else 0)
                    + (self.lanes if lane % (2 * half) >= half else 0)
                    for lane in range(self.lanes)
                ]
                for upper in (False, True)
            ]
            for k in range(self.lanes):
                if k & half:
                    continue
                a, b = values[k], values[k + half]
                for place, order in ((k, low), (k + half, high)):
                    mask = ", ".join([f"i32 {lane}" for lane in order])
                    values[place] = self.set(
                        f"shufflevector {v} {a}, {v} {b}, <{self.lanes} x i32> <{mask}>"
                    )
            half *= 2
        return values

    def spread_sum(self, a: Value, factor: float) -> Value:
        """The sum of all lanes, times a factor, in every lane."""
        apart = self.lanes // 2
        while apart:
            order = ", ".join([f"i32 {lane ^ apart}" for lane in range(self.lanes)])
            v = self.vector
            other = self.set(f"shufflevector {v} {a}, {v} poison, <{self.lanes} x i32> <{order}>")
            a = self.binary("fadd", a, other)
            apart //= 2
        return self.binary("fmul", a, self.constant(factor))

    def integer(self, instruction: str, a: Value, b: Value) -> Value:
        """``add``, ``sub``, ``and``, ``or``, ``shl`` or ``lshr`` of whole numbers."""
        return self.set(f"{instruction} {self.integers} {a}, {b}")

    def as_integers(self, a: Value) -> Value:
        """The bits of each number."""
        return self.set(f"bitcast {self.vector} {a} to {self.integers}")

    def as_numbers(self, a: Value) -> Value:
        """The numbers with these bits."""
        return self.set(f"bitcast {self.integers} {a} to {self.vector}")

    # memory; offsets count numbers, not bytes, and those in memory that is ``bf16`` are bfloat16

    def at(self, pointer: Value, offset: Value | int, *, bf16: bool = False) -> Value:
        """The address ``offset`` numbers further on."""
        if offset == 0:
            return pointer
        kind = "bfloat" if bf16 else self.scalar
        return self.set(f"getelementptr inbounds {kind}, ptr {pointer}, i64 {offset}")

    def load(
        self,
        pointer: Value,
        offset: Value | int = 0,
        active: int | None = None,
        *,
        bf16: bool = False,
    ) -> Value:
        """A vector; only the first ``active`` lanes are touched, the others are 0."""
        if bf16:
            bits = self.load_bf16(self.at(pointer, offset, bf16=True), active)
            wide = self.set(f"zext <{self.lanes} x i16> {bits} to {self.integers}")
            return self.as_numbers(self.integer("shl", wide, self.whole(16)))
        address = self.at(pointer, offset)
        if active is None or active == self.lanes:
            return self.set(f"load {self.vector}, ptr {address}, align {self.alignment}")
        v = self.vector
        align = f"ptr align {self.alignment} {address}"
        return self.call_declared(
            v, f"llvm.masked.load.{self.suffix}.p0", f"ptr, {self.mask}, {v}",
            f"{align}, {self.mask} {self._first(active)}, {v} zeroinitializer",
        )  # fmt: skip

    def store(
        self,
        value: Value,
        pointer: Value,
        offset: Value | int = 0,
        active: int | None = None,
        *,
        bf16: bool = False,
    ) -> None:
        """Write a vector, or only its first ``active`` lanes; ``bf16`` rounds to nearest even."""
        address, v = self.at(pointer, offset, bf16=bf16), self.vector
        if bf16:
            self._store_bf16(value, address, active)
            return
        if active is None or active == self.lanes:
            self.emit(f"store {v} {value}, ptr {address}, align {self.alignment}")
            return
        self.call_declared(
            "void", f"llvm.masked.store.{self.suffix}.p0", f"{v}, ptr, {self.mask}",
            f"{v} {value}, ptr align {self.alignment} {address}, {self.mask} {self._first(active)}",
        )  # fmt: skip

    def broadcast(self, pointer: Value, offset: Value | int) -> Value:
        """One number from memory in every lane."""
        address = self.at(pointer, offset)
        return self.spread(self.set(f"load {self.scalar}, ptr {address}, align {self.alignment}"))

    def spread(self, number: Value) -> Value:
        """One number in every lane."""
        one = self.set(f"insertelement {self.vector} poison, {self.scalar} {number}, i64 0")
        v = self.vector
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        return self.set(f"shufflevector {v} {one}, {v} poison, {zeros}")

    # bfloat16

    def load_bf16(self, address: Value, active: int | None = None) -> Value:
        """The bits of a vector of bfloat16."""
        v = f"<{self.lanes} x i16>"
        if active is None or active == self.lanes:
            return self.set(f"load {v}, ptr {address}, align 2")
        return self.call_declared(
            v, f"llvm.masked.load.v{self.lanes}i16.p0", f"ptr, {self.mask}, {v}",
            f"ptr align 2 {address}, {self.mask} {self._first(active)}, {v} zeroinitializer",
        )  # fmt: skip

    def rounded(self, value: Value) -> Value:
        """The bits of a vector's numbers as bfloat16."""
        short = f"<{self.lanes} x bfloat>"
        value = self.set(f"fptrunc {self.vector} {value} to {short}")
        return self.set(f"bitcast {short} {value} to <{self.lanes} x i16>")

    def _store_bf16(self, value: Value, address: Value, active: int | None) -> None:
        bits, v = self.rounded(value), f"<{self.lanes} x i16>"
        if active is None or active == self.lanes:
            self.emit(f"store {v} {bits}, ptr {address}, align 2")
            return
        self.call_declared(
            "void", f"llvm.masked.store.v{self.lanes}i16.p0", f"{v}, ptr, {self.mask}",
            f"{v} {bits}, ptr align 2 {address}, {self.mask} {self._first(active)}",
        )  # fmt: skip

    def pairs(self, first: Value, second: Value) -> Value:
        """From the bits of two vectors of bfloat16 a vector of pairs, one number of each."""
        low, high = [
            self.set(f"zext <{self.lanes} x i16> {bits} to {self.integers}")
            for bits in (first, second)
        ]
        joined = self.integer("or", low, self.integer("shl", high, self.whole(16)))
        return self.as_numbers(joined)

    def single(self, pointer: Value, offset: Value | int) -> Value:
        """One number of bfloat16, behind ``offset`` pairs, and a zero, as a pair."""
        bits = self.set(f"load i16, ptr {self.at(pointer, offset)}, align 2")
        wide = self.set(f"zext i16 {bits} to {self.bits}")
        return self.set(f"bitcast {self.bits} {wide} to {self.scalar}")

    def dot(self, a: Value, b: Value, c: Value) -> Value:
        """c and the products of the pairs in ``a`` and ``b``, lane by lane."""
        v, short = self.vector, f"<{2 * self.lanes} x bfloat>"
        a, b = [self.set(f"bitcast {v} {pairs} to {short}") for pairs in (a, b)]
        return self.call_declared(
            v, f"llvm.x86.avx512bf16.dpbf16ps.{32 * self.lanes}", f"{v}, {short}, {short}",
            f"{v} {c}, {short} {a}, {short} {b}",
        )  # fmt: skip

    def _first(self, active: int) -> str:
        lanes = ", ".join([f"i1 {int(lane < active)}" for lane in range(self.lanes)])
        return f"<{lanes}>"
