"""The table of operations: one row defines an operation completely.

To add an operation, add a row and, if users call it as a function, a function below the table.  A
row's ``evaluate`` uses only ``Mathematics``, the short list of functions that each engine
supplies, so every engine can run, differentiate and print a new row.
"""

from __future__ import annotations

from math import inf
from typing import Any, Protocol

from elman.graph.node import (
    OPERATIONS,
    Kind,
    Misuse,
    Node,
    Operand,
    Operation,
    apply,
    as_matrix,
)
from elman.graph.sizes import (
    blocks,
    columns_of,
    declared,
    elementwise,
    fixed,
    given,
    of_mask,
    of_matrix,
    of_repeat,
    of_state,
    of_vector,
    of_vectors,
    product,
    read,
    rows_of_block,
)
from elman.graph.sizes import (
    head_sum as size_of_head_sum,
)
from elman.graph.sizes import (
    outer as size_of_outer,
)

#: Added to the variance in layer normalisation (Ba, Kiros and Hinton 2016), as torch.nn does.
LAYER_NORM_EPSILON = 1e-5

Value = Any


class Mathematics(Protocol):
    """The functions that an engine supplies; ``mean`` reduces the last axis and keeps it."""

    def add(self, a: Value, b: Value) -> Value: ...
    def subtract(self, a: Value, b: Value) -> Value: ...
    def multiply(self, a: Value, b: Value) -> Value: ...
    def divide(self, a: Value, b: Value) -> Value: ...
    def negate(self, a: Value) -> Value: ...
    def exp(self, a: Value) -> Value: ...
    def log(self, a: Value) -> Value: ...
    def softplus(self, a: Value) -> Value: ...
    def sqrt(self, a: Value) -> Value: ...
    def sin(self, a: Value) -> Value: ...
    def cos(self, a: Value) -> Value: ...
    def floor(self, a: Value) -> Value: ...
    def tanh(self, a: Value) -> Value: ...
    def sigmoid(self, a: Value) -> Value: ...
    def relu(self, a: Value) -> Value: ...
    def maximum(self, a: Value, b: Value) -> Value: ...
    def minimum(self, a: Value, b: Value) -> Value: ...
    def greater(self, a: Value, b: Value) -> Value: ...
    def at_least(self, a: Value, b: Value) -> Value: ...
    def where(self, condition: Value, a: Value, b: Value) -> Value: ...
    def mean(self, a: Value) -> Value: ...
    def rsqrt(self, a: Value, offset: float) -> Value: ...


class HeadMathematics(Protocol):
    """The sums that cells with a matrix state need: over the keys, units, or both, of each head."""

    def key_sum(self, a: Value) -> Value: ...
    def unit_sum(self, a: Value) -> Value: ...
    def head_sum(self, a: Value) -> Value: ...


class MatrixMathematics(Protocol):
    """The functions of matrices of parameters, which are computed with torch before the steps."""

    def transpose(self, a: Value) -> Value: ...
    def orthogonal(self, a: Value) -> Value: ...
    def householder(self, a: Value) -> Value: ...
    def unit_rows(self, a: Value) -> Value: ...
    def lower_triangle(self, a: Value) -> Value: ...
    def heads(self, a: Value, count: Value) -> Value: ...


def _normalise(m: Mathematics, a: Value) -> tuple[Value, Value]:
    """``a`` scaled to mean 0 and variance 1 over its last axis, and the scale factor."""
    centred = m.subtract(a, m.mean(a))
    scale = m.rsqrt(m.mean(m.multiply(centred, centred)), LAYER_NORM_EPSILON)
    return m.multiply(centred, scale), scale


def _layer_norm_gradient(m: Mathematics, g: Value, a: Value) -> Value:
    y, scale = _normalise(m, a)
    along = m.multiply(y, m.mean(m.multiply(g, y)))
    return m.multiply(scale, m.subtract(m.subtract(g, m.mean(g)), along))


def _larger_takes_all(g: Node, winner: Node, loser: Node) -> Node:
    """The adjoint of the winner of a maximum or minimum; a tie splits it evenly, as in torch."""
    return apply("where", winner > loser, g, apply("where", loser > winner, 0.0, g * 0.5))


