"""``elman export``: a trained model, or an imported layer, as files that run without Elman."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from elman.cli.shared import Json
from elman.errors import OptionError

if TYPE_CHECKING:
    from torch import nn


def export(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run folder, a shipped model, or a file of `elman import`."
        ),
    ],
    to: Annotated[Literal["c", "onnx"], typer.Option(help="Write C99 source or ONNX files.")],
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path(),
    step: Annotated[
        bool, typer.Option("--step", help="Export only a single time step, as C always does.")
    ] = False,
    sequence: Annotated[
        bool, typer.Option("--sequence", help="Export only whole sequences.")
    ] = False,
    opset: Annotated[
        int | None, typer.Option(help="ONNX opset version, at least 17. Default: 17.")
    ] = None,
    quantize: Annotated[
        Literal["int8"] | None, typer.Option(help="Quantise weights to int8; slightly less exact.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Export a trained model to C or ONNX, and report how far its outputs differ from Elman's.

    ONNX export writes one file per form of the model: whole sequences, and single steps if any.
    """
    from elman.export import c

    if step and sequence:
        raise OptionError("--step and --sequence exclude each other; omit both to write both.")
    if to == "c" and (sequence or opset is not None):
        raise OptionError("C code computes one time step; --sequence and --opset are for ONNX.")
    name, model, described = _model(run)
    if to == "c":
        done = [c(model, out / f"{name}.c", quantize=quantize)]
    else:
        options = {"opset": opset or 17, "quantize": quantize, "metadata": described}
        done = _onnx(model, out, name, options, step=step, sequence=sequence)
    if as_json:
        files = [str(file) for each in done for file in each.files]
        known = [each.difference for each in done if each.difference is not None]
        worst = max(known) if len(known) == len(done) else None
        print(json.dumps({"files": files, "difference": worst, "note": done[0].note}))
    else:
        for each in done:
            print(each)


def _model(run: str) -> tuple[str, nn.Module, dict[str, str]]:
    """The name for the files, the module, and metadata that describe its task."""
    if run.endswith(".safetensors"):
        from elman.export.importing.importer import import_weights

        return Path(run).stem, import_weights(run), {}
    from elman.tasks import load
    from elman.tasks.runs import find_run

    trained = load(run)
    options = dataclasses.asdict(trained.options)
    described = {
        "elman.task": trained.task.name,
        "elman.symbols": trained.symbols.to_json(),
        "elman.options": json.dumps(options),
        "elman.cell_graph": trained.cell.text,
    }
    if "sample_rate" in options:
        described["elman.sample_rate"] = str(options["sample_rate"])
    return find_run(run).resolve().name, trained.model, described


def _onnx(
    model: nn.Module,
    folder: Path,
    name: str,
    options: Mapping[str, Any],
    *,
    step: bool,
    sequence: bool,
) -> list[Any]:
    """Write one file per form of the model, or only the requested form."""
    from elman.export import onnx
    from elman.export.onnx_format.forms import form_called, forms_of

    forms = [form.name for form in forms_of(model)]
    if not forms:  # a layer
        both = ["sequence"] if getattr(model, "bidirectional", False) else ["sequence", "step"]
        wanted = ["step"] if step else ["sequence"] if sequence else both
        return [
            onnx(model, folder / _file(name, each), step=each == "step", **options)
            for each in wanted
        ]
    if step or sequence:
        forms = [form_called(model, None, step=step).name]
    return [onnx(model, folder / _file(name, form), form=form, **options) for form in forms]


def _file(name: str, form: str) -> str:
    return f"{name}.onnx" if form == "sequence" else f"{name}.{form}.onnx"
