"""``elman benchmark``: the speed of a layer on this machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from elman.cli.shared import Json, console, print_json
from elman.errors import OptionError


def benchmark(
    cell: Annotated[
        str, typer.Option(help="A cell of the catalogue, or FILE.py:NAME for your own cell.")
    ] = "lstm",
    threads: Annotated[
        list[int] | None,
        typer.Option(help="Number of threads; can be repeated. Default: 1 and all cores."),
    ] = None,
    heads: Annotated[
        int | None,
        typer.Option(help="Heads of a cell with a matrix state, such as delta_net. Default: 4."),
    ] = None,
    key_size: Annotated[
        int | None,
        typer.Option(help="Keys of each head of such a cell. Default: as many as units."),
    ] = None,
    sizes: Annotated[
        str,
        typer.Option(help="Numbers of the sizes of a cell's own, as projection=64 for lstmp."),
    ] = "",
    tune: Annotated[
        bool,
        typer.Option(
            "--tune",
            help="Measure in half a minute what the engine chooses by the processor, and keep it.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure the speed of a layer on this machine, against torch.nn and a loop over time."""
    if tune:
        if threads or cell != "lstm" or heads or key_size or sizes:
            raise OptionError(
                "--tune measures the engine; omit --cell, --heads, --key-size, --sizes and "
                "--threads."
            )
        _tune(as_json)
        return
    from elman.benchmark.machine import sentence, thread_counts
    from elman.benchmark.short import row, short_benchmark, table
    from elman.tasks.recurrent_options import numbers_of_sizes, refuse_missing_sizes
    from elman.tasks.train import find_cell

    chosen, numbers = find_cell(cell), numbers_of_sizes(sizes)
    refuse_missing_sizes(chosen, numbers)
    counts = threads or thread_counts()
    if min(counts) < 1:
        raise OptionError(f"--threads is {min(counts)}; it must be at least 1.")
    shown = table()
    progress = Console(stderr=True, highlight=False)
    with progress.status("measuring for about half a minute ..."):
        report = short_benchmark(
            chosen,
            counts,
            heads=heads,
            key_size=key_size,
            sizes=numbers,
            tell=lambda result: shown.add_row(*row(result)),
        )
    if as_json:
        print_json(report.record())
    else:
        screen = console()
        screen.print(shown)
        if report.words:
            screen.print(report.words, soft_wrap=True)
        screen.print(report.engine, soft_wrap=True)
        screen.print(sentence(report.machine), soft_wrap=True)


def _tune(as_json: bool) -> None:
    from elman.benchmark.tune import row, sentence, table, tune

    shown = table()
    progress = Console(stderr=True, highlight=False)
    with progress.status("measuring for about half a minute ..."):
        found = tune(tell=lambda trial: shown.add_row(*row(trial)))
    if as_json:
        print_json(found.record())
    else:
        screen = console()
        screen.print(shown)
        screen.print(sentence(found), soft_wrap=True)
