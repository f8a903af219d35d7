"""The training loop, its options, run folders and metrics.

Independent of tasks, data and models: ``fit`` takes a module with a ``loss`` method and a few
functions.  Start with ``loop.py``.
"""

from typing import TYPE_CHECKING

from elman.lazy import lazy_names

if TYPE_CHECKING:
    from elman.training.loop import TrainingResult, fit
    from elman.training.options import LoopOptions
    from elman.training.run_folder import RunFolder

# lazy, so that the command line reads the options without importing torch
lazy_names(
    __name__,
    {
        "LoopOptions": "elman.training.options:LoopOptions",
        "TrainingResult": "elman.training.loop:TrainingResult",
        "Outcome": "elman.training.loop:TrainingResult",  # its name until 0.1
        "RunFolder": "elman.training.run_folder:RunFolder",
        "fit": "elman.training.loop:fit",
    },
)

__all__ = ["LoopOptions", "RunFolder", "TrainingResult", "fit"]
