"""The language of cells: from equations in Python to a graph of one step.

This package imports neither torch nor llvmlite.  Read ``node.py`` first, then ``ops.py`` (the
table of operations) and ``trace.py`` (the ``@cell`` decorator).  ``written.py`` reads the same
equations from text without executing it.
"""

from elman.graph.cell import Cell, Parameter
from elman.graph.ops import (
    abs,
    cos,
    exp,
    floor,
    head_sum,
    heads,
    householder,
    layer_norm,
    log,
    lower_triangle,
    matrix,
    maximum,
    minimum,
    orthogonal,
    outer,
    relu,
    sigmoid,
    sin,
    skew,
    softplus,
    sqrt,
    tanh,
    transpose,
    unit_rows,
    where,
)
from elman.graph.reader import read_cell
from elman.graph.text import write_cell
from elman.graph.trace import cell
from elman.graph.written import read_equations

__all__ = [
    "abs",
    "unit_rows",
    "transpose",
    "skew",
    "orthogonal",
    "matrix",
    "lower_triangle",
    "householder",
    "heads",
    "head_sum",
    "outer",
    "Cell",
    "Parameter",
    "cell",
    "cos",
    "exp",
    "floor",
    "layer_norm",
    "log",
    "maximum",
    "minimum",
    "read_cell",
    "read_equations",
    "relu",
    "sigmoid",
    "sin",
    "softplus",
    "sqrt",
    "tanh",
    "where",
    "write_cell",
]
