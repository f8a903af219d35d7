"""Training: the loop, its options, run folders, metrics.

It knows nothing of tasks, data or models: ``fit`` gets a module with a ``loss`` and functions.
Start with ``loop.py``.
"""

from elman.training.loop import Outcome, fit
from elman.training.options import LoopOptions
from elman.training.run_folder import RunFolder

__all__ = ["LoopOptions", "Outcome", "RunFolder", "fit"]
