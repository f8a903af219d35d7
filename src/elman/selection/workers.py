"""Several worker processes on one machine that share a search, and its messages."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from elman.files import write_whole
from elman.selection.search import RunConfig, Search
from elman.selection.show import TrialReporter, importance, picture, table
from elman.tasks import TASKS
from elman.tasks.task import Task


def search_with(
    task: Task,
    config: RunConfig,
    folder: Path,
    workers: int,
    console: Console,
    *,
    overwrite: bool = False,
) -> tuple[Search, Path]:
    """Search with ``workers`` processes; write the table, the plot and the best run."""
    search = Search(
        task, config, folder, overwrite=overwrite
    )  # its errors are reported once, before other workers start
    report = TrialReporter(search, lambda line: console.print(line, soft_wrap=True))
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_work, args=(task.name, config, folder), daemon=True)
        for _ in range(workers - 1)
    ]
    for other in others:
        other.start()
    try:
        with console.status("") as shown:
            search.run(report, shown.update)
        for other in others:
            other.join()
        report()
    finally:
        for other in others:
            other.terminate()
    write_whole(folder / "trials.csv", table(search))
    best = search.keep_best(lambda line: console.print(line, soft_wrap=True))
    write_whole(folder / "search.png", picture(search))
    parts = importance(search)
    if parts:
        found = ", ".join([f"{name} {value:.0%}" for name, value in parts.items()])
        console.print(f"Option importance: {found}", soft_wrap=True)
    return search, best


def select(
    task: Task, config: RunConfig, folder: Path, *, tell: Callable[[str], None] = print
) -> Search:
    """Search with this process until there are enough trials or time is up.

    The same call resumes an existing search; other processes, also on other machines that can
    access the folder, share it.  Raises ``OptionError``, ``DataError`` and ``RunError`` for
    problems that the user can fix.
    """
    search = Search(task, config, folder)
    search.run(TrialReporter(search, tell), lambda text: None)
    return search


def _work(task: str, config: RunConfig, folder: Path) -> None:
    """Run another worker process; the first process reports its results."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    select(TASKS[task], config, folder, tell=lambda line: None)
