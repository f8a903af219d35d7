"""The jobs: a page each, and what is the same for all of them.

``task.py`` says what a job is, ``train.py`` and ``trained.py`` what can be done with any.
"""

from elman.tasks.train import Data, find_cell, train
from elman.tasks.trained import TASKS, Trained, load

__all__ = ["TASKS", "Data", "Trained", "find_cell", "load", "train"]
