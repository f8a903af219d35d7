"""``elman.export.torch_program``: a layer or a model as a program of plain torch operators.

The module is traced as for every exporter, Elman's operator is written out (``equations.py``), and
the file is loaded again and run beside Elman before it is kept.
"""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.export import ExportedProgram

from elman.errors import ExportError, OptionError
from elman.export.check import (
    Exported,
    about,
    largest_difference,
    refuse_unusable,
    undisturbed,
    write_checked,
)
from elman.export.forms import (
    SIZES,
    Axes,
    Calls,
    Form,
    described,
    draw_inputs,
    draw_lengths,
    draw_states,
    form_in_float32,
    forms_of,
    state_axes,
)
from elman.export.layers import Layers, bound_of, layers_of
from elman.export.torch_format.equations import whole_cell, written_out
from elman.export.traced import decomposed, traced
from elman.files import refuse_name

#: of float32 values beside Elman's, as a fraction of the largest
BOUND = 1e-5
#: what a traced node says of the files and modules that it comes from
_TRACES = ("stack_trace", "nn_module_stack", "source_fn_stack", "from_node", "custom")

#: two lengths that must agree, which the program itself checks
_AGREEMENT = re.compile(r"L\['tensors'\]\[\d+\]\.size\(\)\[\d+\]")


