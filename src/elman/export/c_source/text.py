"""C as text: names that cannot break it, comments, tables of numbers, expressions.

An author may call a state ``double``, a gate ``λ`` and a value ``new``.  Every name of theirs gets
a prefix that no keyword, macro or function of C has, and what is not an ASCII letter, digit or
underscore is written by its code point, so no list of reserved words is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from elman.errors import ExportError

#: the width of a line
COLUMNS = 100


def mangled(name: str) -> str:
    """The name in letters, digits and underscores of ASCII.

    >>> mangled("h'"), mangled("λ_2")
    ('h_next', 'u03bb__2')
    """
    name = name.replace("'", "_next")
    return re.sub(r"[^A-Za-z0-9_]", lambda found: f"u{ord(found[0]):04x}_", name)


class Names:
    """Gives out identifiers, none of them twice, and none that begins with ``others``.

    >>> names = Names("m_")
    >>> names.take("v_", "h"), names.take("v_", "h"), names.take("m_", "mean")
    ('v_h', 'v_h_2', 'own_m_mean')
    """

    def __init__(self, others: str = "") -> None:
        self._taken: set[str] = set()
        self._others = others

    def take(self, prefix: str, name: str) -> str:
        """An identifier that begins with the prefix."""
        wanted = free = prefix + mangled(name)
        if self._others and wanted.startswith(self._others):
            wanted = free = f"own_{wanted}"
        number = 1
        while free in self._taken:
            number += 1
            free = f"{wanted}_{number}"
        self._taken.add(free)
        return free


def comment(text: str) -> str:
    """Text that stands in a comment: ASCII, one line, and no end of a comment inside."""
    text = text.replace("σ", "sigmoid").replace("·", "@").replace("/*", "/ *").replace("*/", "* /")
    printable = [c if c.isascii() and c.isprintable() else f"u{ord(c):04x}_" for c in text]
    return "".join(printable).replace("\\", "/").replace("??", "? ?")


def literal(value: float) -> str:
    """A number as a constant of type float.

    >>> literal(1.0), literal(-0.1), literal(1e-30)
    ('1.0f', '-0.1f', '1e-30f')
    """
    with np.errstate(over="ignore"):
        single = np.float32(value)
    if np.isinf(single):
        raise ExportError(f"C: the constant {value:g} is larger than a float32 can be.")
    return f"{single!s}f"


def table(kind: str, name: str, values: Sequence[float] | Sequence[int], aligned: str = "") -> str:
    """The definition of a constant array."""
    if kind == "float":
        written: Iterable[str] = map(literal, values)
    else:
        written = map(str, values)
    lines, current = [], "   "
    for word in written:
        if len(current) + len(word) + 2 > COLUMNS:
            lines.append(current)
            current = "   "
        current += f" {word},"
    lines.append(current.rstrip(","))
    body = "\n".join(lines)
    return f"static const {kind} {name}[{len(values)}]{aligned} = {{\n{body}\n}};\n"


class Expression(str):
    """A piece of C, with how tightly its outermost operator binds: 9 for a name or a call.

    ``factors`` are those of a product, so that it can be added in the instruction that multiplies.
    """

    tightness: int
    factors: tuple[Expression, Expression] | None

    def __new__(
        cls,
        text: str,
        tightness: int = 9,
        factors: tuple[Expression, Expression] | None = None,
    ) -> Expression:
        made = super().__new__(cls, text)
        made.tightness, made.factors = tightness, factors
        return made

    def within(self, tightness: int) -> str:
        """The text, in parentheses where it binds less than it must."""
        return f"({self})" if self.tightness < tightness else str(self)


def number(value: float) -> Expression:
    """A number inside an expression."""
    return Expression(literal(value), 9 if value >= 0 else 6)


#: where tanh is 1: a local variable of the function of a layer
LIMIT = Expression("limit")


class CMathematics:
    """The functions in which the table of operations is written, as expressions of C.

    ``helpers`` collects the functions that the expressions call; ``prefix`` begins their names.
    With ``exact`` tanh and sigmoid are those of the C library, whose small values have small
    relative errors.
    """

    def __init__(self, prefix: str, helpers: set[str], *, exact: bool = False) -> None:
        self._prefix, self._helpers, self._exact = prefix, helpers, exact

    def __getattr__(self, name: str) -> object:
        raise ExportError(
            f"C: the exporter has no function {name}, which an operation of this cell is made of; "
            "export to ONNX, or add it to CMathematics in export/c_source/text.py."
        )

    def _call(self, helper: str, *arguments: Expression) -> Expression:
        self._helpers.add(helper)
        return Expression(f"{self._prefix}_{helper}({', '.join(arguments)})")

    def add(self, a: Expression, b: Expression) -> Expression:
        for product, other in ((a, b), (b, a)):
            if product.factors is not None:
                return self._call("mad", *product.factors, other)
        return Expression(f"{a.within(4)} + {b.within(5)}", 4)

    def subtract(self, a: Expression, b: Expression) -> Expression:
        return Expression(f"{a.within(4)} - {b.within(5)}", 4)

    def multiply(self, a: Expression, b: Expression) -> Expression:
        return Expression(f"{a.within(5)} * {b.within(6)}", 5, (a, b))

    def divide(self, a: Expression, b: Expression) -> Expression:
        return Expression(f"{a.within(5)} / {b.within(6)}", 5)

    def negate(self, a: Expression) -> Expression:
        return Expression(f"-{a.within(7)}", 6)

    def exp(self, a: Expression) -> Expression:
        return Expression(f"expf({a})")

    def log(self, a: Expression) -> Expression:
        return Expression(f"logf({a})")

    def sqrt(self, a: Expression) -> Expression:
        return Expression(f"sqrtf({a})")

    def sin(self, a: Expression) -> Expression:
        return Expression(f"sinf({a})")

    def cos(self, a: Expression) -> Expression:
        return Expression(f"cosf({a})")

    def floor(self, a: Expression) -> Expression:
        return Expression(f"floorf({a})")

    def softplus(self, a: Expression) -> Expression:
        return self._call("softplus", a)

    def tanh(self, a: Expression) -> Expression:
        return Expression(f"tanhf({a})") if self._exact else self._call("tanh", a, LIMIT)

    def sigmoid(self, a: Expression) -> Expression:
        if self._exact:
            return self._call("exact_sigmoid", a)
        return self._call("sigmoid", a, LIMIT)

    def relu(self, a: Expression) -> Expression:
        return self._call("relu", a)

    def maximum(self, a: Expression, b: Expression) -> Expression:
        return self._call("max", a, b)

    def minimum(self, a: Expression, b: Expression) -> Expression:
        return self._call("min", a, b)

    def greater(self, a: Expression, b: Expression) -> Expression:
        return Expression(f"{a.within(4)} > {b.within(4)}", 2)

    def at_least(self, a: Expression, b: Expression) -> Expression:
        return Expression(f"{a.within(4)} >= {b.within(4)}", 2)

    def where(self, condition: Expression, a: Expression, b: Expression) -> Expression:
        return Expression(f"{condition} ? {a.within(2)} : {b.within(2)}", 1)

    def rsqrt(self, a: Expression, offset: float) -> Expression:
        inside = a if offset == 0 else self.add(a, number(offset))
        return Expression(f"1.0f / sqrtf({inside})", 5)


#: the bodies of the functions that expressions call, in the order of their definition
HELPERS = {
    "mad": """\
