"""``elman import``: layers of torch, Keras and ONNX as files of ``Recurrent`` layers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from elman.cli.shared import Json
from elman.errors import OptionError


def import_command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=".pt, .safetensors, .keras, .weights.h5 or .onnx")
    ],
    out: Annotated[Path, typer.Option(help="Output folder; one file per layer.")],
    layer: Annotated[str | None, typer.Option(help="Import only the layer with this name.")] = None,
    cell: Annotated[
        str | None,
        typer.Option(
            help="The cell, if the weights do not identify it: rnn or relu_rnn, for example."
        ),
    ] = None,
    batch_first: Annotated[
        bool, typer.Option("--batch-first", help="The torch layers use batch_first=True.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Convert recurrent layers of torch, Keras or ONNX to Elman layers.

    Each layer becomes a file NAME.safetensors, which elman.import_weights reads.
    """
    from elman.cells import CATALOGUE
    from elman.export.importing.importer import layers_in
    from elman.export.importing.layer_file import save_layer

    if cell is not None and cell not in CATALOGUE:
        raise OptionError(f'there is no cell "{cell}"; choose from {", ".join(CATALOGUE)}.')
    chosen = None if cell is None else CATALOGUE[cell]
    found = layers_in(file, cell=chosen, batch_first=batch_first)
    wanted = [name for name in found if layer in (None, name)]
    if not wanted:
        names = ", ".join([n or "one without a name" for n in found]) or "no recurrent layer"
        called = f" called {layer!r}" if layer is not None and found else ""
        raise OptionError(f"{file}: no layer to import{called}; the file has {names}.")
    layers = {name: found[name]() for name in wanted}  # convert all before writing any
    written = {}
    for name, made in layers.items():
        path = out / f"{_file_name(name, [*layers])}.safetensors"
        save_layer(made, path)
        written[str(path)] = repr(made)
    if as_json:
        print(json.dumps({"layers": written}))
    else:
        for where, what in written.items():
            print(f"{where}: {what}")


def _file_name(name: str, names: list[str]) -> str:
    """The layer's name without characters that files cannot have; numbered if it clashes."""
    plain = [re.sub(r"[^\w.-]+", "_", each).strip("._") or "layer" for each in names]
    own = names.index(name)
    return plain[own] if plain.count(plain[own]) == 1 else f"{plain[own]}_{own + 1}"
