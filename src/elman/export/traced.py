"""A module as a torch program, whose recurrent layers are calls of Elman's operators.

What an exporter writes around recurrent layers is read from such a program.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from elman.errors import ExportError
from elman.export.layers import is_written_whole
from elman.export.one_operator import as_one_operator
from elman.nn.recurrent import Recurrent


def traced(
    module: nn.Module, example: Sequence[Tensor], axes: Sequence[Sequence[str | int]]
) -> ExportedProgram:
    """The program of a module, with free lengths of the axes that have names.

    Raises ``ExportError`` where its Python cannot be traced.
    """
    module = _with_cores(module)
    free = [
        {place: torch.export.Dim.AUTO for place, axis in enumerate(own) if isinstance(axis, str)}
        for own in axes
    ]
    with _tracing(type(module).__name__), as_one_operator(module):
        return torch.export.export(
            module, tuple(example), dynamic_shapes=_arguments(module, free), strict=False
        )


def _with_cores(module: nn.Module) -> nn.Module:
    """The module with the computed matrices of its layers as parameters; a copy if there are any.

    Layers that are written whole (``one_operator.py``) stay as they are.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, Recurrent)]
    if all([_core(layer) is layer for layer in layers]):
        return module
    if isinstance(module, Recurrent):
        return _core(module)
    module = copy.deepcopy(module)
    for parent in module.modules():
        for name, child in parent.named_children():
            if isinstance(child, Recurrent):
                setattr(parent, name, _core(child))
    return module


def _core(layer: Recurrent) -> Recurrent:
    return layer if is_written_whole(layer) else layer.core("export")


def decomposed(
    program: ExportedProgram, table: Mapping[Any, Callable[..., Any]]
) -> ExportedProgram:
    """The program with the operators of the table in terms of others."""
    with _tracing("program"):
        written: ExportedProgram = program.run_decompositions({**table})
        return written


@contextmanager
def _tracing(title: str) -> Iterator[None]:
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # torch's exporter warns of its own internals
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    except ExportError:
        raise
    except Exception as error:  # whatever the traced Python raises
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise ExportError(
            f"{title}: torch.export cannot trace it ({first[0].rstrip('.')})."
        ) from error


def _arguments(module: nn.Module, free: list[dict[int, Any]]) -> Any:
    """``dynamic_shapes`` by position; a forward of ``*tensors`` takes one tuple of them."""
    code = type(module).forward.__code__
    return (tuple(free),) if code.co_flags & 0x04 else tuple(free)
