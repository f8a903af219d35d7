"""Elman: recurrent sequence models from the equations of their cells."""

from typing import Any

from elman import cells, export, nn
from elman.diagnose import diagnose
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


def __getattr__(name: str) -> Any:
    """What is looked up only where it is used: ``load``, ``import_weights``, the version."""
    if name == "load":
        from elman.tasks import load

        return load
    if name == "import_weights":
        from elman.export.importing.importer import import_weights

        return import_weights
    if name == "__version__":
        from importlib.metadata import version

        return version("elman")
    raise AttributeError(f"module 'elman' has no attribute {name!r}")


__all__ = [
    "Recurrent",
    "cell",
    "cells",
    "diagnose",
    "exp",
    "export",
    "import_weights",
    "layer_norm",
    "load",
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
