"""The functions of the table of operations on vectors, as LLVM instructions.

No function calls a library: each is straight-line arithmetic on registers, so that it can be
inlined at the end of a kernel's loop.

Results are within 4 ulp over the whole range.  Subnormal results may be 0, and a subnormal
argument of log counts as 0.  Infinities, NaN and the signs of zeros match torch, except for the
sign of a maximum or minimum of +0 and -0, which is arbitrary in torch too.  Largest measured
errors in ulp, with and without fused multiply-add:

=========  ==========  ===========
function   float       double
=========  ==========  ===========
exp        1.5, 1.8    1.6, 1.9
log        2.0, 2.0    2.0, 2.0
tanh       3.4, 3.4    3.3, 3.3
sigmoid    3.5, 3.6    2.3, 2.3
softplus   2.9, 3.2    3.0, 3.0
rsqrt      2.0, 2.0    2.0, 2.0
=========  ==========  ===========

float: every number in the range where the function is not constant (rsqrt: every seventh);
double: 6 million random numbers; rsqrt: against the root of the rounded sum.

The polynomials are minimax in relative error, by Lawson's (1961) weighted least squares with 50
digits; coefficients were rounded one by one from the lowest power (the first is exact), with the
others refitted after each.

``benchmarks/vector_functions.py`` measures the time.  Rejected alternatives, for 16 floats with
AVX-512 on Zen 5, where sigmoid takes 2.1 ns and tanh 2.3 ns: a reciprocal estimate with a Newton
step instead of the division (0.3 and 0.5 ns slower); tanh as a ratio of polynomials in a²
(degrees 4 and 4; 0.35 ns faster, but 5 to 6 ulp).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from elman.backends.native.llvm.ir import Builder, Value

LOG2_E = 1.4426950408889634
LN2 = 0.6931471805599453


@dataclass(frozen=True)
class Format:
    """A floating-point type and its coefficients, lowest power first.

    ``ln2_high`` has few enough digits that its product with an exponent is exact; ``ln2_low`` is
    the remainder.
    """

    mantissa: int
    bias: int
    ln2_high: float
    ln2_low: float
    #: exp(r) for r in [-ln 2 / 2, ln 2 / 2]
    exp_centred: tuple[float, ...]
    #: exp(r) for r in [0, ln 2]
    exp_upward: tuple[float, ...]
    #: expm1(r) / r for r in [-ln 2 / 2, ln 2 / 2]
    expm1: tuple[float, ...]
    #: (log(1 + y) - t) / t³ in powers of t², where t = y / (1 + y / 2), for t² in [0, 4/9]
    log1p: tuple[float, ...]

    #: π/2 in parts; the products of the first two with small integers are exact
    half_pi: tuple[float, float, float]
    #: (sin(r) / r - 1) / r² and (cos(r) - 1 + r²/2) / r⁴ in powers of r², for r in [-π/4, π/4]
    sin: tuple[float, ...]
    cos: tuple[float, ...]

    @property
    def magic(self) -> float:
        """Adding it leaves the nearest integer plus the bias in a number's lowest bits."""
        return 1.5 * 2.0**self.mantissa + self.bias


