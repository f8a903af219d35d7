"""Write LLVM's intermediate representation line by line, for vectors of one width.

A value is the name of a register or a constant, as text; all vectors have ``lanes`` elements of
one type.  This module does not depend on cells: ``math.py`` implements functions, ``programs.py``
defines steps.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from elman.backends.native.llvm.target import WIDTH
from elman.errors import CellError

Value = str
Key = TypeVar("Key")


@dataclass
class Module:
    """Functions and declarations that are compiled together.

    ``comments`` holds optional comments for values, written above their instructions.
    """

    comments: Mapping[Any, str] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)
    declared: set[str] = field(default_factory=set)

    def add(self, builder: Builder) -> None:
        """Add a finished function."""
        self.functions.append("\n".join([*builder.lines, "}"]))
        self.declared |= builder.declared

    @property
    def text(self) -> str:
        """The whole module."""
        return "\n\n".join([*sorted(self.declared), *self.functions]) + "\n"


class Builder:
    """The lines of one function, and its declarations."""

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
        """Add a line without a result."""
        self.lines.append("  " + line)

    def comment(self, text: str) -> None:
        """Add a comment for the following lines, unless empty.

        Unprintable characters, such as line breaks, become question marks.
        """
        if text:
            shown = [character if character.isprintable() else "?" for character in text]
            self.lines.append(f"  ; {''.join(shown)}")

    def label(self, name: str) -> None:
        """Start a basic block."""
        self.lines.append(f"{name}:")
        self.block = name

    def name(self) -> Value:
        """A fresh register name."""
        self._count += 1
        return f"%v{self._count}"

    def set(self, expression: str) -> Value:
        """Assign the result of an instruction to a fresh register."""
        register = self.name()
        self.lines.append(f"  {register} = {expression}")
        return register

    def call_declared(self, result: str, function: str, types: str, arguments: str) -> Value:
        """Call an external function and declare it."""
        self.declared.add(f"declare {result} @{function}({types})")
        if result == "void":
            self.emit(f"call void @{function}({arguments})")
            return ""
        return self.set(f"call {result} @{function}({arguments})")

    # functions and loops

    def begin(self, name: str, arguments: Iterable[str], *, exported: bool = False) -> None:
        """Start a function; an argument is "TYPE NAME"."""
        linkage = "" if exported else "internal "
        ending = "nounwind {" if exported else "noinline nounwind {"
        self.lines.append(f"define {linkage}void @{name}({', '.join(arguments)}) {ending}")
        self.label("entry")

    def end(self) -> None:
        """Return from the function."""
        self.emit("ret void")

    def fresh_label(self, stem: str) -> str:
        """A fresh label."""
        self._count += 1
        return f"{stem}{self._count}"

    def call_function(self, name: str, arguments: Iterable[str]) -> None:
        """Call a function of the same module."""
        self.emit(f"call void @{name}({', '.join(arguments)})")

    @contextmanager
    def loop(self, start: Value | int, stop: Value | int, step: int = 1) -> Iterator[Value]:
        """Loop over integers from ``start`` to before ``stop``; the range may be empty."""
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
        """Loop over 0, step ... below ``count`` (at least once), with loop-carried values.

        Yields once: the index and the values; replace them in place with those of the next
        iteration.  After the loop they are the final values.
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
        """Branch to one of two labels."""
        self.emit(f"br i1 {condition}, label %{then}, label %{otherwise}")

    def switch(self, value: Value, cases: Mapping[int, str], otherwise: str) -> None:
        """Branch to the label of an integer."""
        listed = " ".join([f"i64 {number}, label %{label}" for number, label in cases.items()])
        self.emit(f"switch i64 {value}, label %{otherwise} [{listed}]")

    # scalar integers

    def int_op(self, instruction: str, a: Value | int, b: Value | int) -> Value:
        """``add``, ``sub``, ``mul``, ``udiv``, ``urem`` or ``and`` of two integers."""
        return self.set(f"{instruction} i64 {a}, {b}")

    def partition(self, index: Value, partitions: Value, count: int) -> tuple[Value, Value]:
        """The range of ``count`` pieces that belongs to one of several equal partitions."""
        low = self.int_op("udiv", self.int_op("mul", index, count), partitions)
        after = self.int_op("add", index, 1)
        return low, self.int_op("udiv", self.int_op("mul", after, count), partitions)

    def int_compare(self, how: str, a: Value | int, b: Value | int) -> Value:
        """A Boolean; ``how`` as in ``icmp``: slt, sge, eq ..."""
        return self.set(f"icmp {how} i64 {a}, {b}")

    def choose(self, condition: Value, kind: str, a: Value | int, b: Value | int) -> Value:
        """One of two values of a type such as ``i64`` or ``ptr``."""
        return self.set(f"select i1 {condition}, {kind} {a}, {kind} {b}")

    def load_int(self, pointer: Value, index: Value | int) -> Value:
        """Load an integer from a table."""
        return self.set(f"load i64, ptr {self.at_word(pointer, index)}, align 8")

    def at_word(self, pointer: Value, index: Value | int) -> Value:
        """The address of an integer in a table."""
        return self.set(f"getelementptr inbounds i64, ptr {pointer}, i64 {index}")

    # constants

    def literal(self, number: float) -> str:
        """A number as an LLVM literal, exact in the builder's type."""
        if self.scalar == "float":
            try:
                (number,) = struct.unpack("<f", struct.pack("<f", number))
            except OverflowError as error:
                raise CellError(
                    f"the constant {number:g} is larger than a float32 can be; use float64."
                ) from error
        (bits,) = struct.unpack("<Q", struct.pack("<d", number))
        return f"0x{bits:016X}"

    def constant(self, number: float) -> Value:
        """The number in every lane."""
        return f"splat ({self.scalar} {self.literal(number)})"

    def int_constant(self, number: int) -> Value:
        """The integer in every lane."""
        return f"splat ({self.bits} {number})"

    # arithmetic

    def binary(self, instruction: str, a: Value, b: Value) -> Value:
        """``fadd``, ``fsub``, ``fmul`` or ``fdiv``."""
        return self.set(f"{instruction} {self.vector} {a}, {b}")

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a * b + c, fused if the processor supports it."""
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
        """An intrinsic with one operand, such as ``fabs`` or ``sqrt``."""
        v = self.vector
        return self.call_declared(v, f"llvm.{function}.{self.suffix}", v, f"{v} {a}")

    def keep_first(self, a: Value, active: int) -> Value:
        """The first ``active`` lanes, followed by zeros."""
        return self.select(self._first(active), a, self.constant(0.0))

    def transposed(self, rows: Sequence[Value]) -> list[Value]:
        """The columns of a square matrix, given by its rows."""
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
        """``add``, ``sub``, ``mul``, ``and``, ``or``, ``shl``, ``lshr`` or ``ashr`` of integers."""
        return self.set(f"{instruction} {self.integers} {a}, {b}")

    def as_integers(self, a: Value) -> Value:
        """The bits of each lane."""
        return self.set(f"bitcast {self.vector} {a} to {self.integers}")

    def as_numbers(self, a: Value) -> Value:
        """The floating-point values with these bits."""
        return self.set(f"bitcast {self.integers} {a} to {self.vector}")

    # memory; offsets count elements, not bytes; elements of ``bf16`` memory are bfloat16

    def at(self, pointer: Value, offset: Value | int, *, bf16: bool = False) -> Value:
        """The address ``offset`` elements further on."""
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
        """Load a vector, or only its first ``active`` lanes; the others are 0."""
        if bf16:
            bits = self.load_bf16(self.at(pointer, offset, bf16=True), active)
            wide = self.set(f"zext <{self.lanes} x i16> {bits} to {self.integers}")
            return self.as_numbers(self.integer("shl", wide, self.int_constant(16)))
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
        """Store a vector, or only its first ``active`` lanes; ``bf16`` rounds to nearest even."""
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
        """Load one element into every lane."""
        address = self.at(pointer, offset)
        return self.spread(self.set(f"load {self.scalar}, ptr {address}, align {self.alignment}"))

    def spread(self, number: Value) -> Value:
        """One scalar in every lane."""
        one = self.set(f"insertelement {self.vector} poison, {self.scalar} {number}, i64 0")
        v = self.vector
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        return self.set(f"shufflevector {v} {one}, {v} poison, {zeros}")

    def store_first(self, value: Value, pointer: Value, offset: Value | int = 0) -> None:
        """Store the first lane."""
        one = self.set(f"extractelement {self.vector} {value}, i64 0")
        self.emit(f"store {self.scalar} {one}, ptr {self.at(pointer, offset)}, align {self.width}")

    # bfloat16

    def load_bf16(self, address: Value, active: int | None = None) -> Value:
        """Load the bits of a vector of bfloat16."""
        v = f"<{self.lanes} x i16>"
        if active is None or active == self.lanes:
            return self.set(f"load {v}, ptr {address}, align 2")
        return self.call_declared(
            v, f"llvm.masked.load.v{self.lanes}i16.p0", f"ptr, {self.mask}, {v}",
            f"ptr align 2 {address}, {self.mask} {self._first(active)}, {v} zeroinitializer",
        )  # fmt: skip

    def rounded(self, value: Value) -> Value:
        """The bits of a vector rounded to bfloat16."""
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
        """Interleave the bits of two bfloat16 vectors as a vector of pairs."""
        low, high = [
            self.set(f"zext <{self.lanes} x i16> {bits} to {self.integers}")
            for bits in (first, second)
        ]
        joined = self.integer("or", low, self.integer("shl", high, self.int_constant(16)))
        return self.as_numbers(joined)

    def single(self, pointer: Value, offset: Value | int) -> Value:
        """The bfloat16 after ``offset`` pairs, paired with a zero."""
        bits = self.set(f"load i16, ptr {self.at(pointer, offset)}, align 2")
        wide = self.set(f"zext i16 {bits} to {self.bits}")
        return self.set(f"bitcast {self.bits} {wide} to {self.scalar}")

    def dot(self, a: Value, b: Value, c: Value) -> Value:
        """c plus both products of the pairs in ``a`` and ``b``, lane by lane."""
        v, short = self.vector, f"<{2 * self.lanes} x bfloat>"
        a, b = [self.set(f"bitcast {v} {pairs} to {short}") for pairs in (a, b)]
        return self.call_declared(
            v, f"llvm.x86.avx512bf16.dpbf16ps.{32 * self.lanes}", f"{v}, {short}, {short}",
            f"{v} {c}, {short} {a}, {short} {b}",
        )  # fmt: skip

    def _first(self, active: int) -> str:
        lanes = ", ".join([f"i1 {int(lane < active)}" for lane in range(self.lanes)])
        return f"<{lanes}>"
