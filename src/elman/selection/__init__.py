"""Model selection: which options of a task train best, tried out and written down.

``space.py`` says what is tried, ``search.py`` tries it, ``watch.py`` gives up on what goes badly,
``show.py`` makes the table and the picture, ``workers.py`` does it in several processes.  The
sampling and the pruning are optuna's.
"""

from elman.selection.search import RunConfig, Search
from elman.selection.space import Space, default_space, read_space
from elman.selection.workers import select

__all__ = ["Search", "Space", "RunConfig", "default_space", "read_space", "select"]