def torch_program(
    model: nn.Module,
    path: str | Path,
    *,
    step: bool = False,
    form: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Exported:
    """Write a recurrent layer or a model as a ``torch.export`` program that runs without Elman.

    ``torch.export.load(path).module()`` is called with tensors in the order of the forms that
    ``elman.export.onnx`` writes: ``y, *states = program(x, lengths, *states)`` for a layer, and
    ``y, *states = program(x, *states)`` with ``step``.  A cell's inputs beside x come last, with a
    value for each step.  Batch and time are free, values are float32.  ``form`` names another part
    of a model, such as the "encode" of a translator.
    The file's extra file ``elman.json`` holds the names of inputs and outputs, the equations, and
    ``metadata``.

    Raises ``ExportError`` where the program could not be made or would compute something else,
    and ``OptionError`` for an option that cannot be.

    >>> import elman, tempfile, torch
    >>> layer = elman.Recurrent(elman.cells.gru, 3, 4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = elman.export.torch_program(layer, Path(folder) / "gru.pt2")
    ...     program = torch.export.load(done.files[0]).module()
    >>> y, h = program(torch.randn(7, 2, 3), torch.tensor([7, 5]), torch.zeros(1, 2, 4))
    >>> y.shape, done.difference < 1e-5
    (torch.Size([7, 2, 4]), True)
    """
    target = Path(path)
    if target.suffix != ".pt2":
        raise OptionError(
            f"torch: the path is {target}; give one that ends in .pt2, such as model.pt2."
        )
    refuse_name(target)
    refuse_unusable(model)
    with undisturbed():
        return _export(model, target, step=step, form=form, metadata=metadata or {})


def _export(
    model: nn.Module, target: Path, *, step: bool, form: str | None, metadata: Mapping[str, str]
) -> Exported:
    if forms_of(model):
        chosen = form_in_float32(model, form, step=step)
    else:
        chosen = _form_of_a_layer(layers_of(model), form, step=step)
    entries = {**about(), **metadata, **described(model, chosen)}
    entries["elman.inputs"] = ", ".join(chosen.inputs)
    entries["elman.outputs"] = ", ".join(chosen.outputs)
    content = _to_bytes(plain_program(chosen), entries)
    difference = _difference(content, chosen)
    bound = bound_of(model, BOUND, difference)
    return write_checked({target: content}, difference, bound, "random inputs")


def plain_program(form: Form) -> ExportedProgram:
    """The traced program of a form, with Elman's operator written out."""
    program = traced(form.module, draw_inputs(form, 0), [*form.inputs.values()])
    table: dict[Any, Callable[..., Any]] = {
        torch.ops.elman.recurrent.default: written_out,
        torch.ops.elman.equations.default: whole_cell,
    }
    program = decomposed(program, table)
    for node in _nodes(program):
        if str(node.target).startswith("elman."):
            raise ExportError(f"the operator {node.target} is not one of torch's own.")
        for name in _TRACES:
            node.meta.pop(name, None)
    # torch takes lengths for 2 or more while it traces, and would have the program refuse fewer;
    # that it computes them rightly is checked with the file
    program._guards_code = [
        guard
        for guard in program._guards_code
        if all([_AGREEMENT.fullmatch(side) for side in guard.split(" == ")])
    ]
    return program


def _form_of_a_layer(layers: Layers, name: str | None, *, step: bool) -> Form:
    """A recurrent layer as a form, with names as in ONNX files."""
    if name is not None:
        raise OptionError(f"form is {name!r}, but a layer has none; use step=True for one step.")
    stack, layer = layers.stack, layers.recurrent()
    before, after = state_axes(layer), state_axes(layer, "next_state")
    count, names = len(before), [name for name, _ in layers.cell.inputs]
    widths = {name: layers.sizes(0).width((size,)) for name, size in layers.cell.inputs}
    if step:
        if stack.bidirectional:
            raise OptionError(
                f"{stack.title}: a bidirectional layer has no step, since its output depends on "
                "later steps; export whole sequences."
            )

        def one(x: Tensor, *rest: Tensor) -> list[Tensor]:
            inputs = dict(zip(names, rest[count:], strict=True))
            y, last = layer.step(x, rest[:count], **inputs)
            return [y, *last]

        def draw_one(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
            x = torch.randn((sizes["batch"], stack.input_size), generator=generator)
            inputs = layers.draw_inputs(sizes["batch"], generator=generator)
            return [x, *draw_states(layer, sizes["batch"], generator), *inputs.values()]

        sides: dict[str, Axes] = {f"input.{name}": ["batch", w] for name, w in widths.items()}
        return Form(
            "step",
            Calls(one, layer),
            {"x": ["batch", stack.input_size], **before, **sides},
            {"y": ["batch", layer.output_size], **after},
            draw_one,
        )

    def run(x: Tensor, lengths: Tensor, *rest: Tensor) -> list[Tensor]:
        inputs = dict(zip(names, rest[count:], strict=True))
        y, last = layer(x, rest[:count], lengths=lengths, **inputs)
        return [y, *last]

    def draw(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        time, batch = sizes["time"], sizes["batch"]
        x = torch.randn((time, batch, stack.input_size), generator=generator)
        given = x.transpose(0, 1).contiguous() if stack.batch_first else x
        states = draw_states(layer, batch, generator)
        order = (batch, time) if stack.batch_first else (time, batch)
        inputs = layers.draw_inputs(*order, generator=generator)
        return [given, draw_lengths(sizes, generator), *states, *inputs.values()]

    axes: list[int | str] = ["batch", "time"] if stack.batch_first else ["time", "batch"]
    return Form(
        "sequence",
        Calls(run, layer),
        {
            "x": [*axes, stack.input_size],
            "lengths": ["batch"],
            **before,
            **{f"input.{name}": [*axes, width] for name, width in widths.items()},
        },
        {"y": [*axes, layer.output_size], **after},
        draw,
    )


def _nodes(program: ExportedProgram) -> Iterator[Any]:
    """The nodes of a program and of the loops in it."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            yield from module.graph.nodes


def _to_bytes(program: ExportedProgram, entries: Mapping[str, str]) -> bytes:
    stream = io.BytesIO()
    with _quiet():
        torch.export.save(program, stream, extra_files={"elman.json": json.dumps(entries)})
    return stream.getvalue()


def _difference(content: bytes, form: Form) -> float:
    """How far the file is from Elman on random inputs of several sizes."""
    with _quiet():
        program = torch.export.load(io.BytesIO(content)).module()
    worst = 0.0
    for k in range(len(SIZES)):
        tensors = draw_inputs(form, k)
        with torch.no_grad():
            wanted, found = form.module(*tensors), program(*tensors)
        named = [
            {name: value.detach().numpy() for name, value in zip(form.outputs, values, strict=True)}
            for values in (found, wanted)
        ]
        worst = max(worst, largest_difference(*named))
    return worst


def _quiet() -> warnings.catch_warnings[None]:
    """Without what torch's exporter warns of its own internals."""
    return warnings.catch_warnings(action="ignore", category=FutureWarning)
