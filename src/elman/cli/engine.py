"""``elman cells`` and ``elman benchmark``: the cells and the engine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from elman import cells as cell_catalogue
from elman.cli.shared import Json, console, print_json
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
        from elman.backends.describe import describe

        print(describe(catalogue[name], input_size, hidden_size), end="")
    else:
        print(catalogue[name].latex() if latex else catalogue[name])


def benchmark(
    cell: Annotated[
        str, typer.Option(help="A cell of the catalogue, or FILE.py:NAME for one of your own.")
    ] = "lstm",
    threads: Annotated[
        list[int] | None,
        typer.Option(help="How many threads; may be given again. Else 1, and all there are."),
    ] = None,
    as_json: Json = False,
) -> None:
    """How fast a layer is on this machine, beside torch.nn and a loop over time."""
    from elman.benchmark.machine import sentence, thread_counts
    from elman.benchmark.short import row, short_benchmark, table
    from elman.tasks.train import find_cell

    counts = threads or thread_counts()
    if min(counts) < 1:
        raise OptionError(f"--threads: {min(counts)} threads cannot run; give 1 or more.")
    shown = table()
    progress = Console(stderr=True, highlight=False)
    with progress.status("measuring for about half a minute ..."):
        report = short_benchmark(find_cell(cell), counts, tell=lambda r: shown.add_row(*row(r)))
    if as_json:
        print_json(report.record())
    else:
        screen = console()
        screen.print(shown)
        screen.print(report.engine, soft_wrap=True)
        screen.print(sentence(report.machine), soft_wrap=True)
