"""Text of LLVM's intermediate representation, line by line, for vectors of one width.

A value is the name of a register, or a constant, as text; all vectors have ``lanes`` numbers of
one type.  Nothing here knows what a cell is: ``math.py`` says how a function is computed,
``emit.py`` what a step is.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from elman.backends.llvm.target import WIDTH

Value = str


class Builder:
    """The lines of one function, and what has to be declared for it."""

    def __init__(self, scalar: str, lanes: int) -> None:
        self.scalar, self.lanes = scalar, lanes
        self.width = WIDTH[scalar]
        self.vector = f"<{lanes} x {scalar}>"
        self.mask = f"<{lanes} x i1>"
        self.bits = f"i{8 * self.width}"
        self.integers = f"<{lanes} x {self.bits}>"
        self.suffix = f"v{lanes}f{8 * self.width}"
        self.lines: list[str] = []
        self.declared: set[str] = set()
        self._count = 0

    # lines

    def emit(self, line: str) -> None:
        """A line without a result."""
        self.lines.append("  " + line)

    def label(self, name: str) -> None:
        """Where a block of lines begins."""
        self.lines.append(f"{name}:")

    def name(self) -> Value:
        """A register that has not been used."""
        self._count += 1
        return f"%v{self._count}"

    def set(self, expression: str) -> Value:
        """A register with the value of an instruction."""
        register = self.name()
        self.lines.append(f"  {register} = {expression}")
        return register

    def call(self, result: str, function: str, arguments: Sequence[str]) -> Value:
        """A call of a function of the compiler; an argument is its type, a blank and a value."""
        types = ", ".join([argument.rpartition(" ")[0] for argument in arguments])
        return self.call_declared(result, function, types, ", ".join(arguments))

    def call_declared(self, result: str, function: str, types: str, arguments: str) -> Value:
        """A call with the declared types given."""
        self.declared.add(f"declare {result} @{function}({types})")
        if result == "void":
            self.emit(f"call void @{function}({arguments})")
            return ""
        return self.set(f"call {result} @{function}({arguments})")

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

    def integer(self, instruction: str, a: Value, b: Value) -> Value:
        """``add``, ``sub``, ``and``, ``or``, ``shl`` or ``lshr`` of whole numbers."""
        return self.set(f"{instruction} {self.integers} {a}, {b}")

    def as_integers(self, a: Value) -> Value:
        """The bits of each number."""
        return self.set(f"bitcast {self.vector} {a} to {self.integers}")

    def as_numbers(self, a: Value) -> Value:
        """The numbers with these bits."""
        return self.set(f"bitcast {self.integers} {a} to {self.vector}")

    # memory; offsets count numbers, not bytes

    def at(self, pointer: Value, offset: Value | int) -> Value:
        """The address ``offset`` numbers further on."""
        if offset == 0:
            return pointer
        return self.set(f"getelementptr inbounds {self.scalar}, ptr {pointer}, i64 {offset}")

    def load(self, pointer: Value, offset: Value | int = 0, active: int | None = None) -> Value:
        """A vector; only the first ``active`` lanes are touched, the others are 0."""
        address = self.at(pointer, offset)
        if active is None or active == self.lanes:
            return self.set(f"load {self.vector}, ptr {address}, align {self.width}")
        v = self.vector
        align = f"ptr align {self.width} {address}"
        return self.call_declared(
            v, f"llvm.masked.load.{self.suffix}.p0", f"ptr, {self.mask}, {v}",
            f"{align}, {self.mask} {self._first(active)}, {v} zeroinitializer",
        )  # fmt: skip

    def store(
        self, value: Value, pointer: Value, offset: Value | int = 0, active: int | None = None
    ) -> None:
        """Write a vector, or only its first ``active`` lanes."""
        address, v = self.at(pointer, offset), self.vector
        if active is None or active == self.lanes:
            self.emit(f"store {v} {value}, ptr {address}, align {self.width}")
            return
        self.call_declared(
            "void", f"llvm.masked.store.{self.suffix}.p0", f"{v}, ptr, {self.mask}",
            f"{v} {value}, ptr align {self.width} {address}, {self.mask} {self._first(active)}",
        )  # fmt: skip

    def load_aligned(self, pointer: Value, offset: int) -> Value:
        """A vector that begins where a whole vector may."""
        size = self.lanes * self.width
        return self.set(f"load {self.vector}, ptr {self.at(pointer, offset)}, align {size}")

    def broadcast(self, pointer: Value, offset: Value | int) -> Value:
        """One number from memory in every lane."""
        number = self.set(f"load {self.scalar}, ptr {self.at(pointer, offset)}, align {self.width}")
        one = self.set(f"insertelement {self.vector} poison, {self.scalar} {number}, i64 0")
        v = self.vector
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        return self.set(f"shufflevector {v} {one}, {v} poison, {zeros}")

    def _first(self, active: int) -> str:
        lanes = ", ".join([f"i1 {int(lane < active)}" for lane in range(self.lanes)])
        return f"<{lanes}>"
