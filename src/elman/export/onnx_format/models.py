"""A whole model as an ONNX model, one of its forms at a time.

The form (``forms.py``) says what goes in and out; ``program.py`` translates what torch traces.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.errors import ExportError
from elman.export.check import largest_difference
from elman.export.forms import SIZES, Axes, Form, draw_inputs
from elman.export.onnx_format.graph import Graph
from elman.export.onnx_format.program import Translator, program_of
from elman.export.onnx_format.recurrent import EVERY
from elman.export.onnx_format.runtime import Session


def model_graph(form: Form, opset: int, *, native: Container[str] = EVERY) -> Graph:
    """The graph of a form.

    Raises ``ExportError`` for a model that cannot be traced or has an operator without ONNX form.
    """
    example = draw_inputs(form, 0)
    program = program_of(form.module, example, [*form.inputs.values()])
    graph = Graph(opset)
    inputs = [
        graph.input(name, _numpy(tensor), axes)
        for (name, axes), tensor in zip(form.inputs.items(), example, strict=True)
    ]
    results = Translator(graph, native=native).run(program, inputs)
    (output,) = [node for node in program.graph.nodes if node.op == "output"]
    for (name, axes), value, node in zip(
        form.outputs.items(), results, output.args[0], strict=True
    ):
        graph.output(name, value, _numpy(node.meta["val"]), _known(axes, node.meta["val"]))
    return graph


def model_difference(session: Session, form: Form) -> float:
    """How far the file is from Elman on random inputs of several sizes."""
    worst = 0.0
    for k in range(len(SIZES)):
        tensors = draw_inputs(form, k)
        with torch.no_grad():
            wanted = [tensor.numpy() for tensor in form.module(*tensors)]
        feeds = {name: t.numpy() for name, t in zip(form.inputs, tensors, strict=True)}
        found = session.run(feeds)
        named = dict(zip(form.outputs, wanted, strict=True))
        worst = max(worst, largest_difference(found, named))
    return worst


def _known(axes: Axes, value: Tensor) -> Axes:
    """The axes of an output, with numbers for those that are always as long."""
    if len(axes) != value.dim():
        raise ExportError(f"an output has {value.dim()} axes, but its form says {len(axes)}.")
    return [
        size if isinstance(size, int) else axis
        for axis, size in zip(axes, value.shape, strict=True)
    ]


def _numpy(tensor: Tensor) -> Any:
    return np.dtype(str(tensor.dtype).removeprefix("torch."))
