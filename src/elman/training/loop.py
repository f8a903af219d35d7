"""The training loop: batches, validation, and the best weights on disk.

The loop is independent of tasks, data and layers: it takes a model with ``loss(**batch)`` and
functions that return batches and scores, and writes a run folder.  ``fit`` documents the
arguments; ``_Training`` is the loop itself, best read from ``run`` downwards.  Its parts:
``options.py``, ``trainer_state.py`` (patience, stopping), ``schedule.py``, ``watch.py`` (warnings),
``checkpoint.py``, ``processes.py`` (distributed training) and ``signals.py`` (time, Ctrl-C).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from elman.errors import RunError, TrainingError
from elman.training.allocation import keep_freed_memory
from elman.training.averaging import WeightAverage
from elman.training.baselines import Metric, verdict
from elman.training.carried import carried_tensors
from elman.training.checkpoint import TrainState, load_checkpoint, save_checkpoint
from elman.training.copies import RunCopy
from elman.training.curves import draw_curves
from elman.training.interruption import caught_interruption
from elman.training.loggers import Logger, NoLogger, check_logger, make_logger
from elman.training.optimizers import make_optimizer, take_step
from elman.training.options import LoopOptions
from elman.training.processes import BatchShare, Processes
from elman.training.progress import BatchInfo, Progress, Silence, choose_progress
from elman.training.run_folder import RunFolder
from elman.training.run_lock import heartbeat
from elman.training.schedule import learning_rate
from elman.training.seeding import seed_everything
from elman.training.signals import Signals
from elman.training.threads import choose_training_threads, number_of_threads
from elman.training.trainer_state import TrainerState
from elman.training.watch import Background, TrainingMonitor, UpdateRatio

Batch = Sequence[int] | BatchShare
Batches = Callable[[int, int], Sequence[Batch]]
Collate = Callable[[Sequence[int], torch.Generator], dict[str, Tensor]]
Validate = Callable[[nn.Module], Mapping[str, float]]


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a training; ``stopped_because`` is a key of ``REASONS``.

    ``findings`` are the problems that the training still had when it ended, a sentence each.
    """

    best_metric: float
    best_epoch: float
    epochs: float  # completed; 2.5 if time ran out in the middle of the third
    seconds: float  # over all resumptions
    threads: int
    stopped_because: str
    findings: tuple[str, ...] = ()


REASONS = {
    "epochs": "all epochs are done",
    "time": "the time limit was reached",
    "patience": "the metric has not improved for as many epochs as patience allows",
    "learning rate": "the learning rate was halved below its minimum",
    "interrupted": "it was interrupted",
}


def fit(
    model: nn.Module,
    *,
    batches: Batches,
    collate: Collate,
    validate: Validate,
    metric: str,
    options: LoopOptions,
    folder: RunFolder,
    resume: bool = False,
    higher_is_better: bool = True,
    progress: Progress | None = None,
    background: Background | None = None,
    seconds_before: float = 0.0,
) -> TrainingResult:
    """Train ``model`` until the ``options`` end it; the model then holds its best weights.

    - ``model.loss(**batch)`` returns the mean loss over the rows of a batch, a scalar.
    - ``batches(epoch, batch_size)`` returns the batches of an epoch (counted from 1) as indices of
      examples, always the same for the same epoch.  With n processes it is called with n times
      ``options.batch_size``, and each process takes its part of every batch; a batch that is a
      ``BatchShare`` is such a part already.  The batches may be made when they are needed: only
      their number must be known before.
    - ``collate(indices, generator)`` returns the keyword arguments of ``loss``; all its random
      numbers come from ``generator``.
    - ``validate(model)`` returns the scores after an epoch; it is called in evaluation mode and
      without gradients.  The score named by ``metric`` selects the best weights; one named "loss"
      is plotted.

    ``folder`` receives the best weights, the history, the curves, and a checkpoint every
    ``options.checkpoint_seconds``.  With ``resume``, training continues from the checkpoint and
    ends bit for bit as if it had never stopped.  Ctrl-C saves a checkpoint and ends with the reason
    "interrupted"; the model then holds its latest weights.  torch keeps the number of threads that
    training used, and the process up to 1 GiB of freed memory (``allocation.py``).

    ``seconds_before`` is how long the work on this training has taken before the call: reading the
    data then counts as training time.

    What goes wrong is reported in sentences (``watch.py``), which are more precise with the scores
    of baselines and the inspection that ``background`` holds.

    Raises ``TrainingError`` if the loss, the gradient or the metric is not finite, and
    ``RunError`` if the folder cannot be written, already holds a run, or does not match it.

    >>> import tempfile
    >>> from pathlib import Path
    >>> class Line(nn.Linear):
    ...     def loss(self, x, y):
    ...         return (self(x) - y).square().mean()
    >>> _ = torch.manual_seed(0)
    >>> x = torch.linspace(-1, 1, 64)[:, None]
    >>> line = Line(1, 1)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     result = fit(
    ...         line,
    ...         batches=lambda epoch, size: [range(n, n + size) for n in range(0, 64, size)],
    ...         collate=lambda rows, generator: {"x": x[rows], "y": 3 * x[rows] + 1},
    ...         validate=lambda model: {"loss": float(model.loss(x, 3 * x + 1))},
    ...         metric="loss",
    ...         higher_is_better=False,
    ...         options=LoopOptions(learning_rate=0.1, schedule="linear", patience=60, threads=1),
    ...         folder=RunFolder.create(Path(place) / "run", {"job": "line"}),
    ...         progress=Silence(),
    ...     )
    >>> round(line.weight.item(), 1), round(line.bias.item(), 1), result.best_metric < 0.001
    (3.0, 1.0, True)
    """
    check_logger(options)
    keep_freed_memory()
    processes = Processes()
    if not processes.is_main:
        progress = Silence()
    with caught_interruption() as interruption:
        training = _Training(
            model=model,
            batches=batches,
            collate=collate,
            validate=validate,
            metric=metric,
            options=options,
            folder=folder,
            higher_is_better=higher_is_better,
            progress=progress or choose_progress(),
            processes=processes,
            background=background or Background(),
            seconds_before=seconds_before,
            signals=Signals(processes, options, interruption),
        )
        try:
            with folder.lock():
                training.start(resume)
                return training.run()
        finally:
            training.progress.close()
            training.logger.close()