def _transposed(g: Node, y: Node, operands: tuple[Node, ...]) -> tuple[Node | None, ...]:
    """The adjoint of each operand of a product: its block of the matrix, transposed, times g."""
    columns = columns_of([operand.size for operand in operands[1:]], y.attribute)
    return (
        None,
        *[apply("transposed_product", operands[0], g, attribute=(block,)) for block in columns],
    )


TABLE = (
    # leaves
    Operation("input", fixed("input"), text="x", latex=r"x_t", kind="leaf"),
    Operation("state", of_state, kind="leaf"),
    Operation("vector", of_vector, kind="parameter"),
    Operation("matrix", fixed("matrix"), kind="parameter"),
    Operation("adjoint", declared, kind="leaf", internal=True),
    Operation("constant", fixed("one"), kind="leaf"),
    # an input beside x: (NAME, SIZE)
    Operation("side", declared, kind="leaf"),
    # random masks for training: (ROLE, OF, "step" or "sequence"), and a size that is not hidden;
    # created by passes, not by users
    Operation("mask", of_mask, kind="leaf"),
    # products; passes, not users, create `block_product` and `transposed_product`
    Operation("product", product, _transposed, kind="product"),
    Operation(
        "block_product", rows_of_block,
        lambda g, y, v: (None, apply("transposed_product", v[0], g, attribute=(y.attribute,))),
        kind="product", internal=True,
    ),
    Operation("transposed_product", blocks, kind="product", internal=True),
    # a value of size one for as many units as the attribute says, or a matrix of one row
    Operation("repeat", of_repeat, kind="matrix", internal=True),
    # arithmetic
    Operation(
        "add", elementwise, lambda g, y, v: (g, g),
        lambda m, a, b: m.add(a, b), "{0} + {1}", "{0} + {1}", 4,
        kind="arithmetic",
    ),
    Operation(
        "subtract", elementwise, lambda g, y, v: (g, -g),
        lambda m, a, b: m.subtract(a, b), "{0} - {1}", "{0} - {1}", 4,
        kind="arithmetic",
    ),
    Operation(
        "multiply", elementwise, lambda g, y, v: (g * v[1], g * v[0]),
        lambda m, a, b: m.multiply(a, b), "{0} * {1}", r"{0} \odot {1}", 5,
        kind="arithmetic",
    ),
    Operation(
        "divide", elementwise, lambda g, y, v: (g / v[1], -(g * y) / v[1]),
        lambda m, a, b: m.divide(a, b), "{0} / {1}", r"{0} / {1}", 5,
    ),
    Operation(
        "negate", elementwise, lambda g, y, v: (-g,),
        lambda m, a: m.negate(a), "-{0}", "-{0}", 6,
        kind="arithmetic",
    ),
    # functions
    Operation(
        "sigmoid", elementwise, lambda g, y, v: (g * (y * (1 - y)),),
        lambda m, a: m.sigmoid(a), "σ({0})", r"\sigma({0})",
        bounds=(0.0, 1.0),
    ),
    Operation(
        "tanh", elementwise, lambda g, y, v: (g * (1 - y * y),),
        lambda m, a: m.tanh(a), "tanh({0})", r"\tanh({0})",
        bounds=(-1.0, 1.0),
    ),
    Operation(
        "relu", elementwise, lambda g, y, v: (apply("where", y > 0, g, 0.0),),
        lambda m, a: m.relu(a), "relu({0})", r"\operatorname{{relu}}({0})",
        bounds=(0.0, inf),
    ),
    Operation(
        "exp", elementwise, lambda g, y, v: (g * y,),
        lambda m, a: m.exp(a), "exp({0})", r"\exp({0})",
    ),
    Operation(
        "log", elementwise, lambda g, y, v: (g / v[0],),
        lambda m, a: m.log(a), "log({0})", r"\log({0})",
    ),
    Operation(
        "softplus", elementwise, lambda g, y, v: (g * apply("sigmoid", v[0]),),
        lambda m, a: m.softplus(a), "softplus({0})", r"\operatorname{{softplus}}({0})",
    ),
    Operation(
        "sqrt", elementwise, lambda g, y, v: (0.5 * g / y,),
        lambda m, a: m.sqrt(a), "sqrt({0})", r"\sqrt{{{0}}}",
    ),
    Operation(
        "abs", elementwise,
        lambda g, y, v: (apply("where", v[0] > 0, g, apply("where", v[0] < 0, -g, 0.0)),),
        lambda m, a: m.maximum(a, m.negate(a)), "abs({0})", r"|{0}|",
    ),
    Operation(
        "sin", elementwise, lambda g, y, v: (g * apply("cos", v[0]),),
        lambda m, a: m.sin(a), "sin({0})", r"\sin({0})",
    ),
    Operation(
        "cos", elementwise, lambda g, y, v: (-(g * apply("sin", v[0])),),
        lambda m, a: m.cos(a), "cos({0})", r"\cos({0})",
    ),
    # its adjoint is zero almost everywhere
    Operation(
        "floor", elementwise, lambda g, y, v: (None,),
        lambda m, a: m.floor(a), "floor({0})", r"\lfloor {0} \rfloor",
    ),
    Operation(
        "maximum", elementwise,
        lambda g, y, v: (_larger_takes_all(g, v[0], v[1]), _larger_takes_all(g, v[1], v[0])),
        lambda m, a, b: m.maximum(a, b), "max({0}, {1})", r"\max({0}, {1})",
    ),
    Operation(
        "minimum", elementwise,
        lambda g, y, v: (_larger_takes_all(g, v[1], v[0]), _larger_takes_all(g, v[0], v[1])),
        lambda m, a, b: m.minimum(a, b), "min({0}, {1})", r"\min({0}, {1})",
    ),
    # conditions: their adjoint is zero almost everywhere
    Operation(
        "greater", elementwise, lambda g, y, v: (None, None),
        lambda m, a, b: m.greater(a, b), "{0} > {1}", "{0} > {1}", 2,
        kind="condition",
    ),
    Operation(
        "at_least", elementwise, lambda g, y, v: (None, None),
        lambda m, a, b: m.at_least(a, b), "{0} >= {1}", r"{0} \geq {1}", 2,
        kind="condition",
    ),
    Operation(
        "where", elementwise,
        lambda g, y, v: (None, apply("where", v[0], g, 0.0), apply("where", v[0], 0.0, g)),
        lambda m, c, a, b: m.where(c, a, b),
        "where({0}, {1}, {2})", r"\operatorname{{where}}({0}, {1}, {2})",
    ),
    # functions of matrices of parameters; computed before the steps (``passes/separate.py``)
    Operation(
        "transpose", of_matrix, None, lambda m, a: m.transpose(a),
        "{0}ᵀ", r"{0}^{{\top}}", 8,
        kind="matrix",
    ),
    Operation(
        "skew", of_matrix, None, lambda m, a: m.subtract(a, m.transpose(a)),
        "skew({0})", r"\operatorname{{skew}}({0})",
        kind="matrix",
    ),
    Operation(
        "orthogonal", of_matrix, None, lambda m, a: m.orthogonal(a),
        "orthogonal({0})", r"\operatorname{{orthogonal}}({0})",
        kind="matrix",
    ),
    Operation(
        "householder", of_matrix, None, lambda m, a: m.householder(a),
        "householder({0})", r"\operatorname{{householder}}({0})",
        kind="matrix",
    ),
    Operation(
        "unit_rows", of_matrix, None, lambda m, a: m.unit_rows(a),
        "unit_rows({0})", r"\operatorname{{unitrows}}({0})",
        kind="matrix",
    ),
    Operation(
        "lower_triangle", of_matrix, None, lambda m, a: m.lower_triangle(a),
        "lower_triangle({0})", r"\operatorname{{lower}}({0})",
        kind="matrix",
    ),
    Operation(
        "heads", of_matrix, None, lambda m, a, n: m.heads(a, n),
        "heads({0}, {1})", r"\operatorname{{heads}}_{{{1}}}({0})",
        kind="matrix",
    ),
    # matrix states: a value for each unit and key of a head (``backends/memory``)
    Operation(
        "outer", size_of_outer, lambda g, y, v: (g * v[1], g * v[0]),
        lambda m, a, b: m.multiply(a, b), "outer({0}, {1})", r"\operatorname{{outer}}({0}, {1})",
        kind="memory",
    ),
    Operation(
        "read", read, lambda g, y, v: (apply("outer", g, v[1]), g * v[0]),
        lambda m, a, b: m.key_sum(m.multiply(a, b)), "{0} · {1}", r"{0} \cdot {1}", 5,
        kind="memory",
    ),
    Operation(
        "head_sum", size_of_head_sum, lambda g, y, v: (g,),
        lambda m, a: m.head_sum(a), "head_sum({0})", r"\sum_{{\mathrm{{head}}}}({0})",
        kind="memory",
    ),
    # what adjoints need: the sum over the keys, or the units, of each head, and a repeated value
    Operation(
        "key_sum", given, None, lambda m, a: m.key_sum(a),
        "key_sum({0})", r"\sum_{{\mathrm{{key}}}}({0})",
        kind="memory", internal=True,
    ),
    Operation(
        "unit_sum", given, None, lambda m, a: m.unit_sum(a),
        "unit_sum({0})", r"\sum_{{\mathrm{{unit}}}}({0})",
        kind="memory", internal=True,
    ),
    Operation(
        "repeated", given, None, lambda m, a: a,
        "{0}", "{0}",
        kind="memory", internal=True,
    ),
    # reductions over the vector
    Operation(
        "layer_norm", of_vectors,
        lambda g, y, v: (apply("layer_norm_gradient", g, v[0]),),
        lambda m, a: _normalise(m, a)[0], "layer_norm({0})", r"\operatorname{{LN}}({0})",
        kind="reduction",
    ),
    Operation(
        "layer_norm_gradient", elementwise, None,
        _layer_norm_gradient, "layer_norm_gradient({0}, {1})",
        r"\operatorname{{LN}}'({0}, {1})",
        kind="reduction", internal=True,
    ),
    # the parts of layer normalisation; created by a pass, not by users
    Operation(
        "mean", elementwise, None, lambda m, a: m.mean(a),
        "mean({0})", r"\operatorname{{mean}}({0})",
        kind="reduction", internal=True,
    ),
    Operation(
        "rsqrt", elementwise, None, lambda m, a: m.rsqrt(a, 0.0),
        "rsqrt({0})", r"\operatorname{{rsqrt}}({0})",
        internal=True,
    ),
)  # fmt: skip