FORMATS = {
    "float": Format(
        mantissa=23, bias=127, ln2_high=float.fromhex("0x1.62e3p-1"), ln2_low=9.0580006e-06,
        exp_centred=(1, 0.999999702, 0.499991447, 0.166676253, 0.0418984443, 0.0082916664),
        exp_upward=(
            1, 0.999999821, 0.500005543, 0.166611731, 0.0419108272, 0.00779733807, 0.00194643589,
        ),
        expm1=(1, 0.49999997, 0.166665465, 0.0416674204, 0.00836625975, 0.00138719101),
        log1p=(0.0833330229, 0.0125066955, 0.00218775216, 0.000546995085),
        half_pi=(
            float.fromhex("0x1.92p0"),
            float.fromhex("0x1.fb4p-12"),
            float.fromhex("0x1.4442d2p-24"),
        ),
        sin=(-1.6666654611e-1, 8.3321608736e-3, -1.9515295891e-4),
        cos=(4.166664568298827e-2, -1.388731625493765e-3, 2.443315711809948e-5),
    ),
    "double": Format(
        mantissa=52, bias=1023, ln2_high=float.fromhex("0x1.62e42feep-1"),
        ln2_low=1.9082149292705877e-10,
        exp_centred=(
            1.0, 1.0, 0.5000000000000011, 0.16666666666666452, 0.04166666666652672,
            0.008333333333471221, 0.0013888888944441583, 0.00019841269554210205,
            2.480149232630585e-05, 2.7557545443679094e-06, 2.7630505481690173e-07,
            2.501265294707208e-08,
        ),
        exp_upward=(
            1.0, 1.0000000000000009, 0.4999999999999225, 0.16666666666900123,
            0.041666666631795767, 0.00833333363440046, 0.001388887262311297,
            0.00019841842701947318, 2.4788246735659607e-05, 2.776049281265618e-06,
            2.5623769143795517e-07, 3.529273244964484e-08,
        ),
        expm1=(
            1.0, 0.5000000000000006, 0.16666666666666627, 0.0416666666665741,
            0.008333333333365153, 0.001388888893220275, 0.00019841269772391196,
            2.4801504645718695e-05, 2.7557359447460057e-06, 2.762625510386504e-07,
            2.5069106368231912e-08,
        ),
        log1p=(
            0.0833333333333329, 0.012500000000047567, 0.0022321428553472127,
            0.0004340278112380913, 8.877805206436284e-05, 1.8782393846342208e-05,
            4.059221847724678e-06, 9.234579649773803e-07, 1.5924447253680272e-07,
            8.107586678086614e-08,
        ),
        half_pi=(
            float.fromhex("0x1.921fb544p0"),
            float.fromhex("0x1.0b4611a6p-34"),
            float.fromhex("0x1.3198a2e037073p-69"),
        ),
        sin=(
            -1.66666666666666307295e-1, 8.33333333332211858878e-3, -1.98412698295895385996e-4,
            2.75573136213857245213e-6, -2.50507477628578072866e-8, 1.58962301576546568060e-10,
        ),
        cos=(
            4.16666666666665929218e-2, -1.38888888888730564116e-3, 2.48015872888517045348e-5,
            -2.75573141792967388112e-7, 2.08757008419747316778e-9, -1.13585365213876817300e-11,
        ),
    ),
}  # fmt: skip


