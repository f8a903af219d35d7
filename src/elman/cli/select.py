"""``elman select``: search for the options that train best."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from elman.cli.flags import assignments
from elman.cli.shared import Json, TaskName, console, print_json
from elman.errors import OptionError
from elman.tasks.registry import task_of


def select(
    task: TaskName,
    train: Annotated[Path | None, typer.Option(help="The training data.")] = None,
    valid: Annotated[
        Path | None,
        typer.Option(help="The validation data. Default: a random tenth of the examples."),
    ] = None,
    trials: Annotated[int, typer.Option(help="Number of trials, over all workers.")] = 30,
    hours: Annotated[float | None, typer.Option(help="Stop after this many hours.")] = None,
    cells: Annotated[str, typer.Option(help="Cells to try, such as rnn,lstm,gru.")] = "",
    space: Annotated[
        Path | None, typer.Option(help="A TOML file with the search space; see --print-space.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Cross-validation folds; 1 for none.")] = 1,
    seeds: Annotated[int, typer.Option(help="Seeds per trial and fold.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes on this machine.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the search. Default: runs/select-TASK.")
    ] = None,
    storage: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="A database for the trials, such as postgresql://user@host/name, which machines "
            "without a common folder share.",
        ),
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the search in the folder.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set an option for all trials."),
    ] = None,
    print_space: Annotated[
        bool, typer.Option("--print-space", help="Print the default search space and exit.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Search for the options, cells and sizes that train best; continues an existing search.

    Run it with the same folder in several processes or on several machines to share the work.
    """
    from elman.data.sources import why_not_a_file
    from elman.saved import read_text
    from elman.selection import RunConfig, Space, default_space, read_space
    from elman.selection.space import default_text
    from elman.selection.workers import search_with
    from elman.tasks import Data

    found_task = task_of(task)
    if print_space:
        print(default_text(found_task), end="")
        return
    if train is None:
        raise OptionError("--train is missing; name the training data.")
    tried = default_space(found_task)
    if space is not None:
        reason = why_not_a_file(space)
        if reason is not None:
            raise OptionError(f"{space}: {reason}")
        tried = read_space(found_task, read_text(space), str(space))
    settings = assignments(set_ or [])
    tried = tried.without(settings)
    if cells:
        names = [name.strip() for name in cells.split(",") if name.strip()]
        chosen = read_space(found_task, f"cell = {json.dumps(names)}", "--cells")
        tried = Space({**tried.parts, **chosen.parts})
    config = RunConfig(Data(train, valid), tried, settings, trials, hours, folds, seeds, storage)
    folder = out or Path("runs") / f"select-{task}"
    search, best = search_with(
        found_task,
        config,
        folder,
        workers,
        Console(stderr=True, highlight=False),
        overwrite=overwrite,
    )
    found = search.study.best_trial
    if as_json:
        record = {"metric": search.metric.name, "value": found.value, "options": found.params}
        print_json({**record, "run": str(best), "trials": len(search.study.trials)})
        return
    screen = console()
    screen.print(
        f"The best of {len(search.finished())} finished trials, {search.metric.name} "
        f"{found.value:.4f}, is the run {best}.",
        soft_wrap=True,
    )
    screen.print(
        f"All trials: {folder / 'trials.csv'}; plot: {folder / 'search.png'}", soft_wrap=True
    )