@dataclass
class _Training:
    """One training: the arguments of ``fit``, and its state."""

    model: nn.Module
    batches: Batches
    collate: Collate
    validate: Validate
    metric: str
    options: LoopOptions
    folder: RunFolder
    higher_is_better: bool
    progress: Progress
    processes: Processes
    background: Background
    seconds_before: float
    signals: Signals

    def __post_init__(self) -> None:
        self.loss_of = self.processes.loss_of(self.model)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(self.model, self.options)
        self.average = WeightAverage(self.model, self.options.average_weights)
        self.train_state = TrainState(
            self.model,
            self.optimizer,
            self.average,
            self.options,
            self.processes.count,
            self.processes.number,
        )
        self.state = TrainerState()
        self.copy = RunCopy(self.options.copy_to) if self.options.copy_to else None
        self.copied = False
        self.history: list[dict[str, Any]] = []
        self.logger: Logger = NoLogger()
        self.measured = Metric(self.metric, self.higher_is_better, self.background.unit)
        self.watch = TrainingMonitor(
            self.options, self.measured, self.progress.say, self.background
        )
        self.update_ratio = UpdateRatio(self.parameters)

    def run(self) -> TrainingResult:
        while (reason := self.reason_to_stop()) is None:
            self.train_epoch()
            if not self.signals.interrupted:
                self.run_validation()
            if self.signals.save_due:
                self.save()
        self.save()
        return self.finish(reason)

    def train_epoch(self) -> None:
        """Train on the remaining batches of this epoch, or on as many as time allows."""
        state, signals = self.state, self.signals
        plan = self.plan(state.epoch)
        state.batches = len(plan)
        self.model.train()
        for batch in range(state.batch, len(plan)):
            self.train_batch(plan[batch])
            if signals.interrupted or signals.out_of_time:
                return
            if signals.save_due:
                self.save()

    def train_batch(self, rows: Batch) -> None:
        """Take one step; a batch gets the same random numbers every time it is trained on."""
        options, state = self.options, self.state
        rows_here, weight = self.processes.shard(rows)
        generator = seed_everything(options.seed, state.epoch, state.batch, self.processes.number)
        self.set_learning_rate()
        self.optimizer.zero_grad()
        loss = self.loss_of(self.collate(rows_here, generator)) * weight
        mean_loss = self.signals.sync(loss.item())
        self.check_finite("the loss", mean_loss)
        self.processes.backward(loss)
        if math.isfinite(options.clip_value):
            nn.utils.clip_grad_value_(self.parameters, options.clip_value)
        norm = nn.utils.clip_grad_norm_(self.parameters, options.clip_norm)
        self.check_finite("the gradient norm", norm.item())
        self.update_ratio.before(state.step)
        take_step(self.optimizer)
        steps = options.epochs * state.batches
        self.watch.step(mean_loss, norm.item(), self.update_ratio.after(), steps)
        self.average.update(state.count_averaged(options))
        state.count_batch(mean_loss, len(rows))
        heartbeat(self.folder.path)
        self.progress.batch(
            BatchInfo(
                epoch=state.epoch,
                batch=state.batch,
                batches=state.batches,
                loss=state.mean_loss,
                seconds=self.signals.seconds(),
            )
        )

    def run_validation(self) -> None:
        """Validate, save the weights if they are the best so far, and write the history."""
        state = self.state
        with self.average.in_place():
            scores = averaged = self.scores()
        if self.average.is_young(state.averaged):
            scores = self.better(averaged, self.scores())
        value = self.processes.from_main(scores.get(self.metric, math.nan))
        self.check_finite(f"the validation metric {self.metric}", value)
        loss = self.processes.from_main(scores.get("loss", math.nan))
        best = state.record_validation(
            value,
            self.options,
            higher_is_better=self.higher_is_better,
            loss=loss if math.isfinite(loss) else None,
        )
        if best and self.processes.is_main:
            with self.average.in_place() if scores is averaged else nullcontext():
                self.folder.save_weights(self.model)
        line = {
            "epoch": state.epochs_done,
            "step": state.step,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "train_loss": state.mean_loss,
            "valid": {name: _json_number(score) for name, score in scores.items()},
            "best": best,
            "seconds": self.signals.seconds(),
        }
        self.history.append(line)
        state.history_lines = len(self.history)
        if self.processes.is_main:
            self.folder.write_history(self.history)
            self.progress.validated(line)
            self.logger.validated(line)
            alone = self.model if self.processes.count == 1 else None
            self.watch.validated(scores, state.epochs_done, state.mean_loss, alone)
        if state.batch == state.batches:
            state.next_epoch()
        self.signals.sync()

    def better(self, first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
        """The scores with the better metric; of equal ones, those with the lower loss."""
        if not self.processes.is_main:
            return first
        sign = 1 if self.higher_is_better else -1

        def rank(scores: dict[str, float]) -> tuple[bool, float, float]:
            value = sign * scores[self.metric]
            return not math.isnan(value), value, -scores.get("loss", 0.0)

        return max(first, second, key=rank)

    def scores(self) -> dict[str, float]:
        """The scores from ``validate``, which runs in the main process only; others get none."""
        if not self.processes.is_main:
            return {}
        seed_everything(self.options.seed, self.state.epoch, "validate")
        self.model.eval()
        with torch.no_grad():
            scores = {name: float(score) for name, score in self.validate(self.model).items()}
        if self.metric not in scores:
            raise TrainingError(
                f"validation returned {', '.join(scores)}, but not {self.metric}, which selects "
                "the best weights; set metric to one of these."
            )
        return scores

    def final_score(self, best: float) -> float:
        """The metric of the whole model with its best weights."""
        if self.background.score is None:
            return best
        self.model.eval()
        with torch.no_grad():
            return self.background.score(self.model)

    def reason_to_stop(self) -> str | None:
        if self.signals.interrupted:
            return "interrupted"
        return self.state.reason_to_stop(self.options, out_of_time=self.signals.out_of_time)

    def finish(self, reason: str) -> TrainingResult:
        """Draw the curves, report why training stopped, and load the best weights."""
        state = self.state
        findings: list[str] = []
        if self.processes.is_main and self.history:
            self.folder.write_file("curves.png", draw_curves(self.history, metric=self.metric))
        if reason == "interrupted":
            self.progress.say(
                f"Interrupted in epoch {state.epoch} after batch {state.batch}. The state is saved "
                f"in {self.folder.path}; repeat the command with --resume to continue."
            )
        else:
            self.processes.wait()
            self.folder.load_weights(self.model)
            self.progress.say(
                f"Training stopped because {REASONS[reason]}. The best {self.metric}, "
                f"{state.best_metric:.4f}, was reached in epoch {state.best_epoch:.4g}."
            )
            if self.processes.is_main and state.best_metric is not None:
                findings = self.watch.end(state.best_metric, state.epochs_done)
                said = verdict(
                    self.measured, self.final_score(state.best_metric), self.background.baselines
                )
                for sentence in [*findings, said] if said else findings:
                    self.progress.say(sentence)
        return TrainingResult(
            best_metric=math.nan if state.best_metric is None else state.best_metric,
            best_epoch=state.best_epoch,
            epochs=state.epochs_done,
            seconds=state.seconds,
            threads=state.threads,
            stopped_because=reason,
            findings=tuple(findings),
        )

    def start(self, resume: bool) -> None:
        """Start a new run, or restore the state that the checkpoint holds."""
        if self.processes.is_main and resume:
            self.folder.refuse_to_resume_results()
        elif self.processes.is_main:
            self.folder.refuse_results()
        resume = resume and self.folder.checkpoint_path.exists()
        self.processes.wait()  # all processes check before the main one writes
        if resume:
            self.state = load_checkpoint(self.folder.checkpoint_path, self.train_state)
            if self.state.batch:  # the last batch may be done, and its rate not written yet
                self.set_learning_rate(batches_back=1)
            self.history = self.folder.history(self.state.history_lines)
            if not all([self.metric in line["valid"] for line in self.history]):
                raise RunError(
                    f"{self.folder.history_path}: a line has no {self.metric}; restore the file as "
                    "training wrote it."
                )
        self.signals.start_clock(self.state.seconds + self.seconds_before)
        if self.processes.is_main:
            self.logger = make_logger(
                self.options, self.folder, len(self.history), self.state.step if resume else 0
            )
        self.progress.begin(self.options, self.metric, self.signals.seconds())
        if resume:
            self.progress.say(
                f"Resuming in epoch {self.state.epoch} after batch {self.state.batch}, "
                f"with {number_of_threads(self.state.threads)} as before."
            )
        else:
            self.state.threads = self.choose_threads()
        torch.set_num_threads(self.state.threads)
        if self.processes.is_main:
            self.watch.begin()
            self.folder.clear_leftovers()
            self.folder.write_history(self.history)
        self.save()
        self.signals.sync()

    def choose_threads(self) -> int:
        """The number from the options, or the fastest on a batch from the middle of the epoch."""
        if self.options.threads != "auto":
            return self.options.threads
        plan = self.plan(1)
        rows, _ = self.processes.shard(plan[len(plan) // 2])
        batch = self.collate(rows, seed_everything(self.options.seed, "threads"))
        choice = choose_training_threads(self.model, self.options, batch)
        self.progress.say(f"Training with {choice}")
        return int(self.processes.from_main(choice.threads))

    def plan(self, epoch: int) -> Sequence[Batch]:
        """The batches of an epoch, for all processes together."""
        seed_everything(self.options.seed, epoch, "batches")
        plan = self.batches(epoch, self.processes.count * self.options.batch_size)
        if not plan:
            raise TrainingError(f"epoch {epoch} has no batches; give at least one example.")
        return plan

    def set_learning_rate(self, batches_back: int = 0) -> None:
        """The rate of the next batch, or of one that is done."""
        state = self.state
        state = replace(state, batch=state.batch - batches_back, step=state.step - batches_back)
        rate = learning_rate(
            self.options,
            step=state.step,
            done=state.epochs_done / self.options.epochs,
            halvings=state.halvings,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def save(self) -> None:
        """Write a checkpoint of the current state."""
        self.state.seconds = self.signals.seconds()
        carried = self.processes.gather(carried_tensors(self.model))
        if self.processes.is_main:
            save_checkpoint(self.folder.checkpoint_path, self.train_state, self.state, carried)
            self.copy_run()
        self.signals.saved()

    def copy_run(self) -> None:
        """Copy the run if asked to; only the first copy must succeed."""
        if self.copy is None:
            return
        try:
            self.copy.save(self.folder)
            self.copied = True
        except RunError as error:
            if not self.copied:
                raise
            self.progress.say(f"{error} The next checkpoint tries again.")

    def check_finite(self, what: str, value: float) -> None:
        if math.isfinite(value):
            return
        state, options = self.state, self.options
        batch = min(state.batch + 1, state.batches)
        saved = "No weights have been saved yet"
        if state.best_metric is not None:
            saved = (
                f"The best weights so far (epoch {state.best_epoch:.4g}, {self.metric} "
                f"{state.best_metric:.4f}) are saved in {self.folder.path}"
            )
        raise TrainingError(
            f"epoch {state.epoch}, batch {batch} of {state.batches}: {what} is {value}. "
            f"{saved}. Train again with a lower learning_rate (now {options.learning_rate:g}) or "
            f"clip_norm (now {options.clip_norm:g}), and check the data for such values."
        )


def _json_number(value: float) -> float | None:
    return value if math.isfinite(value) else None
