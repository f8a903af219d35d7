"""``elman cells``: the catalogue of cells, their equations and their plans."""

from __future__ import annotations

from typing import Annotated

import typer

from elman import cells as cell_catalogue
from elman.errors import OptionError


def cells(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what the native engine does on this machine.")
    ] = False,
    input_size: Annotated[int, typer.Option(min=1, help="Features of x, for --plan.")] = 128,
    hidden_size: Annotated[int, typer.Option(min=1, help="Units, for --plan.")] = 256,
) -> None:
    """The catalogue of cells, or the equations of one."""
    catalogue = cell_catalogue.CATALOGUE
    if name is None:
        if plan:
            raise OptionError("--plan is for one cell; give its name: elman cells lstm --plan")
        for each in catalogue.values():
            print(f"{each.name:26}{each.doc.splitlines()[0]}")
        return
    if name not in catalogue:
        raise OptionError(f'there is no cell "{name}"; there are {", ".join(catalogue)}.')
    if plan:
        from elman.backends.native.describe import describe

        print(describe(catalogue[name], input_size, hidden_size), end="")
    else:
        print(catalogue[name].latex() if latex else catalogue[name])
