"""Training: the loop, its options, run folders, metrics.

It knows nothing of tasks, data or models: ``fit`` gets a module with a ``loss`` and functions.
Start with ``loop.py``.
"""

from typing import TYPE_CHECKING

from elman.lazy import lazy_names

if TYPE_CHECKING:
    from elman.training.loop import TrainingResult, fit
    from elman.training.options import LoopOptions
    from elman.training.run_folder import RunFolder

# the command line reads the options without torch
lazy_names(
    __name__,
    {
        "LoopOptions": "elman.training.options:LoopOptions",
        "TrainingResult": "elman.training.loop:TrainingResult",
        "RunFolder": "elman.training.run_folder:RunFolder",
        "fit": "elman.training.loop:fit",
    },
)

__all__ = ["LoopOptions", "TrainingResult", "RunFolder", "fit"]
