"""What the loop looks at between two batches: is time up, was it interrupted, is saving due.

All processes must do the same, so they agree on it, together with the batch's mean loss, in one
exchange of four numbers.  Time is the main process's; an interruption of any is one of all.
"""

import time

from elman.training.interruption import Interruption
from elman.training.options import LoopOptions
from elman.training.processes import Processes


class Signals:
    """``out_of_time``, ``interrupted`` and ``save_due`` as of the last ``listen``."""

    def __init__(
        self, processes: Processes, options: LoopOptions, interruption: Interruption
    ) -> None:
        self._processes = processes
        self._options = options
        self._interruption = interruption
        self.out_of_time = self.interrupted = self.save_due = False
        self.go_on_after(0.0)

    def go_on_after(self, seconds: float) -> None:
        """Training begins now, after it was on for so many ``seconds`` before."""
        self._seconds_before = seconds
        self._begun = self._saved = time.monotonic()

    def seconds(self) -> float:
        """How long training has taken, over all resumptions."""
        return self._seconds_before + time.monotonic() - self._begun

    def listen(self, loss: float = 0.0) -> float:
        """Agree with the other processes; the mean of their losses comes back."""
        main, options = self._processes.is_main, self._options
        minutes = options.max_minutes
        time_is_up = minutes is not None and self.seconds() >= 60 * minutes
        save_due = time.monotonic() - self._saved >= options.checkpoint_seconds
        here = (main and time_is_up, self._interruption.asked, main and save_due)
        loss, *agreed = self._processes.mean([loss, *map(float, here)])
        self.out_of_time, self.interrupted, self.save_due = (part > 0 for part in agreed)
        return loss

    def saved(self) -> None:
        """A checkpoint was written just now."""
        self._saved = time.monotonic()
        self.save_due = False
