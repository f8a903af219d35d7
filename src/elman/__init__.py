"""Elman: recurrent sequence models from the equations of their cells."""

from elman import cells, nn
from elman.graph import (
    cell,
    exp,
    layer_norm,
    log,
    maximum,
    minimum,
    relu,
    sigmoid,
    softplus,
    tanh,
    where,
)
from elman.nn import Recurrent

__all__ = [
    "Recurrent",
    "cell",
    "cells",
    "exp",
    "layer_norm",
    "log",
    "maximum",
    "minimum",
    "nn",
    "relu",
    "sigmoid",
    "softplus",
    "tanh",
    "where",
]