/* a * b + c, by one instruction where the processor has it */
static inline float PREFIX_mad(float a, float b, float c)
{
#ifdef FP_FAST_FMAF
    return fmaf(a, b, c);
#else
    return a * b + c;
#endif
}
""",
    "limit": """\
/* beyond it tanh is 1; read when the program runs, since what a compiler knows of a number it
   uses to make branches, and a loop with branches is not vectorised */
static const volatile float PREFIX_limit = 7.99881172f;
""",
    "tanh": """\
/* tanh(x) as a rational function, for loops that a compiler can vectorise; absolute error 3e-7;
   its polynomials are taken apart so that few operations wait for each other (Estrin 1960) */
static inline float PREFIX_tanh(float x, float limit)
{
    const float least = -limit;
    const float b = x > limit ? limit : x;
    const float a = b < least ? least : b;
    const float q = a * a, q2 = q * q;
    const float p0 = PREFIX_mad(q, 0.000637261929f, 0.00489352456f);
    const float p1 = PREFIX_mad(q, 5.12229709e-08f, 1.48572236e-05f);
    const float p2 = PREFIX_mad(q, 2.0001879e-13f, -8.60467152e-11f);
    const float d0 = PREFIX_mad(q, 0.00226843463f, 0.00489352519f);
    const float d1 = PREFIX_mad(q, 1.19825839e-06f, 0.000118534706f);
    const float low = PREFIX_mad(q2, p1, p0), high = PREFIX_mad(q2, -2.76076848e-16f, p2);
    const float p = PREFIX_mad(q2 * q2, high, low), d = PREFIX_mad(q2, d1, d0);
    return a * p / d;
}
""",
    "sigmoid": """\
