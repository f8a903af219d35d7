"""``elman train TASK``: a command for each task."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from elman.cli.flags import assignments, flags_of, given, with_flags
from elman.cli.shared import shipped_models
from elman.errors import OptionError
from elman.tasks.task import Task
from elman.training import LoopOptions

if TYPE_CHECKING:
    from elman.tasks import Data
    from elman.tasks.run_file import RunConfig


def train_command(task: Task) -> tuple[Callable[..., None], str]:
    """``elman train`` of a task, with flags for the options of the task and of training."""
    flags = [
        *flags_of(
            task.Options,
            vars(task.Options()),
            f"Options of {task.name}",
            small_data=task.small_data,
        ),
        *flags_of(
            LoopOptions,
            vars(task.training),
            "Options of training",
            small_data=task.small_data,
        ),
    ]

    def command(
        *,
        train: Annotated[Path | None, typer.Option(help="The training data.")] = None,
        valid: Annotated[
            Path | None,
            typer.Option(
                help="The validation data. Default: the validation split of the training data if "
                "it has one, otherwise a random tenth of the examples, without duplicates of the "
                "others."
            ),
        ] = None,
        out: Annotated[
            Path | None, typer.Option(help="The run folder. Default: runs/TASK, or runs/TASK-2 ...")
        ] = None,
        resume: Annotated[
            bool, typer.Option("--resume", help="Resume the run in the folder.")
        ] = False,
        overwrite: Annotated[
            bool, typer.Option("--overwrite", help="Replace the run in the folder.")
        ] = False,
        init_from: Annotated[
            str,
            typer.Option(
                metavar="RUN",
                help=(
                    "Initialise the weights from this run or shipped model; a task on words takes "
                    "language models as encoders: RUN or RUN,RUN."
                ),
                autocompletion=shipped_models,
            ),
        ] = "",
        start: Annotated[  # the old name of --init-from, until 0.1
            str, typer.Option(metavar="RUN", hidden=True)
        ] = "",
        set_: Annotated[
            list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set any option.")
        ] = None,
        run_file: Annotated[
            Path | None, typer.Option(help="A TOML file with these settings, as elman new writes.")
        ] = None,
        title: Annotated[str, typer.Option(help="Name of the data, for the model card.")] = "",
        licence: Annotated[str, typer.Option(help="Licence of the data, for the model card.")] = "",
        **options: str | None,
    ) -> None:
        from elman.tasks.run_file import RunConfig, read_run_file

        config = RunConfig(train, valid, out, {}, title, licence, init_from or start)
        if run_file is not None:
            config = read_run_file(run_file, task).updated(config)
        settings = {**assignments(set_ or []), **given(options)}
        config = config.updated(RunConfig(settings=settings))
        _train(task, config, resume, overwrite)

    command.__doc__ = f"Train a model for {task.title}."
    return with_flags(command, flags), f"elman train {task.name} --run-file d/run.toml"


def _train(task: Task, config: RunConfig, resume: bool, overwrite: bool) -> None:
    from elman.tasks import train
    from elman.tasks.resuming import load_several
    from elman.training.processes import is_main_process

    # a restarted process must find the folder of its run again
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1 or "TORCHELASTIC_RUN_ID" in os.environ
    if several and config.out is None:
        raise OptionError(
            "--out is missing; several processes need one folder that all can access."
        )
    if overwrite and config.out is None:
        raise OptionError("--out is missing; --overwrite needs the folder of the run to replace.")
    folder = config.out or _run_folder(task.name, resume)
    if resume:
        _fetch(task, config, folder)
    data = _data(config, folder, resume)
    start = load_several(config.init_from) if config.init_from else None
    _, outcome = train(
        task,
        data,
        folder,
        config.settings,
        start=start,
        resume=resume,
        overwrite=overwrite,
    )
    if outcome.stopped_because == "interrupted":
        raise typer.Exit(130)
    if is_main_process():
        screen = Console(stderr=True, highlight=False)
        screen.print(f"The model is in {folder}. Next:", soft_wrap=True)
        example = {"text": f'"{next(iter(task.demo))}"', "file": "FILE", "nothing": ""}
        line = f"  elman predict {folder} {example[task.input_kind]}"
        screen.print(line.rstrip(), soft_wrap=True, markup=False)


def _fetch(task: Task, config: RunConfig, folder: Path) -> None:
    """Fetch the run from its copy, if the folder has none, and say so."""
    from elman.tasks.resuming import fetch_copy
    from elman.training import RunFolder
    from elman.training.processes import is_main_process

    url = fetch_copy(task, RunFolder(folder), config.settings)
    if url and is_main_process():
        _say(f"{folder}: fetched the run that was copied to {url}.")


def _say(sentence: str) -> None:
    Console(stderr=True, highlight=False).print(sentence, soft_wrap=True, markup=False)


def _data(config: RunConfig, folder: Path, resume: bool) -> Data:
    """The data on the command line; for a resumed run, by default the data it started with."""
    from elman.tasks import Data
    from elman.tasks.resuming import is_there, resumed_data, resumed_part
    from elman.training import RunFolder

    train, valid, part = config.train, config.valid, (0, 10)
    run = RunFolder(folder)
    if resume and run.settings_path.exists():
        saved_train, saved_valid = resumed_data(run)
        part = resumed_part(run)
        for given, saved in ((train, saved_train), (valid, saved_valid)):
            if given is None and saved is not None and not is_there(saved):
                flag = "--train" if saved is saved_train else "--valid"
                raise OptionError(
                    f"{folder}: the data of this run are missing ({saved}); name them with {flag}."
                )
        train, valid = train or saved_train, valid or saved_valid
    elif resume and train is None:
        raise OptionError(
            f"{folder}: there is no run to resume{_nor_copy(config)}; name the folder of a run "
            "with --out, or start one with --train."
        )
    elif resume:
        _say(f"{folder}: there is no run to resume{_nor_copy(config)}; starting a new one.")
    if train is None:
        raise OptionError("--train is missing; name the training data or a --run-file.")
    return Data(train, valid, config.title, config.licence, *part)


def _nor_copy(config: RunConfig) -> str:
    url = config.settings.get("copy_to")
    return f", and no copy of one at {url}" if url else ""


def _run_folder(task: str, resume: bool) -> Path:
    """runs/TASK, runs/TASK-2 and so on: the last existing one to resume, else the next."""
    names = [Path("runs") / (task if k == 1 else f"{task}-{k}") for k in range(1, 10_000)]
    free = next(k for k, path in enumerate(names) if not path.exists())
    if resume:
        if not free:
            raise OptionError("--resume: there is no run in runs; name its folder with --out.")
        return names[free - 1]
    return names[free]