OPERATIONS.update({row.name: row for row in TABLE})


def _of_kind(*kinds: Kind) -> frozenset[str]:
    return frozenset([row.name for row in TABLE if row.kind in kinds])


#: Operations without operands.
LEAVES = _of_kind("leaf", "parameter")
#: The learned leaves.
PARAMETERS = _of_kind("parameter")
#: Functions of matrices of parameters.
MATRICES = _of_kind("matrix")
#: Operations of cells with a matrix state.
MEMORY = _of_kind("memory")
#: Matrix products; their first operand is the matrix.
PRODUCTS = _of_kind("product")
#: Comparisons; allowed only as the first operand of ``where``.
CONDITIONS = _of_kind("condition")
#: Operations that are cheaper to recompute than to load from memory.
CHEAP = _of_kind("arithmetic")
#: Operations that need all units of a row.
REDUCTIONS = _of_kind("reduction")
#: Operations that passes create; a cell never contains them.
INTERNAL = frozenset([row.name for row in TABLE if row.internal])
#: Functions that saturate, with their range.
SATURATING = {row.name: row.bounds for row in TABLE if row.bounds is not None}


def sigmoid(a: Operand) -> Node:
    """σ(a) = eᵃ / (1 + eᵃ), elementwise."""
    return apply("sigmoid", a)


