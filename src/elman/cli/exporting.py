"""``elman export``: a trained model as a file that runs without Elman."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from elman.cli.shared import Json
from elman.errors import OptionError


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder or a shipped model.")],
    to: Annotated[Literal["c", "onnx"], typer.Option(help="C99 source, or an ONNX file.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path(),
    step: Annotated[
        bool, typer.Option("--step", help="One time step with the state, as C always is.")
    ] = False,
    quantize: Annotated[
        Literal["int8"] | None, typer.Option(help="Matrices as int8 with a scale for each row.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a trained model as C or ONNX, and say how far its values are from Elman's."""
    from elman.export import c, onnx
    from elman.tasks import load
    from elman.tasks.trained import find_run

    if to != "c" and quantize is not None:
        raise OptionError(f"--quantize {quantize} is for --to c; leave it out.")
    path = out / f"{find_run(run).resolve().name}.{to}"
    model = load(run).model
    done = c(model, path, quantize=quantize) if to == "c" else onnx(model, path, step=step)
    if as_json:
        files = [str(file) for file in done.files]
        print(json.dumps({"files": files, "difference": done.difference, "note": done.note}))
    else:
        print(done)