/* 0.5 + 0.5 * tanh(0.5 * x) as one rational function */
static inline float PREFIX_sigmoid(float x, float limit)
{
    const float most = limit + limit, least = -most;
    const float b = x > most ? most : x;
    const float a = b < least ? least : b;
    const float q = a * a, q2 = q * q;
    const float p0 = PREFIX_mad(q, 0.000159315482f, 0.00489352456f);
    const float p1 = PREFIX_mad(q, 8.0035892e-10f, 9.28576473e-07f);
    const float p2 = PREFIX_mad(q, 1.9533085e-16f, -3.36119981e-13f);
    const float d0 = PREFIX_mad(q, 0.000567108658f, 0.00489352519f);
    const float d1 = PREFIX_mad(q, 1.87227874e-08f, 7.40841911e-06f);
    const float low = PREFIX_mad(q2, p1, p0), high = PREFIX_mad(q2, -6.74015742e-20f, p2);
    const float p = PREFIX_mad(q2 * q2, high, low), d = PREFIX_mad(q2, d1, d0);
    return PREFIX_mad(0.25f * a, p, 0.5f * d) / d;
}
""",
    "exact_sigmoid": """\
/* sigmoid(x) with a small relative error, for what is divided by or has its logarithm taken */
static inline float PREFIX_exact_sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}
""",
    "softplus": """\
/* log(1 + exp(x)) without overflow */
static inline float PREFIX_softplus(float x)
{
    return (x > 0.0f ? x : 0.0f) + log1pf(expf(-fabsf(x)));
}
""",
    "relu": """\
static inline float PREFIX_relu(float x)
{
    return x < 0.0f ? 0.0f : x;
}
""",
    "max": """\
static inline float PREFIX_max(float a, float b)
{
    return a > b ? a : b;
}
""",
    "min": """\
static inline float PREFIX_min(float a, float b)
{
    return a < b ? a : b;
}
""",
    "mean": """\
/* the mean of n numbers, as sums side by side so that a compiler can vectorise them */
static float PREFIX_mean(const float *a, int n)
{
    float part[8] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    float sum = 0.0f;
    int k = 0;
    for (; k + 8 <= n; k += 8)
        for (int j = 0; j < 8; ++j)
            part[j] += a[k + j];
    for (; k < n; ++k)
        sum += a[k];
    for (int j = 0; j < 8; ++j)
        sum += part[j];
    return sum / (float)n;
}
""",
    "dot": """\
/* the sum of a[k] * b[k], as sums side by side so that a compiler can vectorise them */
static float PREFIX_dot(const NUMBER *a, const float *b, int n)
{
    float part[16] = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f,
                      0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    float sum = 0.0f;
    int k = 0;
    for (; k + 16 <= n; k += 16)
        for (int j = 0; j < 16; ++j)
            part[j] = PREFIX_mad((float)a[k + j], b[k + j], part[j]);
    for (; k < n; ++k)
        sum += (float)a[k] * b[k];
    for (int j = 0; j < 16; ++j)
        sum += part[j];
    return sum;
}
""",
}

#: what a helper calls
_NEEDS = {"tanh": {"limit", "mad"}, "sigmoid": {"limit", "mad"}, "dot": {"mad"}}


def helper_functions(prefix: str, used: Iterable[str], kind: str) -> str:
    """The definitions of the helpers and of what they call; ``kind`` is the type of weights."""
    wanted = set(used)
    for name in used:
        wanted |= _NEEDS.get(name, set())
    bodies = [body for name, body in HELPERS.items() if name in wanted]
    return "\n".join(bodies).replace("PREFIX", prefix).replace("NUMBER", kind)
