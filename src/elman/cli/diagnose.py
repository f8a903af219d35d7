"""``elman diagnose``: how far back gradients reach."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from elman.cli.shared import Json, console, print_json
from elman.errors import OptionError


def diagnose(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run folder or a shipped model.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Argument(metavar="[DATA]", help="Data in the format of the model's task."),
    ] = None,
    cell: Annotated[
        list[str] | None,
        typer.Option(help="A cell of the catalogue, or FILE.py:NAME, untrained; can be repeated."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Sequence length, for --cell.")] = 100,
    hidden_size: Annotated[int, typer.Option(min=1, help="Hidden units, for --cell.")] = 64,
    input_size: Annotated[int, typer.Option(min=1, help="Input features, for --cell.")] = 32,
    examples: Annotated[int, typer.Option(min=1, help="Number of sequences to examine.")] = 8,
    distance: Annotated[
        int | None, typer.Option(min=1, help="Steps to look back. Default: as many as possible.")
    ] = None,
    exact: Annotated[
        int, typer.Option(min=0, help="Number of sequences with exact Jacobians.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Write a plot to this PNG file.")] = None,
    tasks: Annotated[
        bool,
        typer.Option("--tasks", help="Train cells on problems with long-term dependencies."),
    ] = False,
    problem: Annotated[
        list[str] | None,
        typer.Option(
            help="A problem such as adding-100, for --tasks; can be repeated. Default: all."
        ),
    ] = None,
    updates: Annotated[
        int, typer.Option(min=1, help="Maximum steps of each training, for --tasks.")
    ] = 2500,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Parallel trainings, for --tasks. Default: all cores.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for the trainings of --tasks, to continue from.")
    ] = Path("runs/long-term"),
    as_json: Json = False,
) -> None:
    """Measure how far back gradients reach, in a trained model or in untrained cells.

    With --tasks, train cells on standard problems with long-term dependencies instead.
    """
    if tasks:
        if run is not None or cell:
            raise OptionError("--tasks uses its own problems and cells; omit RUN and --cell.")
        _long_term(problem or [], updates, seed, workers, out, plot, as_json)
        return
    from elman.diagnose import diagnose
    from elman.diagnose.table import tables
    from elman.tasks import load
    from elman.tasks.diagnosed import diagnose_run
    from elman.tasks.train import find_cell

    if run is not None and cell:
        raise OptionError("RUN or --cell: give a trained model with its data, or cells.")
    with Console(stderr=True).status("tracing gradients back ..."):
        if run is not None:
            if data is None:
                raise OptionError(
                    "DATA is missing; name a data file in the format of the model's task."
                )
            found = diagnose_run(
                load(run), data, examples=examples, distance=distance, exact=exact, seed=seed
            )
        else:
            found = diagnose(
                *[find_cell(name) for name in cell or ("rnn", "lstm", "gru")],
                steps=steps, batch=examples, input_size=input_size, hidden_size=hidden_size,
                distance=distance, exact=exact, seed=seed,
            )  # fmt: skip
    if plot is not None:
        found.plot(plot)
    if as_json:
        print_json(found.record())
        return
    _show(tables(found), found.words, plot)


def _long_term(
    problems: Sequence[str],
    updates: int,
    seed: int,
    workers: int | None,
    out: Path,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Train cells in parallel; report each training when it is done."""
    from elman.diagnose.long_term import Budget, Course, compete, contests
    from elman.diagnose.standings import draw, record, sentences, tables
    from elman.files import write_whole
    from elman.stages import duration

    def tell(done: int, of: int, course: Course, left: float) -> None:
        how = f"solved in {course.steps[-1]} steps" if course.solved else "not solved"
        print(
            f"{done} of {of}: {course.problem}, {course.contestant}: {how}, "
            f"{course.seconds:.0f} s; about {duration(left)} left",
            file=sys.stderr,
            flush=True,
        )

    courses = compete(
        contests(problems), budget=Budget(steps=updates), seeds=[seed], out=out, workers=workers,
        tell=tell,
    )  # fmt: skip
    if plot is not None:
        write_whole(plot, draw(courses))
    if as_json:
        print_json(record(courses))
    else:
        _show(tables(courses), sentences(courses), plot)


def _show(tables: Iterable[Any], sentences: Iterable[str], picture: Path | None) -> None:
    screen = console()
    for table in tables:
        screen.print(table)
    for sentence in sentences:
        screen.print(sentence, soft_wrap=True, markup=False)
    if picture is not None:
        screen.print(f"The plot is in {picture}.", soft_wrap=True, markup=False)
