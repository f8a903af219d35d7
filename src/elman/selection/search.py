"""A search: trials of options, each a normal training in its own folder.

    search.json      the space, the data and the settings; workers that share the folder must agree
    journal.log      optuna's record of all trials, written to by any number of processes; or a
                     database has it, see ``storage.py``
    trials/0007/     the run of trial 7; with folds or seeds, a run for each below it
    best/            the best run, a normal run folder; best/best.json says which trial it is
    trials.csv, search.png    see ``show.py``

A search may be killed at any time: the same command resumes it, and an interrupted training resumes
from its checkpoint.  Options are sampled by a tree of Parzen estimators (Bergstra et al. 2011), and
trainings that are worse than the median of the others are pruned (Golovin et al. 2017), both by
optuna.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from elman.errors import ElmanError, OptionError, RunError
from elman.extras import extra
from elman.files import write_whole
from elman.options import with_settings
from elman.saved import in_short, parse_json, read_text
from elman.selection.space import Space
from elman.selection.storage import one_at_a_time, open_storage, shown, study_name
from elman.selection.watch import OutOfTime, Pruned, TrialProgress
from elman.tasks import Data, train
from elman.tasks.task import Task
from elman.tasks.train import find_cell
from elman.training import RunFolder
from elman.training.baselines import Metric
from elman.training.progress import Silence
from elman.training.run_lock import NAME as LOCK
from elman.training.run_lock import break_foreign_lock, is_running, run_lock, start_time

#: a worker on another machine counts as dead after this many seconds without a heartbeat
SILENT_SECONDS = 600.0
#: number of trials before the sampler and the pruner use the results
STARTUP_TRIALS = 8
#: offset of the step at which a finished run of a trial is reported, beyond all epochs
RUN_STEP = 1_000_000

Tell = Callable[[str], None]


@dataclass(frozen=True)
class RunConfig:
    """What to search: the data, fixed options, the search space, and the budget.

    ``trials`` counts the trials of all workers; ``hours`` limits this worker.  With ``folds`` each
    trial is trained on every fold of the training data, and with ``seeds`` from several seeds; the
    mean metric counts.  ``storage`` is the URL of a database for the trials, instead of a journal
    in the folder.
    """

    data: Data
    space: Space
    settings: Mapping[str, Any] = field(default_factory=dict)
    trials: int = 30
    hours: float | None = None
    folds: int = 1
    seeds: int = 1
    storage: str = ""

    def __post_init__(self) -> None:
        for name in ("trials", "folds", "seeds"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.hours is not None and not self.hours > 0:
            raise OptionError(f"hours is {self.hours}; it must be greater than 0.")
        if self.folds > 1 and self.data.valid is not None:
            raise OptionError("folds are made from the training data; omit the validation data.")

    def metric(self, task: Task) -> Metric:
        """The metric that is searched by."""
        return task.metric_for(with_settings(task.Options(), self.settings))

    def record(self, task: Task) -> dict[str, Any]:
        """The settings on which all workers and resumptions of a search must agree, for JSON."""
        parts = {name: asdict(part) for name, part in self.space.parts.items()}
        tried = parts.get("cell", {}).get("values", [self.settings.get("cell", "")])
        found = {
            "format": 1,
            "job": task.name,
            "metric": self.metric(task).name,
            "train": str(self.data.train),
            "valid": "" if self.data.valid is None else str(self.data.valid),
            "folds": self.folds,
            "seeds": self.seeds,
            "settings": dict(self.settings),
            "space": parts,
            # the file that defines a cell may have changed since
            "cells": {name: find_cell(name).text for name in tried if ":" in name},
        }
        return json.loads(json.dumps(found))  # type: ignore[no-any-return]


class Search:
    """A search in a folder: a new one, or an existing one that is resumed or overwritten.

    Raises ``RunError`` if the folder holds a different search, or is to be overwritten while
    someone works in it.
    """

    def __init__(
        self, task: Task, config: RunConfig, folder: Path, *, overwrite: bool = False
    ) -> None:
        self.task, self.config, self.folder = task, config, folder
        self.metric = config.metric(task)
        #: the time, as of ``time.time``, at which this worker stops
        self.until = float("inf")
        with extra("select", "a search"):
            import optuna  # fail before the folder is created
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        RunFolder(folder).refuse_place()
        with run_lock(folder, wait=True):
            removed = overwrite and self._remove()
            self._agree(anew=removed)
        self.name = study_name(task.name, config.record(task), config.storage)
        self.storage = open_storage(folder, config.storage)
        self.study = self._open_study(anew=removed)

    def _open_study(self, *, anew: bool) -> Any:
        import optuna

        if anew and self.config.storage:
            names = [each.study_name for each in optuna.get_all_study_summaries(self.storage)]
            if self.name in names:
                optuna.delete_study(study_name=self.name, storage=self.storage)
        return optuna.create_study(
            study_name=self.name,
            storage=self.storage,
            direction="maximize" if self.config.metric(self.task).higher_is_better else "minimize",
            load_if_exists=True,
            sampler=_sampler(int(self.config.settings.get("seed", 0)), 0),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=1),
        )

    @property
    def trials_folder(self) -> Path:
        return self.folder / "trials"

    def finished(self) -> list[Any]:
        """The trials that completed, in order."""
        return [trial for trial in self.study.trials if trial.state.name == "COMPLETE"]

    def best(self) -> Any | None:
        """The best trial so far."""
        return self.study.best_trial if self.finished() else None

    def run(self, after: Callable[[], None], status: Tell) -> None:
        """Run trials until there are enough, or until this worker's hours are over.

        ``after`` is called after each trial; ``status`` receives a description of the progress.
        """
        self.until = time.time() + 3600 * (self.config.hours or float("inf"))
        while time.time() < self.until and (trial := self._next()) is not None:
            continues = self._try(trial, self.until, status)
            after()
            if not continues:
                return

    def _agree(self, *, anew: bool) -> None:
        path, record = self.folder / "search.json", self.config.record(self.task)
        record["storage"] = shown(self.config.storage)
        if not path.exists():
            if not anew and any(file.name != LOCK for file in self.folder.iterdir()):
                raise RunError(
                    f"{self.folder}: this folder holds other files; choose another folder."
                )
            write_whole(path, json.dumps(record, indent=1) + "\n")
            return
        saved = parse_json(read_text(path), path)
        if not isinstance(saved, dict):
            raise RunError(f"{path}: this is not a search; copy it again.")
        saved = {"storage": "", **saved}
        for name, value in record.items():
            if saved.get(name) != value:
                raise RunError(
                    f"{path}: this search was started with {name} "
                    f"{in_short(repr(saved.get(name)))}, not {in_short(repr(value))}; use the "
                    "same, choose another folder, or replace the search with --overwrite."
                )

    def _remove(self) -> bool:
        """Remove the search in the folder, if any; ``RunError`` while someone trains there."""
        if not (self.folder / "search.json").exists():
            return False
        with ExitStack() as locks:
            for lock in self.folder.rglob(LOCK):
                locks.enter_context(run_lock(lock.parent))
            for name in ("best", "best.part", "trials"):
                shutil.rmtree(self.folder / name, ignore_errors=True)
            for name in ("trials.csv", "search.png", "journal.log", "search.json"):
                (self.folder / name).unlink(missing_ok=True)
        return True

    def _next(self) -> Any | None:
        """Start and return the next trial; None if there are enough."""
        with one_at_a_time(self.storage, self.folder, self.name):
            for dead in self._dead():
                for run in self._runs(str(dead.user_attrs.get("folder"))):
                    break_foreign_lock(run[0])
                self._requeue(dead)
            spent = [t for t in self.study.trials if is_spent(t)]
            if len(spent) >= self.config.trials:
                return None
            # the same samples after a kill, and different ones for each worker
            self.study.sampler = _sampler(int(self.config.settings.get("seed", 0)), len(spent))
            if not self.study.trials:  # defaults first: the result is never worse than they are
                self.study.enqueue_trial(self.config.space.defaults(self.task))
            trial = self.study.ask()
            trial.set_user_attr("host", socket.gethostname())
            trial.set_user_attr("process", os.getpid())
            trial.set_user_attr("began", start_time(os.getpid()))
            trial.set_user_attr("seen", time.time())
            folder = trial.user_attrs.get("folder") or f"{trial.number:04d}"
            trial.set_user_attr("folder", folder)
            self._alive(folder).parent.mkdir(parents=True, exist_ok=True)
            self._alive(folder).touch()
            return trial

    def _alive(self, folder: str) -> Path:
        return self.trials_folder / folder / "alive"

    def _sign(self, trial: Any) -> None:
        """Show the other workers that this one is at work."""
        self._alive(trial.user_attrs["folder"]).touch()
        if self.config.storage:
            trial.set_user_attr("seen", time.time())

    def _dead(self) -> list[Any]:
        """Running trials whose worker is gone: its process has ended, or sends no heartbeat."""
        dead = []
        for trial in self.study.trials:
            if trial.state.name != "RUNNING":
                continue
            notes = trial.user_attrs
            sign = self._alive(str(notes.get("folder")))
            silent = time.time() - sign.stat().st_mtime if sign.exists() else SILENT_SECONDS
            if self.config.storage:  # a worker may have a folder of its own
                silent = min(silent, time.time() - notes.get("seen", 0.0))
            here = notes.get("host") == socket.gethostname()
            owner = notes.get("process", 0), notes.get("began", "")
            if silent >= SILENT_SECONDS or (here and not is_running(*owner)):
                dead.append(trial)
        return dead

    def _requeue(self, trial: Any) -> None:
        """End an interrupted trial, and queue its options first, in the same folder."""
        notes = {"folder": trial.user_attrs["folder"]} if "folder" in trial.user_attrs else None
        # if killed before all options were sampled, it has those that were fixed beforehand
        settled = getattr(trial, "system_attrs", {}).get("fixed_params", {})
        self.study.enqueue_trial({**settled, **trial.params}, user_attrs=notes)
        self._tell_study(trial.number, state="FAIL")

    def _try(self, trial: Any, until: float, status: Tell) -> bool:
        """Train all runs of a trial; return False if time ran out before its end."""
        began = time.time()
        options = self.config.space.suggest(trial)
        name = f"trial {trial.number + 1}"
        values: list[float] = []
        try:
            for place, data, seed in self._runs(trial.user_attrs["folder"]):
                count = len(values)

                # the metrics that a killed worker has reported for this run
                done = {} if count else _validated(place, self.metric.name)
                for epoch, value in done.items():
                    trial.report(value, epoch)

                def should_prune(
                    epoch: int, value: float, count: int = count, done: dict[int, float] = done
                ) -> bool:
                    if count:  # later runs are pruned only after they finish
                        return False
                    if epoch not in done:
                        trial.report(value, epoch)
                    return bool(trial.should_prune())

                watch = TrialProgress(
                    should_prune,
                    alive=partial(self._sign, trial),
                    until=until,
                    tell=lambda text: status(f"{name}: {text}"),
                )
                settings = {"threads": 1, **self.config.settings, **options, "seed": seed}
                _, outcome = train(self.task, data, place, settings, resume=True, progress=watch)
                if outcome.stopped_because == "interrupted":
                    raise KeyboardInterrupt
                values.append(outcome.best_metric)
                trial.report(statistics.mean(values), RUN_STEP + count)
                if count + 1 < self.config.folds * self.config.seeds and trial.should_prune():
                    raise Pruned
        except (OutOfTime, KeyboardInterrupt) as stop:
            with one_at_a_time(self.storage, self.folder, self.name):
                self._requeue(trial)
            if isinstance(stop, KeyboardInterrupt):
                raise
            return False
        except Pruned:
            self._note(trial, values, began)
            self._tell_study(trial.number, state="PRUNED")
            return True
        except ElmanError as error:
            self._note(trial, values, began)
            trial.set_user_attr("error", str(error))
            self._tell_study(trial.number, state="FAIL")
            if not self.finished() and len([t for t in self.study.trials if is_spent(t)]) >= 3:
                raise  # all trials failed: the options tried are not the cause
            return True
        self._note(trial, values, began)
        self._tell_study(trial.number, value=statistics.mean(values))
        return True

    def _runs(self, folder: str) -> list[tuple[Path, Data, int]]:
        """The folder, the data and the seed of each run of a trial."""
        config, place = self.config, self.trials_folder / folder
        first = int(config.settings.get("seed", 0))
        if config.folds * config.seeds == 1:
            return [(place, config.data, first)]
        return [
            (place / f"fold-{fold}-seed-{seed}", data, seed)
            for seed in range(first, first + config.seeds)
            for fold, data in enumerate(self._folds())
        ]

    def _folds(self) -> list[Data]:
        folds, data = self.config.folds, self.config.data
        if folds == 1:
            return [data]
        return [replace(data, held_out=k, parts=folds) for k in range(folds)]

    def _note(self, trial: Any, values: Sequence[float], began: float) -> None:
        trial.set_user_attr("values", list(values))
        trial.set_user_attr("seconds", round(time.time() - began, 1))

    def _tell_study(self, number: int, *, value: float | None = None, state: str = "") -> None:
        from optuna.trial import TrialState

        self.study.tell(number, value, state=TrialState[state] if state else None)

    def keep_best(self, tell: Tell) -> Path:
        """Write ``best/``, the run of the best trial.

        With folds no run has seen all the training data, so the best options are trained once more
        with the usual held-out tenth.
        """
        best = self.best()
        if best is None:
            raise RunError(f"{self.folder}: no trial has completed, so there is no best run.")
        with run_lock(self.folder, wait=True):  # one worker at a time
            return self._keep(best, tell)

    def _keep(self, best: Any, tell: Tell) -> Path:
        target, fresh = self.folder / "best", self.folder / "best.part"
        chosen = {"trial": best.number, "value": best.value, "options": best.params}
        if target.exists():
            kept = _read_chosen(target / "best.json")
            if kept is None or kept["model"] != _digest(target):
                raise RunError(
                    f"{target}: this was not written by the search and is left untouched; move it "
                    "elsewhere, and repeat the command."
                )
            if all(kept[name] == value for name, value in chosen.items()):
                return target
        if self.config.folds > 1:
            tell("Training the best options once more, on all folds together.")
            first = int(self.config.settings.get("seed", 0))
            settings = {"threads": 1, **self.config.settings, **best.params, "seed": first}
            shutil.rmtree(fresh, ignore_errors=True)
            train(self.task, self.config.data, fresh, settings, progress=Silence())
        else:
            runs = self._runs(best.user_attrs["folder"])
            values = best.user_attrs["values"]
            choose = max if self.metric.higher_is_better else min
            run = runs[values.index(choose(values))][0]
            if not run.exists():
                raise RunError(
                    f"{self.folder}: the best run, {run.relative_to(self.folder)}, is on "
                    f"{best.user_attrs.get('host')}, where it was trained; its folder there has it."
                )
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(run, fresh, ignore=shutil.ignore_patterns("alive", "resume", LOCK))
        write_whole(fresh / "best.json", json.dumps({**chosen, "model": _digest(fresh)}))
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
        return target


def _validated(run: Path, metric: str) -> dict[int, float]:
    """The metric after each epoch of a run that was started before."""
    history = RunFolder(run).history()
    return {
        round(line["epoch"]): line["valid"][metric] for line in history if metric in line["valid"]
    }


def _digest(run: Path) -> str:
    """The digest of a run's weights; empty if it has none."""
    path = run / "model.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _read_chosen(path: Path) -> dict[str, Any] | None:
    """The record of the best run that a search has kept; None if there is none."""
    try:
        found = parse_json(read_text(path), path)
        return {name: found[name] for name in ("trial", "value", "options", "model")}
    except (RunError, LookupError, TypeError):
        return None


def _sampler(seed: int, number: int) -> Any:
    """The sampler for the options of the trial with this number."""
    import optuna

    draw = (1_000_003 * seed + number) % 2**32
    return optuna.samplers.TPESampler(seed=draw, n_startup_trials=STARTUP_TRIALS)


def is_spent(trial: Any) -> bool:
    """Whether a trial counts towards the requested number."""
    name = trial.state.name
    return name in ("COMPLETE", "PRUNED", "RUNNING") or "error" in trial.user_attrs
