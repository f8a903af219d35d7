"""Elman: recurrent sequence models from the equations of their cells."""

from typing import TYPE_CHECKING

from elman import cells
from elman.graph import (
    abs,
    cell,
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
from elman.lazy import import_after, lazy_names

if TYPE_CHECKING:
    from elman import export, nn
    from elman.diagnose import diagnose
    from elman.export.importing.importer import import_weights
    from elman.nn import Recurrent, Stack, chunks, detached
    from elman.tasks import load
    from elman.version import __version__

# these need torch, which help texts on the command line do without
lazy_names(
    __name__,
    {
        "Recurrent": "elman.nn:Recurrent",
        "Stack": "elman.nn:Stack",
        "__version__": "elman.version:__version__",
        "chunks": "elman.nn:chunks",
        "detached": "elman.nn:detached",
        "diagnose": "elman.diagnose:diagnose",
        "export": "elman.export",
        "import_weights": "elman.export.importing.importer:import_weights",
        "load": "elman.tasks:load",
        "nn": "elman.nn",
    },
)
# torch.load(..., weights_only=True) must know Elman's layers, in any order of imports
import_after("torch", "elman.nn")

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
    "Recurrent",
    "Stack",
    "__version__",
    "cell",
    "cells",
    "cos",
    "chunks",
    "detached",
    "diagnose",
    "exp",
    "export",
    "floor",
    "import_weights",
    "layer_norm",
    "load",
    "log",
    "maximum",
    "minimum",
    "nn",
    "relu",
    "sigmoid",
    "sin",
    "softplus",
    "sqrt",
    "tanh",
    "where",
]
