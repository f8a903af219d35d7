"""``elman.export.onnx``: a layer or a model as an ONNX file that says what it is.

The graph is built (``layers.py``, ``models.py``), run by ONNX Runtime beside Elman on random inputs
and written only if it computes the same.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from elman.errors import OptionError
from elman.export.check import (
    Exported,
    about,
    largest_difference,
    refuse_unusable,
    undisturbed,
    write_checked,
)
from elman.export.forms import Form, described, form_in_float32, forms_of
from elman.export.layers import Layers, bound_of, layers_of
from elman.export.onnx_format.graph import Graph
from elman.export.onnx_format.layers import LayerExport
from elman.export.onnx_format.libraries import onnx as onnx_library
from elman.export.onnx_format.models import model_difference, model_graph
from elman.export.onnx_format.quantize import BOUND as QUANTIZED_BOUND
from elman.export.onnx_format.quantize import NATIVE, quantized
from elman.export.onnx_format.recurrent import EVERY
from elman.export.onnx_format.runtime import Session
from elman.files import refuse_name

#: the oldest version of ONNX's operators that Elman writes, and the one that it writes unasked
OLDEST_OPSET = 17
#: of float32 values beside Elman's, as a fraction of the largest
BOUND = 1e-5


def onnx(
    model: nn.Module,
    path: str | Path,
    *,
    step: bool = False,
    opset: int = OLDEST_OPSET,
    quantize: Literal["int8"] | None = None,
    form: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Exported:
    """Write a recurrent layer or a model as an ONNX file, in float32, with free batch and time.

    ``step`` writes one time step, with the states as inputs and outputs, instead of whole
    sequences.  ``form`` names another part of a model, such as the "encode" of a translator.
    ``opset`` is the version of ONNX's operators, 17 or newer.  ``quantize="int8"`` stores weights
    as int8, whose values differ more.  ``metadata`` are further entries of the file's own
    description.

    Raises ``ExportError`` where the file could not be made or would compute something else, and
    ``OptionError`` for an option that cannot be.

    >>> import elman, tempfile
    >>> layer = elman.Recurrent(elman.cells.gru, 3, 4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = elman.export.onnx(layer, Path(folder) / "gru.onnx")
    >>> done.files[0].name, done.difference < 1e-5
    ('gru.onnx', True)
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise OptionError(
            f"ONNX: the path is {path}; give one that ends in .onnx, such as model.onnx."
        )
    refuse_name(path)
    refuse_unusable(model)
    check_opset(opset)
    if quantize not in (None, "int8"):
        raise OptionError(f'ONNX: quantize is {quantize!r}; it is "int8" or None.')
    entries = {**about(), **(metadata or {})}
    if not all([isinstance(text, str) for pair in entries.items() for text in pair]):
        raise OptionError("ONNX: metadata are texts by names that are texts; pass strings.")
    with undisturbed():
        return _export(model, path, entries, step=step, opset=opset, quantize=quantize, form=form)


def _export(
    model: nn.Module,
    path: Path,
    entries: dict[str, str],
    *,
    step: bool,
    opset: int,
    quantize: Literal["int8"] | None,
    form: str | None,
) -> Exported:
    if forms_of(model):
        chosen = form_in_float32(model, form, step=step)
        return _export_model(model, path, chosen, opset, quantize, entries)
    layers = layers_of(model)
    if form is not None:
        raise OptionError(f"form is {form!r}, but a layer has none; use step=True for one step.")
    if step and layers.stack.bidirectional:
        raise OptionError(
            f"{layers.stack.title}: a bidirectional layer has no step, since its output depends "
            "on later steps; export whole sequences."
        )
    export = LayerExport(layers, opset, _native(quantize))
    graph = export.step() if step else export.sequence()
    entries |= {**export.metadata, "elman.form": "step" if step else "sequence"}
    content = to_bytes(graph, layers.cell.name, str(layers.cell), entries, quantize)
    session = Session(content, path.name)
    difference = step_difference(session, layers) if step else sequence_difference(session, layers)
    note = "random steps" if step else "random sequences"
    bound = bound_of(model, _bound(quantize), difference)
    return write_checked({path: content}, difference, bound, note)


def _native(quantize: str | None) -> Container[str]:
    return NATIVE if quantize else EVERY


def _bound(quantize: str | None) -> float:
    return QUANTIZED_BOUND if quantize else BOUND


def _export_model(
    model: nn.Module,
    path: Path,
    form: Form,
    opset: int,
    quantize: str | None,
    entries: Mapping[str, str],
) -> Exported:
    """Write one form of a model."""
    entries = {**entries, **described(model, form)}
    graph = model_graph(form, opset, native=_native(quantize))
    content = to_bytes(graph, type(model).__name__, entries["elman.equations"], entries, quantize)
    difference = model_difference(Session(content, path.name), form)
    bound = bound_of(model, _bound(quantize), difference)
    return write_checked({path: content}, difference, bound, "random inputs")


def check_opset(opset: int) -> None:
    """``OptionError`` for a version of ONNX's operators that cannot be written."""
    newest = onnx_library().defs.onnx_opset_version()
    if not isinstance(opset, int) or not OLDEST_OPSET <= opset <= newest:
        raise OptionError(
            f"opset is {opset!r}; it must be an integer from {OLDEST_OPSET} to {newest}, the "
            "newest that the installed onnx knows."
        )


def to_bytes(
    graph: Graph, name: str, doc: str, metadata: Mapping[str, str], quantize: str | None
) -> bytes:
    """The graph as the bytes of a file."""
    content: bytes = graph.model(name, doc, metadata).SerializeToString()
    return quantized(content) if quantize else content


def sequence_difference(session: Session, layers: Layers) -> float:
    """How far the file is from Elman on random sequences: full, ragged, and of one step."""
    stack, worst = layers.stack, 0.0
    generator = torch.Generator().manual_seed(0)
    for time, lengths in ((7, None), (9, (4, 9, 0, 1)), (1, (1,))):
        batch = 3 if lengths is None else len(lengths)
        x = torch.randn(time, batch, stack.input_size, generator=generator)
        feeds = {"x": (x.transpose(0, 1) if stack.batch_first else x).numpy()}
        steps = 1 if lengths is None else time  # one value for a sequence, or one a step
        inputs = layers.draw_inputs(steps, batch, generator=generator)
        feeds |= _sides(inputs, transposed=stack.batch_first)
        inputs = {name: side.expand(time, -1, -1) for name, side in inputs.items()}
        state = None
        if lengths is not None:
            state = layers.draw_state(batch, generator)
            feeds["lengths"] = np.array(lengths, np.int64)
            feeds |= _named(layers, state, "state")
        given = None if lengths is None else torch.tensor(lengths)
        y, last = layers.on_reference_engine(x, state, given, inputs)
        wanted = {"y": (y.transpose(0, 1) if stack.batch_first else y).numpy()}
        wanted |= _named(layers, last, "next_state")
        worst = max(worst, largest_difference(session.run(feeds), wanted))
    return worst


def step_difference(session: Session, layers: Layers) -> float:
    """How far some steps of the file are from Elman, each from the state that the last one left."""
    stack, worst = layers.stack, 0.0
    generator = torch.Generator().manual_seed(0)
    for batch in (1, 3):
        state = layers.draw_state(batch, generator)
        x = torch.randn(5, batch, stack.input_size, generator=generator)
        inputs = layers.draw_inputs(5, batch, generator=generator)
        y, last = layers.on_reference_engine(x, state, None, inputs)
        feeds, outputs = _named(layers, state, "state"), []
        for t, x_t in enumerate(x.numpy()):
            sides = _sides({name: side[t] for name, side in inputs.items()})
            found = session.run({"x": x_t, **sides, **feeds})
            outputs.append(found["y"])
            feeds = {name: found[f"next_{name}"] for name in feeds}
        wanted = {"y": y.numpy(), **_named(layers, last, "state")}
        worst = max(worst, largest_difference({"y": np.stack(outputs), **feeds}, wanted))
    return worst


def _sides(inputs: Mapping[str, torch.Tensor], *, transposed: bool = False) -> dict[str, Any]:
    return {
        f"input.{name}": (side.transpose(0, 1) if transposed else side).numpy()
        for name, side in inputs.items()
    }


def _named(layers: Layers, state: tuple[torch.Tensor, ...], prefix: str) -> dict[str, np.ndarray]:
    return {
        f"{prefix}.{name}": tensor.numpy()
        for name, tensor in zip(layers.cell.states, state, strict=True)
    }
