"""``elman cells``: the catalogue of cells, their equations and their plans."""

from __future__ import annotations

from typing import Annotated

import typer

from elman import cells as cell_catalogue
from elman.errors import OptionError


def cells(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A cell of the catalogue.")
    ] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print the native engine's plan for this machine.")
    ] = False,
    input_size: Annotated[int, typer.Option(min=1, help="Input features, for --plan.")] = 128,
    hidden_size: Annotated[int, typer.Option(min=1, help="Hidden units, for --plan.")] = 256,
) -> None:
    """List the cells of the catalogue, or print the equations of one."""
    catalogue = cell_catalogue.ALL
    if name is None:
        if plan:
            raise OptionError("--plan needs the name of a cell: elman cells lstm --plan")
        for each in catalogue.values():
            print(f"{each.name:26}{each.doc.splitlines()[0]}")
        return
    if name not in catalogue:
        raise OptionError(f'there is no cell "{name}"; choose from {", ".join(catalogue)}.')
    if plan:
        from elman.backends.native.describe import describe

        print(describe(catalogue[name], input_size, hidden_size), end="")
    else:
        print(catalogue[name].latex() if latex else catalogue[name])
