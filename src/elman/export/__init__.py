"""Exporters: a layer or a whole model as a file that runs without Elman.

An exporter is one file or package of this folder.  It reads the graph of a cell and the modules of
``nn/`` and ``models/``, never an engine; ``layers.py`` gives it the equations and the weights.
Before it writes anything it runs what it made beside Elman and hands both to ``check.py``, which
writes the files or refuses.

To add an exporter, write it and add its function to ``_EXPORTERS``.  It has another name
than the function (package ``c_source`` has function ``c``), since a submodule hides a function of
its name.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from elman.export.check import Exported

if TYPE_CHECKING:
    from elman.export.c_source.exporter import c
    from elman.export.onnx_format.exporter import onnx
    from elman.export.torch_format.exporter import torch_program

#: the functions that are imported when they are first used, and their modules
_EXPORTERS = {
    "c": "elman.export.c_source.exporter",
    "onnx": "elman.export.onnx_format.exporter",
    "torch_program": "elman.export.torch_format.exporter",
}


def __getattr__(name: str) -> Any:
    """An exporter by its name."""
    if name in _EXPORTERS:
        return getattr(import_module(_EXPORTERS[name]), name)
    raise AttributeError(f"module 'elman.export' has no attribute {name!r}")


__all__ = ["Exported", "c", "onnx", "torch_program"]
