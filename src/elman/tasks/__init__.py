"""The tasks: a package each, and the code that is the same for all.

``task.py`` defines what a task is, ``registry.py`` lists them, ``train.py`` trains them, and
``trained.py`` loads and runs trained models.
"""

from typing import TYPE_CHECKING

from elman.lazy import lazy_names

if TYPE_CHECKING:
    from elman.tasks.corpus import Data
    from elman.tasks.registry import TASKS
    from elman.tasks.task import Task
    from elman.tasks.train import find_cell, train
    from elman.tasks.trained import Trained, load

# the names and options of tasks are available without torch
lazy_names(
    __name__,
    {
        "TASKS": "elman.tasks.registry:TASKS",
        "Data": "elman.tasks.corpus:Data",
        "Task": "elman.tasks.task:Task",
        "Trained": "elman.tasks.trained:Trained",
        "find_cell": "elman.tasks.train:find_cell",
        "load": "elman.tasks.trained:load",
        "train": "elman.tasks.train:train",
    },
)

__all__ = ["TASKS", "Data", "Task", "Trained", "find_cell", "load", "train"]
