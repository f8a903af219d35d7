"""C as text: names that cannot break it, comments, tables of numbers, expressions.

An author may call a state ``double``, a gate ``λ`` and a value ``new``.  Every name of theirs gets
a prefix that no keyword, macro or function of C has, and what is not an ASCII letter, digit or
underscore is written by its code point, so no list of reserved words is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

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
    """Gives out identifiers, none of them twice.

    >>> names = Names()
    >>> names.take("v_", "h"), names.take("v_", "h")
    ('v_h', 'v_h_2')
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, prefix: str, name: str) -> str:
        """An identifier that begins with the prefix."""
        wanted = free = prefix + mangled(name)
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
    written = f"{value:.9g}"
    return f"{written}f" if set(written) & {".", "e"} else f"{written}.0f"


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
    """A piece of C, with how tightly its outermost operator binds: 9 for a name or a call."""

    tightness: int

    def __new__(cls, text: str, tightness: int = 9) -> Expression:
        made = super().__new__(cls, text)
        made.tightness = tightness
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
        return Expression(f"{a.within(4)} + {b.within(5)}", 4)

    def subtract(self, a: Expression, b: Expression) -> Expression:
        return Expression(f"{a.within(4)} - {b.within(5)}", 4)

    def multiply(self, a: Expression, b: Expression) -> Expression:
        return Expression(f"{a.within(5)} * {b.within(6)}", 5)

    def divide(self, a: Expression, b: Expression) -> Expression:
        return Expression(f"{a.within(5)} / {b.within(6)}", 5)

    def negate(self, a: Expression) -> Expression:
        return Expression(f"-{a.within(7)}", 6)

    def exp(self, a: Expression) -> Expression:
        return Expression(f"expf({a})")

    def log(self, a: Expression) -> Expression:
        return Expression(f"logf({a})")

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
    "tanh": """\
/* beyond it tanh is 1; read when the program runs, since what a compiler knows of a number it
   uses to make branches, and a loop with branches is not vectorised */
static const volatile float PREFIX_limit = 7.99881172f;

/* tanh(x) as a rational function, for loops that a compiler can vectorise; absolute error 3e-7 */
static inline float PREFIX_tanh(float x, float limit)
{
    const float a = fabsf(x) > limit ? copysignf(limit, x) : x;
    const float q = a * a;
    float p = -2.76076847742355e-16f;
    float d = 1.19825839466702e-06f;
    p = PREFIX_mad(q, p, 2.00018790482477e-13f);
    p = PREFIX_mad(q, p, -8.60467152213735e-11f);
    p = PREFIX_mad(q, p, 5.12229709037114e-08f);
    p = PREFIX_mad(q, p, 1.48572235717979e-05f);
    p = PREFIX_mad(q, p, 6.37261928875436e-04f);
    p = PREFIX_mad(q, p, 4.89352455891786e-03f);
    d = PREFIX_mad(q, d, 1.18534705686654e-04f);
    d = PREFIX_mad(q, d, 2.26843463243900e-03f);
    d = PREFIX_mad(q, d, 4.89352518554385e-03f);
    return a * p / d;
}
""",
    "sigmoid": """\
static inline float PREFIX_sigmoid(float x, float limit)
{
    return PREFIX_mad(0.5f, PREFIX_tanh(0.5f * x, limit), 0.5f);
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
_NEEDS = {"tanh": {"mad"}, "sigmoid": {"tanh", "mad"}, "dot": {"mad"}}


def helper_functions(prefix: str, used: Iterable[str], kind: str) -> str:
    """The definitions of the helpers and of what they call; ``kind`` is the type of weights."""
    wanted = set(used)
    for name in used:
        wanted |= _NEEDS.get(name, set())
    bodies = [body for name, body in HELPERS.items() if name in wanted]
    return "\n".join(bodies).replace("PREFIX", prefix).replace("NUMBER", kind)
