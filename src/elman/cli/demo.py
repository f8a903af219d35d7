"""``elman demo``: the shipped models on the demo inputs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer

from elman import shipped
from elman.cli.shared import console
from elman.errors import OptionError
from elman.tasks.registry import TASKS, task_of


def demo(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TASK]...",
            help="Tasks to run. Default: all with a shipped model.",
            autocompletion=lambda: list(TASKS),
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for pictures and sound.")] = Path("elman-demo"),
    engine: Annotated[
        Literal["elman", "onnx"],
        typer.Option(help="Run the models in Elman, or export them to ONNX first."),
    ] = "elman",
    files: Annotated[
        Path | None, typer.Option(help="Folder for the exported files. Default: a temporary one.")
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Serve the models and open their page in a browser.")
    ] = False,
) -> None:
    """Run the shipped models on the demo inputs."""
    if page:
        from elman.cli.serve import start
        from elman.serve import Limits

        if engine == "onnx":
            raise OptionError("--page and --engine onnx exclude each other; omit one of them.")
        for name in tasks or []:
            task_of(name)  # says which there are
        start(tasks or [], Limits(), "127.0.0.1", 0, None, open_page=True)
        return
    if files is not None and engine != "onnx":
        raise OptionError("--files needs --engine onnx; add it, or omit --files.")
    with ExitStack() as stack:
        place = files
        if engine == "onnx" and place is None:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ships = shipped.models()
        _show(tasks or [name for name in TASKS if name in ships], out, place)


def _show(tasks: Sequence[str], out: Path, exported: Path | None) -> None:
    """Runs the demo of each task; with ``exported``, from ONNX files written to that folder."""
    from elman.cli.export import export_to_onnx
    from elman.tasks import load

    screen = console()
    written: list[Path] = []
    for name in tasks:
        task = task_of(name)
        run: str | Path = name if exported is None else export_to_onnx(name, exported)
        started = time.perf_counter()
        model = load(run)
        answers, files = model.answers_and_files(
            list(task.demo.values()), **task.demo_settings(out)
        )
        seconds = time.perf_counter() - started
        screen.print(f"[bold]{task.title}[/]")
        for said, answer in zip(task.demo, answers, strict=True):
            screen.print(f"  [dim]in [/] {said}", soft_wrap=True)
            shown = task.show(answer).replace("\n", "\n      ")
            screen.print(f"  [dim]out[/] {shown}", soft_wrap=True)
        written += files
        screen.print(f"  [dim]{seconds:.1f} s, including loading the model[/]\n")
    if written:
        screen.print("Files written:")
        for path in written:
            screen.print(f"  {path}", soft_wrap=True, markup=False)
