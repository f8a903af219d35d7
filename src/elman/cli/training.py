"""``elman train JOB``: a command for each job."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from elman.cli.flags import assignments, flags_of, given, with_flags
from elman.cli.shared import task_of
from elman.errors import OptionError


def train_command(job: str) -> Callable[..., None]:
    """``elman train JOB``: its flags are the options of the job and of training."""
    from elman.training.options import LoopOptions

    task = task_of(job)
    groups = {f"Options of {job}": task.Options, "Options of training": LoopOptions}
    flags = flags_of(groups, {**vars(task.Options()), **vars(task.TRAINING)})

    def command(
        *,
        train: Annotated[Path | None, typer.Option(help="The training data.")] = None,
        valid: Annotated[
            Path | None, typer.Option(help="The validation data; else every tenth example.")
        ] = None,
        out: Annotated[Path | None, typer.Option(help="The run folder; else runs/JOB.")] = None,
        resume: Annotated[
            bool, typer.Option("--resume", help="Go on with the run in the folder.")
        ] = False,
        overwrite: Annotated[
            bool, typer.Option("--overwrite", help="Remove the run that is in the folder.")
        ] = False,
        start: Annotated[
            str,
            typer.Option(
                metavar="RUN", help="Begin with the weights of this run or shipped model."
            ),
        ] = "",
        set_: Annotated[
            list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any option.")
        ] = None,
        run_file: Annotated[
            Path | None, typer.Option(help="A file with all of this, as elman new makes one.")
        ] = None,
        title: Annotated[str, typer.Option(help="The data's name, for the card.")] = "",
        licence: Annotated[str, typer.Option(help="The data's licence, for the card.")] = "",
        **options: str | None,
    ) -> None:
        from elman.tasks.run_file import Wishes, read_wishes

        wishes = Wishes(train, valid, out, {}, title, licence, start)
        if run_file is not None:
            wishes = read_wishes(run_file, job).updated(wishes)
        settings = {**assignments(set_ or []), **given(options)}
        wishes = wishes.updated(Wishes(settings=settings))
        _train(job, wishes, resume, overwrite)

    command.__doc__ = f"Train {task.TITLE}."
    return with_flags(command, flags)


def _train(job: str, wishes: Any, resume: bool, overwrite: bool) -> None:
    from elman.tasks import load, train
    from elman.training.processes import is_main_process

    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if several and wishes.out is None:
        raise OptionError("--out is missing; several processes need one folder that all know.")
    if overwrite and wishes.out is None:
        raise OptionError("--out is missing; --overwrite needs the folder of a run to remove.")
    folder = wishes.out or _run_folder(job, resume)
    data = _data(wishes, folder, resume)
    start = load(wishes.start) if wishes.start else None
    trained, outcome = train(
        task_of(job),
        data,
        folder,
        wishes.settings,
        start=start,
        resume=resume,
        overwrite=overwrite,
    )
    if outcome.stopped_because == "interrupted":
        raise typer.Exit(130)
    if is_main_process():
        screen = Console(stderr=True, highlight=False)
        screen.print(f"The model is in {folder}. Next:", soft_wrap=True)
        task = trained.task
        example = {"text": f'"{next(iter(task.POSTER))}"', "file": "FILE", "nothing": ""}
        line = f"  elman predict {folder} {example[task.INPUT]}"
        screen.print(line.rstrip(), soft_wrap=True, markup=False)


def _data(wishes: Any, folder: Path, resume: bool) -> Any:
    """The data that were asked for; of a run that is resumed, those that it was begun with."""
    from elman.tasks import Data
    from elman.tasks.resuming import is_there, resumed_data, resumed_part
    from elman.training import RunFolder

    train, valid, part = wishes.train, wishes.valid, (0, 10)
    run = RunFolder(folder)
    if resume and run.settings_path.exists():
        begun_train, begun_valid = resumed_data(run)
        part = resumed_part(run)
        for given, begun in ((train, begun_train), (valid, begun_valid)):
            if given is None and begun is not None and not is_there(begun):
                flag = "--train" if begun is begun_train else "--valid"
                raise OptionError(
                    f"{folder}: its data are not there any more ({begun}); name them by {flag}."
                )
        train, valid = train or begun_train, valid or begun_valid
    elif resume:
        Console(stderr=True, highlight=False).print(
            f"{folder}: no run was begun there yet; one begins.", soft_wrap=True, markup=False
        )
    if train is None:
        raise OptionError("--train is missing; name the training data, or a --run-file.")
    return Data(train, valid, wishes.title, wishes.licence, *part)


def _run_folder(job: str, resume: bool) -> Path:
    """runs/JOB, or runs/JOB-2 and so on: the last that is there to resume, else the next."""
    names = [Path("runs") / (job if k == 1 else f"{job}-{k}") for k in range(1, 10_000)]
    free = next(k for k, path in enumerate(names) if not path.exists())
    if resume:
        if not free:
            raise OptionError("--resume: there is no run in runs; name its folder with --out.")
        return names[free - 1]
    return names[free]
