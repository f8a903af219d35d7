"""onnx and onnxruntime, imported where they are used, and a sentence where they are missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from elman.errors import ExportError


def onnx() -> Any:
    """The library ``onnx``, which builds and reads files."""
    return _library("onnx")


def onnxruntime() -> Any:
    """The library ``onnxruntime``, which runs them."""
    return _library("onnxruntime")


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ExportError(
            f"ONNX files need the library {name}, which is not installed; run "
            "`pip install 'elman[onnx]'`."
        ) from error
