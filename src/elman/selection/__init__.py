"""Model selection: search for the options of a task that train best.

``space.py`` defines what to try, ``search.py`` runs the trials, ``watch.py`` stops bad ones early,
``show.py`` makes the table and the plot, ``workers.py`` runs several processes.  optuna does the
sampling and the pruning.
"""

from elman.selection.search import RunConfig, Search
from elman.selection.space import Space, default_space, read_space
from elman.selection.workers import select

Wish = RunConfig  # its name until 0.1

__all__ = ["RunConfig", "Search", "Space", "default_space", "read_space", "select"]