def tanh(a: Operand) -> Node:
    """The hyperbolic tangent, elementwise."""
    return apply("tanh", a)


def relu(a: Operand) -> Node:
    """max(a, 0), elementwise; its derivative at 0 is 0."""
    return apply("relu", a)


def exp(a: Operand) -> Node:
    """eᵃ, elementwise."""
    return apply("exp", a)


def log(a: Operand) -> Node:
    """The natural logarithm, elementwise."""
    return apply("log", a)


def softplus(a: Operand) -> Node:
    """log(1 + eᵃ), elementwise, without overflow."""
    return apply("softplus", a)


def sqrt(a: Operand) -> Node:
    """The square root, elementwise; its derivative at 0 is infinite."""
    return apply("sqrt", a)


def abs(a: Operand) -> Node:
    """|a|, elementwise; its derivative at 0 is 0."""
    return apply("abs", a)


def sin(a: Operand) -> Node:
    """The sine of an angle in radians, elementwise; precise for a thousand turns."""
    return apply("sin", a)


def cos(a: Operand) -> Node:
    """The cosine of an angle in radians, elementwise; precise for a thousand turns."""
    return apply("cos", a)


def floor(a: Operand) -> Node:
    """The largest integer that is not above a, elementwise; its derivative is 0."""
    return apply("floor", a)


