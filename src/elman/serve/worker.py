"""A thread per model, which answers requests that arrive together in one batch.

Jobs wait in a queue.  The thread takes one, waits a few milliseconds for others, and answers those
with the same options at once, by length, if the task's answers do not depend on one another.  Every
answer is the one that ``elman predict --json`` gives for the same inputs and options: tasks promise
it (``Task.independent``), but it also depends on the model's layers and on this machine, so the
first jobs that could be joined are answered alone, and then together to compare.

A job that took too long is abandoned.  Python code can be stopped only at its own thread's next
instruction, so the worker raises ``Abandoned`` there (CPython has a function for that).
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any

from elman.errors import DataError
from elman.serve.limits import Limits
from elman.serve.metrics import Metrics
from elman.tasks import Trained

#: inputs whose answers together must be those alone before jobs of a model are joined
_COMPARED = 32
#: jobs are joined if the longest is at most so many times as long as the shortest, or that long
_RATIO, _SHORT = 4, 64

#: the records of a job, or why there are none
Outcome = list[dict[str, Any]] | BaseException


class Abandoned(BaseException):
    """Raised in the thread of a worker, to stop what nobody waits for any more."""


@dataclass(eq=False)
class Job:
    """A request: ``read`` gives its inputs, ``done`` receives its outcome on that thread."""

    read: Callable[[Trained], Sequence[Any]]
    settings: Mapping[str, Any]
    done: Callable[[Outcome], None]
    abandoned: bool = False
    values: Sequence[Any] = field(default_factory=list)


class Worker:
    """Answers the jobs of one model, which is loaded when the first one arrives."""

    def __init__(
        self, name: str, load: Callable[[], Trained], limits: Limits, metrics: Metrics
    ) -> None:
        self.name = name
        self._load, self._limits, self._metrics = load, limits, metrics
        self._model: Trained | None = None
        self._joins = False
        self._compared = 0
        self._loading = Lock()
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._taken: list[Job] = []
        self._lock = Lock()
        self._running: tuple[Job, ...] = ()
        self._thread: Thread | None = None

    @property
    def loaded(self) -> bool:
        """Whether the model has been loaded."""
        return self._model is not None

    def model(self) -> Trained:
        """The model; loads it first if needed.  ``RunError`` if it cannot be loaded."""
        with self._loading:
            if self._model is None:
                model = self._load()
                self._joins = model.task.independent
                self._model = model
            return self._model

    def ask(self, job: Job) -> None:
        """Queue a job."""
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._work, name=f"elman-{self.name}", daemon=True)
                self._thread.start()
        self._queue.put(job)

    def abandon(self, job: Job) -> None:
        """Give a job up, whether it waits or is being answered; ``done`` may still be called."""
        with self._lock:
            job.abandoned = True
            if self._running and all([each.abandoned for each in self._running]):
                self._running = ()
                _raise_in(self._thread)

    def stop(self) -> None:
        """End the thread after the jobs that are queued."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _work(self) -> None:
        while True:
            try:
                if not self._taken and not self._take():
                    return
                while self._taken:
                    self._answer(self._next())
            except Abandoned:  # jobs that were taken are still there
                continue

    def _take(self) -> bool:
        """Wait for a job and those that arrive soon after it; False at the end."""
        job = self._queue.get()
        if job is None:
            return False
        self._taken.append(job)
        until = time.monotonic() + self._limits.batch_milliseconds / 1000
        while len(self._taken) < self._limits.batch_inputs:
            try:
                job = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                break
            if job is None:
                self._queue.put(None)
                break
            self._taken.append(job)
        return True

    def _next(self) -> list[Job]:
        """The jobs to answer together: the first one, and those with the same options."""
        self._taken[:] = [job for job in self._taken if not job.abandoned]
        if not self._taken:
            return []
        return [job for job in self._taken if job.settings == self._taken[0].settings]

    def _answer(self, jobs: list[Job]) -> None:
        if not jobs:
            return
        try:
            model = self.model()
        except Exception as error:
            for job in jobs:
                self._finish(job, error)
            return
        ready = []
        for job in jobs:
            outcome = self._run((job,), partial(self._read, job, model))
            if outcome is None:
                ready.append(job)
            else:
                self._finish(job, outcome)
        for group in self._groups(ready):
            self._answer_together(group, model)

    def _read(self, job: Job, model: Trained) -> None:
        job.values = job.read(model)

    def _groups(self, jobs: list[Job]) -> list[list[Job]]:
        """Jobs that are answered in one call: of similar lengths, the short ones first."""
        if not self._joins:
            return [[job] for job in jobs]
        groups: list[list[Job]] = []
        size, most = 0, 0
        for length, job in sorted([(_length(job), job) for job in jobs], key=lambda each: each[0]):
            if not groups or size + len(job.values) > self._limits.batch_inputs or length > most:
                groups.append([])
                size, most = 0, max(_SHORT, _RATIO * length)
            groups[-1].append(job)
            size += len(job.values)
        return groups

    def _answer_together(self, jobs: list[Job], model: Trained) -> None:
        if len(jobs) > 1 and self._compared < _COMPARED:
            self._compare(jobs, model)
            return
        outcome = self._records(jobs, model)
        if isinstance(outcome, BaseException) and len(jobs) > 1:
            for job in jobs:  # the fault is in one of them
                self._answer_together([job], model)
            return
        start = 0
        for job in jobs:
            if isinstance(outcome, BaseException):
                self._finish(job, outcome)
            else:
                self._finish(job, outcome[start : start + len(job.values)])
            start += len(job.values)

    def _compare(self, jobs: list[Job], model: Trained) -> None:
        """Answer jobs alone, and see whether they have the same answers together."""
        outcomes = [self._records([job], model) for job in jobs]
        valid, alone = [], []
        for job, outcome in zip(jobs, outcomes, strict=True):
            if not isinstance(outcome, BaseException):
                valid.append(job)
                alone += outcome
        if len(valid) > 1:
            together = self._records(valid, model)
            if not isinstance(together, BaseException):  # a client may have left with its files
                self._joins = self._joins and together == alone
                self._compared += len(alone)
        for job, outcome in zip(jobs, outcomes, strict=True):
            self._finish(job, outcome)

    def _records(self, jobs: list[Job], model: Trained) -> Outcome:
        values = [value for job in jobs for value in job.values]
        self._metrics.batch(self.name, len(values))
        outcome: Outcome = self._run(
            tuple(jobs), lambda: records(model, values, jobs[0].settings, joined=len(jobs) > 1)
        )
        return outcome

    def _run(self, jobs: tuple[Job, ...], call: Callable[[], Any]) -> Any:
        """The value of ``call``, or its exception; it can be stopped while it runs."""
        with self._lock:
            if all([job.abandoned for job in jobs]):
                return Abandoned()
            self._running = jobs
        try:
            return call()
        except Exception as error:
            return error
        finally:
            with self._lock:
                self._running = ()

    def _finish(self, job: Job, outcome: Outcome) -> None:
        job.done(outcome)  # first: a job that is still taken is answered again, which does no harm
        self._taken[:] = [each for each in self._taken if each is not job]


def records(
    model: Trained, values: Sequence[Any], settings: Mapping[str, Any], *, joined: bool = False
) -> list[dict[str, Any]]:
    """The answers as ``elman predict --json`` prints them.

    A file that cannot be read is an error among several of one request; those of ``joined``
    requests are answered only if all can be read.
    """
    if joined or len(values) < 2 or model.task.input_kind != "file":
        answers = model(values, **settings)
    else:
        answers = model.answer_each(values, **settings)
    return [
        {"error": str(answer)} if isinstance(answer, DataError) else model.task.record(answer)
        for answer in answers
    ]


def _length(job: Job) -> int:
    """The length of the longest input of a job, or its size in bytes for a file."""
    lengths = [0]
    for value in job.values:
        if isinstance(value, Path):
            lengths.append(value.stat().st_size)
        elif isinstance(value, Sized):
            lengths.append(len(value))
    return max(lengths)


def _raise_in(thread: Thread | None) -> None:
    """Raise ``Abandoned`` in a thread, at its next instruction in Python."""
    if thread is not None and thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(Abandoned)
        )
