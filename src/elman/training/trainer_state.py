"""The progress of training: everything that is not a tensor.

The loop updates the state, a checkpoint saves it as JSON, and resuming restores it.  The rules for
patience, plateaus and stopping are here too, because they depend on nothing else.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

from elman.training.options import MOST_THREADS, LoopOptions

#: only the metric and the losses may be negative
_SIGNED = frozenset({"best_metric", "best_loss", "loss_sum"})


@dataclass
class TrainerState:
    """Completed epochs and batches, the best metric so far, and the patience counters.

    >>> state = TrainerState()
    >>> state.record_validation(0.8, LoopOptions(), higher_is_better=True)
    True
    >>> state.record_validation(0.7, LoopOptions(), higher_is_better=True)
    False
    >>> state.epochs_since_best
    1
    """

    epoch: int = 1  # the current epoch, counted from 1
    batch: int = 0  # its completed batches
    batches: int = 0  # all its batches; 0 before it starts
    step: int = 0  # completed batches of all epochs
    rows: int = 0  # examples seen in this epoch
    loss_sum: float = 0.0  # sum of their losses
    best_metric: float | None = None
    best_loss: float | None = None  # the validation loss that came with it, if any
    best_epoch: float = 0.0
    epochs_since_best: int = 0
    plateau_epochs: int = 0  # epochs without a better metric since the last halving
    halvings: int = 0
    averaged: int = 0  # steps that are in the average
    history_lines: int = 0
    seconds: float = 0.0  # of training, over all resumptions
    threads: int = 1

    @classmethod
    def of(cls, record: dict[str, Any]) -> "TrainerState":
        """The state that a checkpoint holds; ``ValueError`` if it is invalid."""
        state = cls(**record)
        for each in fields(cls):
            value, default = record[each.name], each.default
            if value is None and default is None:
                continue
            kind = int if isinstance(default, int) else int | float
            typed = isinstance(value, kind) and not isinstance(value, bool)
            if not typed or not abs(value) < 1e15 or (each.name not in _SIGNED and value < 0):
                raise ValueError(f"{each.name} is {value!r:.40}")
        if state.epoch < 1 or not 1 <= state.threads <= MOST_THREADS:
            raise ValueError(f"epoch {state.epoch} with {state.threads} threads")
        return state

    @property
    def epochs_done(self) -> float:
        """How many epochs are completed: an integer between epochs, 2.25 within the third."""
        if self.batch == 0:
            return self.epoch - 1
        if self.batch == self.batches:
            return self.epoch
        return self.epoch - 1 + self.batch / self.batches

    @property
    def mean_loss(self) -> float:
        """The mean loss of this epoch's examples so far; NaN before the first."""
        return self.loss_sum / self.rows if self.rows else math.nan

    def count_averaged(self, options: LoopOptions) -> int:
        """How many steps are in the average before this one; 0 before averaging starts."""
        start = options.average_from
        waits = self.epochs_since_best == 0 if start == "plateau" else self.epoch <= start
        if waits and not self.averaged:
            return 0
        self.averaged += 1
        return self.averaged - 1

    def count_batch(self, loss: float, rows: int) -> None:
        """Count a finished batch of ``rows`` examples with this mean loss."""
        self.batch += 1
        self.step += 1
        self.rows += rows
        self.loss_sum += loss * rows

    def next_epoch(self) -> None:
        """Start the next epoch."""
        self.epoch += 1
        self.batch = 0
        self.batches = 0
        self.rows = 0
        self.loss_sum = 0.0

    def record_validation(
        self,
        value: float,
        options: LoopOptions,
        *,
        higher_is_better: bool,
        loss: float | None = None,
    ) -> bool:
        """Update the counters, and return whether ``value`` is the best metric so far.

        If two metrics are equal, the lower validation ``loss`` is better: an F1 score can stay 0
        for some time while a model starts to learn.  A validation in the middle of an epoch (time
        limit) can give the best model but does not use up patience.
        """
        best = self.best_metric
        better = best is None or (value > best if higher_is_better else value < best)
        if value == best and loss is not None and self.best_loss is not None:
            better = loss < self.best_loss
        if better:
            self.best_metric = value
            self.best_loss = loss
            self.best_epoch = self.epochs_done
            self.epochs_since_best = 0
            self.plateau_epochs = 0
        elif self.batch == self.batches:
            self.epochs_since_best += 1
            self.plateau_epochs += 1
            if options.schedule == "plateau" and self.plateau_epochs > options.plateau_patience:
                self.halvings += 1
                self.plateau_epochs = 0
        return better

    def reason_to_stop(self, options: LoopOptions, *, out_of_time: bool) -> str | None:
        """Why training stops here, or None if it continues."""
        if self.epoch > options.epochs:
            return "epochs"
        if self.epochs_since_best >= options.patience:
            return "patience"
        rate = options.learning_rate * 0.5**self.halvings
        if self.halvings and rate < options.min_learning_rate:
            return "learning rate"
        if out_of_time and self.best_metric is not None:  # there is always time for one validation
            return "time"
        return None
