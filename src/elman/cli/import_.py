"""``elman import``: weights of torch, Keras and ONNX layers as files of ``Recurrent`` layers."""

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
    out: Annotated[Path, typer.Option(help="Folder for the layers, a file each.")],
    layer: Annotated[str | None, typer.Option(help="Import only the layer of this name.")] = None,
    cell: Annotated[
        str | None,
        typer.Option(help="The cell, where the weights do not tell: rnn or relu_rnn, for example."),
    ] = None,
    batch_first: Annotated[
        bool, typer.Option("--batch-first", help="The layers of torch are batch first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Recurrent layers of another library as layers of Elman.

    Each becomes a file NAME.safetensors, which elman.import_weights reads.
    """
    from elman.cells import CATALOGUE
    from elman.export.importing.importer import layers_in
    from elman.export.importing.layer_file import save_layer

    if cell is not None and cell not in CATALOGUE:
        raise OptionError(f'there is no cell "{cell}"; there are {", ".join(CATALOGUE)}.')
    chosen = None if cell is None else CATALOGUE[cell]
    found = layers_in(file, cell=chosen, batch_first=batch_first)
    wanted = [name for name in found if layer in (None, name)]
    if not wanted:
        names = ", ".join([name or '""' for name in found]) or "no recurrent layer"
        called = f" called {layer!r}" if layer is not None and found else ""
        raise OptionError(f"{file}: there is nothing to import{called}; it has {names}.")
    layers = {name: found[name]() for name in wanted}  # all of them, before anything is written
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
    """The layer's name without what files cannot have; numbered where two would be one."""
    plain = [re.sub(r"[^\w.-]+", "_", each).strip("._") or "layer" for each in names]
    own = names.index(name)
    return plain[own] if plain.count(plain[own]) == 1 else f"{plain[own]}_{own + 1}"
