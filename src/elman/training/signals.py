"""What the loop checks between two batches: the time limit, interruption, and when to save.

All processes must act alike, so they agree on these and on the mean loss of the batch in one
exchange of four numbers.  The main process keeps the time; an interruption of any process counts.
"""

import time

from elman.training.interruption import Interruption
from elman.training.options import LoopOptions
from elman.training.processes import Processes


class Signals:
    """``out_of_time``, ``interrupted`` and ``save_due`` as of the last ``sync``."""

    def __init__(
        self, processes: Processes, options: LoopOptions, interruption: Interruption
    ) -> None:
        self._processes = processes
        self._options = options
        self._interruption = interruption
        self.out_of_time = self.interrupted = self.save_due = False
        self.start_clock(0.0)

    def start_clock(self, seconds: float) -> None:
        """Start the clock; ``seconds`` of training came before, in runs that were resumed."""
        self._seconds_before = seconds
        self._started = self._saved = time.monotonic()

    def seconds(self) -> float:
        """Training time in seconds, over all resumptions."""
        return self._seconds_before + time.monotonic() - self._started

    def sync(self, loss: float = 0.0) -> float:
        """Agree with the other processes; return the mean of their losses."""
        main, options = self._processes.is_main, self._options
        minutes = options.max_minutes
        time_is_up = minutes is not None and self.seconds() >= 60 * minutes
        save_due = time.monotonic() - self._saved >= options.checkpoint_seconds
        here = (main and time_is_up, self._interruption.asked, main and save_due)
        loss, *agreed = self._processes.mean([loss, *map(float, here)])
        self.out_of_time, self.interrupted, self.save_due = (part > 0 for part in agreed)
        return loss

    def saved(self) -> None:
        """Note that a checkpoint was written just now."""
        self._saved = time.monotonic()
        self.save_due = False
