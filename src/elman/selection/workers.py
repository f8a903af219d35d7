"""Several processes on one machine that share a search, and what a person sees meanwhile."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from elman.files import write_whole
from elman.selection.search import RunConfig, Search
from elman.selection.show import News, importance, picture, table
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
    """Search with so many processes; write the table, the picture and the best run."""
    search = Search(
        task, config, folder, overwrite=overwrite
    )  # what is wrong with it is said once, before the others
    news = News(search, lambda line: console.print(line, soft_wrap=True))
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_work, args=(task.name, config, folder), daemon=True)
        for _ in range(workers - 1)
    ]
    for other in others:
        other.start()
    try:
        with console.status("") as shown:
            search.run(news, shown.update)
        for other in others:
            other.join()
        news()
    finally:
        for other in others:
            other.terminate()
    write_whole(folder / "trials.csv", table(search))
    best = search.keep_best(lambda line: console.print(line, soft_wrap=True))
    write_whole(folder / "search.png", picture(search))
    parts = importance(search)
    if parts:
        shares = ", ".join([f"{name} {share:.0%}" for name, share in parts.items()])
        console.print(f"What mattered: {shares}", soft_wrap=True)
    return search, best


def select(
    task: Task, config: RunConfig, folder: Path, *, tell: Callable[[str], None] = print
) -> Search:
    """Search with this process until there are enough trials or time is up.

    The same call goes on with a search that is there; other processes, also on other machines
    that see the folder, share it.  Raises ``OptionError``, ``DataError`` and ``RunError`` for
    what a user can put right.
    """
    search = Search(task, config, folder)
    search.run(News(search, tell), lambda text: None)
    return search


def _work(task: str, config: RunConfig, folder: Path) -> None:
    """A further process; what it finds is told by the first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    select(TASKS[task], config, folder, tell=lambda line: None)