class VectorMathematics:
    """The elementwise part of ``elman.graph.ops.Mathematics``, written with a builder.

    Values are the builder's vectors, conditions its masks.
    """

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.format = FORMATS[builder.scalar]

    # arithmetic

    def add(self, a: Value, b: Value) -> Value:
        return self.builder.binary("fadd", a, b)

    def subtract(self, a: Value, b: Value) -> Value:
        return self.builder.binary("fsub", a, b)

    def multiply(self, a: Value, b: Value) -> Value:
        return self.builder.binary("fmul", a, b)

    def divide(self, a: Value, b: Value) -> Value:
        return self.builder.binary("fdiv", a, b)

    def negate(self, a: Value) -> Value:
        return self.builder.negate(a)

    # choices

    def greater(self, a: Value, b: Value) -> Value:
        return self.builder.compare("ogt", a, b)

    def at_least(self, a: Value, b: Value) -> Value:
        return self.builder.compare("oge", a, b)

    def where(self, condition: Value, a: Value, b: Value) -> Value:
        return self.builder.select(condition, a, b)

    def relu(self, a: Value) -> Value:
        return self._not_below(a, self.builder.constant(0.0))

    def maximum(self, a: Value, b: Value) -> Value:
        return self._or_nan(a, self._not_below(b, a))

    def minimum(self, a: Value, b: Value) -> Value:
        return self._or_nan(a, self._not_above(b, a))

    # functions

    def exp(self, a: Value) -> Value:
        """2ⁿ times the exponential of r, where a = n ln 2 + r.

        Since r is in [0, ln 2], 2ⁿ only overflows if the result does.
        """
        f, constant = self.format, self.builder.constant
        a = self._not_below(a, constant(-(f.bias - 0.75) * LN2))  # 2ⁿ is 0
        a = self._not_above(a, constant((f.bias + 1.4) * LN2))  # 2ⁿ is inf
        below = self.builder.fma(a, constant(LOG2_E), constant(-0.5))
        shifted = self.add(below, constant(f.magic))
        r = self._remainder(a, self.subtract(shifted, constant(f.magic)), -1)
        return self.multiply(self._polynomial(f.exp_upward, r), self._power_of_two(shifted))

    def sigmoid(self, a: Value) -> Value:
        """Computed as 1 / (1 + 2ⁿ exp(-r)), where |r| is at most ln 2 / 2."""
        f, constant = self.format, self.builder.constant
        a = self._not_above(a, constant((f.mantissa + 4) * LN2))  # 1 + exp(-a) is 1
        a = self._not_below(a, constant(-(f.bias + 1.2) * LN2))  # 2ⁿ is inf
        shifted = self.builder.fma(a, constant(-LOG2_E), constant(f.magic))
        r = self._remainder(a, self.subtract(shifted, constant(f.magic)), 1)
        coefficients = [c * (-1) ** k for k, c in enumerate(f.exp_centred)]
        one, power = constant(1.0), self._power_of_two(shifted)
        return self.divide(one, self.builder.fma(self._polynomial(coefficients, r), power, one))

    def tanh(self, a: Value) -> Value:
        """Computed as h / (h + 1), where h = expm1(2a) / 2 = 2ⁿ expm1(2r) / 2 + (2ⁿ - 1) / 2."""
        f, b = self.format, self.builder
        limit = (f.mantissa + 4) * LN2 / 2  # h + 1 is h, or h is -1/2
        a = self._not_above(self._not_below(a, b.constant(-limit)), b.constant(limit))
        shifted = b.fma(a, b.constant(2 * LOG2_E), b.constant(f.magic))
        n = self.subtract(shifted, b.constant(f.magic))
        # an error of r matters little if n is large, so ln 2 needs no second part
        r = b.fma(n, b.constant(-LN2 / 2), a)
        coefficients = [c * 2.0**k for k, c in enumerate(f.expm1)]
        # r times, not r plus: a zero keeps its sign
        half_expm1 = self.multiply(self._polynomial(coefficients, r), r)
        power = self._power_of_two(shifted)
        # -(1 - 2ⁿ) / 2 is -0 at n = 0, for the same reason
        rest = self.negate(b.fma(power, b.constant(-0.5), b.constant(0.5)))
        h = b.fma(power, half_expm1, rest)
        return self.divide(h, self.add(h, b.constant(1.0)))

    def log(self, a: Value) -> Value:
        """The sum of n ln 2 and the logarithm of m, where a = 2ⁿ m and m is in [√½, √2)."""
        f, b = self.format, self.builder
        half_root = self._bits(math.sqrt(0.5))
        biased = b.integer(
            "add", b.as_integers(a), b.int_constant((f.bias << f.mantissa) - half_root)
        )
        exponent = b.integer("lshr", biased, b.int_constant(f.mantissa))
        large = 2.0**f.mantissa  # its lowest bits are those of an integer
        n = b.as_numbers(b.integer("or", exponent, b.int_constant(self._bits(large))))
        n = self.subtract(n, b.constant(large + f.bias))
        fraction = b.integer("and", biased, b.int_constant((1 << f.mantissa) - 1))
        m = b.as_numbers(b.integer("add", fraction, b.int_constant(half_root)))
        half = b.constant(0.5)
        y = self._log1p(self.subtract(m, b.constant(1.0)), b.fma(m, half, half))
        y = b.fma(n, b.constant(f.ln2_high), b.fma(n, b.constant(f.ln2_low), y))
        y = b.select(b.compare("olt", a, b.constant(math.inf)), y, a)  # keep inf and NaN
        negative = b.compare("olt", a, b.constant(0.0))
        edge = b.select(negative, b.constant(math.nan), b.constant(-math.inf))
        return b.select(b.compare("olt", a, b.constant(2.0 ** (1 - f.bias))), edge, y)

    def softplus(self, a: Value) -> Value:
        """The sum of max(a, 0) and log(1 + e) with e = exp(-|a|), which cannot overflow."""
        b = self.builder
        e = self.exp(self.negate(b.unary("fabs", a)))
        half_sum = b.fma(e, b.constant(0.5), b.constant(1.0))
        return self.add(self.relu(a), self._log1p(e, half_sum))

    def sqrt(self, a: Value) -> Value:
        return self.builder.unary("sqrt", a)

    def sin(self, a: Value) -> Value:
        return self._circle(a, 0)

    def cos(self, a: Value) -> Value:
        return self._circle(a, 1)

    def floor(self, a: Value) -> Value:
        """The nearest integer, less 1 if that is above ``a``; numbers without a fraction stay."""
        b, large = self.builder, self.builder.constant(2.0**self.format.mantissa)
        size = b.unary("fabs", a)
        nearest = self._with_sign(self.subtract(self.add(size, large), large), a)
        below = self.subtract(nearest, b.constant(1.0))
        whole = b.select(b.compare("ogt", nearest, a), below, nearest)
        return b.select(b.compare("olt", size, large), whole, a)

    def rsqrt(self, a: Value, offset: float) -> Value:
        root = self.builder.unary("sqrt", self.add(a, self.builder.constant(offset)))
        return self.divide(self.builder.constant(1.0), root)

    # parts of functions

    def _circle(self, a: Value, quarters: int) -> Value:
        """The sine of a plus some quarter turns: ±sin(r) or ±cos(r) with a = n π/2 + r."""
        f, b = self.format, self.builder
        shifted = b.fma(a, b.constant(2 / math.pi), b.constant(f.magic))
        n, r = self.subtract(shifted, b.constant(f.magic)), a
        for part in f.half_pi:
            r = b.fma(n, b.constant(-part), r)
        # where n has no digits left, some angle
        r = self._not_above(self._not_below(r, b.constant(-1.0)), b.constant(1.0))
        square = self.multiply(r, r)
        fourth = self.multiply(square, square)
        # r times, not r plus: a zero keeps its sign
        sine = self.multiply(r, b.fma(self._polynomial(f.sin, square), square, b.constant(1.0)))
        half = b.fma(square, b.constant(-0.5), b.constant(1.0))
        cosine = b.fma(self._polynomial(f.cos, square), fourth, half)
        # the lowest bits of ``shifted`` are those of n plus the bias, which is 3 modulo 4
        turns = b.integer("add", b.as_integers(shifted), b.int_constant(quarters + 1))
        ends = 8 * b.width
        odd = b.integer("shl", turns, b.int_constant(ends - 1))
        is_odd = b.compare(
            "olt", self._with_sign(b.constant(1.0), b.as_numbers(odd)), b.constant(0.0)
        )
        value = b.select(is_odd, cosine, sine)
        half_turn = b.integer(
            "shl", b.integer("lshr", turns, b.int_constant(1)), b.int_constant(ends - 1)
        )
        return b.as_numbers(b.integer("xor", b.as_integers(value), half_turn))

    def _with_sign(self, a: Value, sign: Value) -> Value:
        """The positive number ``a`` with the sign of another."""
        b = self.builder
        only = b.integer("and", b.as_integers(sign), b.int_constant(-(1 << (8 * b.width - 1))))
        return b.as_numbers(b.integer("or", b.as_integers(a), only))

    def _not_below(self, a: Value, limit: Value) -> Value:
        """The larger; ``a`` if one is NaN: one instruction on x86."""
        return self.where(self.greater(limit, a), limit, a)

    def _not_above(self, a: Value, limit: Value) -> Value:
        return self.where(self.greater(a, limit), limit, a)

    def _or_nan(self, a: Value, b: Value) -> Value:
        return self.where(self.builder.compare("uno", a, a), a, b)

    def _polynomial(self, coefficients: Sequence[float], x: Value) -> Value:
        value = self.builder.constant(coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            value = self.builder.fma(value, x, self.builder.constant(coefficient))
        return value

    def _remainder(self, a: Value, n: Value, sign: int) -> Value:
        """A + sign * n ln 2, for a small sum (Cody and Waite 1980)."""
        b, f = self.builder, self.format
        high = b.fma(n, b.constant(sign * f.ln2_high), a)
        return b.fma(n, b.constant(sign * f.ln2_low), high)

    def _power_of_two(self, shifted: Value) -> Value:
        """2ⁿ for ``shifted`` = n + magic; 0 below the normal range, inf above it."""
        b = self.builder
        bits = b.integer("shl", b.as_integers(shifted), b.int_constant(self.format.mantissa))
        return b.as_numbers(bits)

    def _log1p(self, y: Value, half_sum: Value) -> Value:
        """The logarithm of 1 + y, from y and 1 + y / 2: 2 artanh(t / 2), where t is their ratio."""
        t = self.divide(y, half_sum)
        square = self.multiply(t, t)
        cube = self.multiply(square, t)
        return self.builder.fma(self._polynomial(self.format.log1p, square), cube, t)

    def _bits(self, number: float) -> int:
        """The integer with the same bits."""
        real, whole = ("<f", "<i") if self.builder.scalar == "float" else ("<d", "<q")
        (bits,) = struct.unpack(whole, struct.pack(real, number))
        return int(bits)