def maximum(a: Operand, b: Operand) -> Node:
    """The larger of two values, elementwise."""
    return apply("maximum", a, b)


def minimum(a: Operand, b: Operand) -> Node:
    """The smaller of two values, elementwise."""
    return apply("minimum", a, b)


def where(condition: Operand, a: Operand, b: Operand) -> Node:
    """``a`` where the condition (``x > y``, ``x <= y`` ...) holds, ``b`` elsewhere."""
    return apply("where", condition, a, b)


def layer_norm(a: Operand) -> Node:
    """``a`` normalised to mean 0 and variance 1 over its units (Ba, Kiros and Hinton 2016).

    Write gain and bias as vectors of the cell: ``p.f * layer_norm(W.f @ [h, x]) + b.f``.
    """
    return apply("layer_norm", a)


def matrix(a: Operand) -> Node:
    """``W.f`` as a matrix to compute with, as in ``exp(matrix(W.f)) @ h``.

    Matrices are computed once per call, not at each step, and have gradients.  They take
    arithmetic with one another and with numbers, elementwise functions, ``W.f.T`` (the transpose)
    and the functions ``skew``, ``orthogonal``, ``householder``, ``unit_rows``, ``lower_triangle``
    and ``heads``.
    """
    return as_matrix(a)


def transpose(a: Operand) -> Node:
    """The transpose of a square matrix; ``W.f.T`` is short for it."""
    return apply("transpose", as_matrix(a))


def skew(a: Operand) -> Node:
    """W - Wᵀ, an antisymmetric matrix: its eigenvalues are imaginary (Chang et al. 2019)."""
    return apply("skew", as_matrix(a))


def orthogonal(a: Operand) -> Node:
    """An orthogonal matrix: the Cayley transform of W - Wᵀ (Helfrich, Willmott and Ye 2018)."""
    return apply("orthogonal", as_matrix(a))


def householder(a: Operand) -> Node:
    """An orthogonal matrix: a product of reflections (Mhammedi et al. 2017).

    The reflections are along the columns of the matrix, each below a 1 on the diagonal.
    """
    return apply("householder", as_matrix(a))


def unit_rows(a: Operand) -> Node:
    """Each row divided by its length, as in weight normalisation (Salimans and Kingma 2016).

    ``p.f * (unit_rows(W.f) @ h)`` has a learned length for each row.
    """
    return apply("unit_rows", as_matrix(a))


def lower_triangle(a: Operand) -> Node:
    """Zeros above the diagonal."""
    return apply("lower_triangle", as_matrix(a))


def heads(a: Operand, count: int) -> Node:
    """A block-diagonal matrix: units are in ``count`` heads, which do not read one another.

    ``heads(W.i, 4) @ h`` multiplies each quarter of h with a matrix of its own.  The number of
    units must be divisible by ``count``, and so must that of the operand.
    """
    if type(count) is not int or count < 1:
        raise Misuse(f"the number of heads is {count!r}; it must be a positive integer")
    return apply("heads", as_matrix(a), count)


def outer(v: Operand, k: Operand) -> Node:
    """The products of each unit's value and each key's, in each head: what a matrix state adds.

    ``S @ q`` reads a matrix state: for each unit the sum over the keys.
    """
    return apply("outer", v, k)


def head_sum(a: Operand) -> Node:
    """The sum over the units, or the keys, of each head."""
    return apply("head_sum", a)
