"""Training examples streamed from shards: shuffled in windows, read ahead, resumed exactly.

An epoch is a permutation of the shards.  A window is the next shards of it with about
``buffer_examples`` examples per process; each process reads its own part of the window with the
task's reader, and deals its examples into batches of similar lengths.  The number of batches
follows from the number of records, which the index knows (``data/shards.py``).  So epoch and batch
alone are a position, from which a resumed training continues bit for bit.  A thread reads the next
window; never more than two are in memory.
"""

from __future__ import annotations

import sys
import warnings
from array import array
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from elman.data.faults import Fault, Row, Rows
from elman.data.remote import shown
from elman.data.shards import RECORDS, Source
from elman.errors import DataError, DataWarning
from elman.stages import counted
from elman.tasks.reading import read_shard, warn_of_skipped
from elman.tasks.task import Task
from elman.tasks.trained import rows_for
from elman.training import LoopOptions
from elman.training.processes import BatchShare, Processes

Shards = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Windows(Sequence[Shards]):
    """The shards of each window: the next ones of ``shards``, up to its place in ``ends``."""

    shards: Shards
    ends: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: Any) -> Any:
        """The shards of a window; ``IndexError`` past the last one."""
        return self.shards[self.ends[index - 1] if index else 0 : self.ends[index]]


@dataclass(frozen=True)
class _Window:
    """This process's examples of a window, and its batches of them."""

    examples: Sequence[Any]
    batches: Sequence[Sequence[int]]
    skipped: Sequence[Fault]


class Stream:
    """The shards of all sources; ``hold_out`` and ``sample`` come first, then ``begin``."""

    def __init__(
        self,
        task: Task,
        options: Any,
        training: LoopOptions,
        sources: Sequence[Source],
        processes: Processes,
        path: Path,
    ) -> None:
        self._task, self._options, self._training = task, options, training
        self._sources, self._processes, self._path = sources, processes, path
        # arrays, as there may be a million shards: where those of each source end, the records of
        # each shard, and the shards of training
        self._ends = np.cumsum([len(source.shards) for source in sources])
        self._records = np.concatenate([source.shards[:, RECORDS] for source in sources])
        self._train = np.arange(len(self._records))
        self._symbols: Any = None
        self._per_record, self._sampled = 1.0, 0
        self._current: tuple[tuple[int, int], _Window] | None = None
        self._ahead: tuple[tuple[int, int], Future[_Window]] | None = None
        self._reader = ThreadPoolExecutor(1, "elman-read-ahead")

    @property
    def records(self) -> int:
        """The number of training records in the index."""
        return int(self._records[self._train].sum())

    @property
    def size(self) -> int:
        """The number of training examples: an estimate where records are cut into several."""
        return max(1, round(self.records * self._per_record))

    def estimate(self, examples: int) -> None:
        """Note how many examples the sample gave: so many does a record give."""
        self._per_record = examples / self._sampled

    def hold_out(self, fold: int, folds: int) -> list[Row[Any]]:
        """The rows of shards for validation, which are not trained on.

        They are one fold of the shards, but at most ``buffer_examples`` rows.
        """
        if len(self._records) < 2:
            raise DataError(
                f"{shown(self._path)}: this is a single shard, of which no part can be held out "
                "for validation; name validation data with --valid."
            )
        order = np.random.default_rng(0).permutation(len(self._records))
        held = self._first(order[fold::folds], self._training.buffer_examples)
        self._train = np.setdiff1d(self._train, held)
        return self._rows(held, "reading examples for validation")

    def sample(self) -> list[Row[Any]]:
        """The rows of some shards, about ``vocabulary_examples``: all if there are fewer."""
        order = np.random.default_rng(0).permutation(len(self._train))
        taken = self._first(self._train[order], self._training.vocabulary_examples)
        self._sampled = int(self._records[taken].sum())
        return self._rows(taken, "reading a sample of the examples")

    def _first(self, shards: Shards, records: int) -> Shards:
        """The first of the shards that have so many records together, sorted."""
        count = 1 + int(np.searchsorted(np.cumsum(self._records[shards]), records))
        return np.sort(shards[:count])

    def _read_shard(self, shard: int) -> Rows[Any]:
        source = int(np.searchsorted(self._ends, shard, side="right"))
        number = shard - int(self._ends[source]) + len(self._sources[source].shards)
        return read_shard(self._task, self._sources[source], number, self._options)

    def _rows(self, shards: Shards, doing: str) -> list[Row[Any]]:
        rows: list[Row[Any]] = []
        skipped: list[Fault] = []
        for k in counted(shards.tolist(), doing):
            found = self._read_shard(k)
            rows += rows_for("train", self._task, found)
            skipped += found.skipped
        warn_of_skipped(self._path, skipped, len(rows))
        if not rows:
            raise DataError(f"{shown(self._path)}: there are no examples; give at least one.")
        return rows

    def begin(self, symbols: Any, spare: Any) -> None:
        """Get ready for ``plan``; ``spare`` is an example for a process without any."""
        self._symbols, self._spare = symbols, spare

    def describe(self, sample: int) -> str:
        """What is streamed, and what of it is in memory."""
        files = sum([len(source.paths) for source in self._sources])
        buffer = max(self._training.buffer_examples, int(self._records.max()))
        return (
            f"Streaming {self.records:,} examples of {files:,} file{'s' if files > 1 else ''} in "
            f"{len(self._train):,} shards; vocabulary and baselines are of a sample of "
            f"{sample:,}. At most two buffers of about {buffer:,} examples are in memory in each "
            f"process; peak memory so far: {peak_memory():,} MB."
        )

    def plan(self, epoch: int, size: int) -> Plan:
        """The batches of an epoch; ``size`` counts the examples of all processes."""
        windows = self._windows(epoch)
        counts = array("q")
        for window in windows:
            records = int(self._records[window].sum())
            counts.append(max(1, ceil(records * self._per_record / size)))
        return Plan(self, epoch, windows, np.array(counts, np.int64))

    def _windows(self, epoch: int) -> Windows:
        """The shards of each window: as many as have at most ``buffer_examples`` per process."""
        order = np.random.default_rng((self._training.seed, epoch)).permutation(len(self._train))
        limit = self._training.buffer_examples * self._processes.count
        shards = self._train[order]
        total = np.cumsum(self._records[shards])
        ends, before = array("q"), 0
        while not ends or ends[-1] < len(shards):
            begin = ends[-1] if ends else 0
            end = max(begin + 1, int(np.searchsorted(total, before + limit, side="right")))
            ends.append(end)
            before = int(total[end - 1])
        return Windows(shards, np.array(ends, np.int64))

    def share(self, plan: Plan, window: int, batch: int) -> BatchShare:
        """This process's part of a batch of a window; also starts to read the next window."""
        found = self._window(plan, window)
        shards, count = plan.windows[window], int(plan.counts[window])
        records = int(self._records[shards].sum())
        own = int(self._records[self._own(shards)].sum())
        total = round(records * self._per_record)
        rows = total * (batch + 1) // count - total * batch // count
        return BatchShare(found.batches[batch], self._processes.count * own / records, max(1, rows))

    def example(self, number: int) -> Any:
        """An example of the window that ``share`` returned a batch of."""
        assert self._current is not None
        return self._current[1].examples[number]

    def _window(self, plan: Plan, window: int) -> _Window:
        key = plan.epoch, window
        if self._current is not None and self._current[0] == key:
            return self._current[1]
        self._current = None  # its memory is free before the next window is complete
        if self._ahead is not None and self._ahead[0] == key:
            found = self._ahead[1].result()
        else:
            if self._ahead is not None and not self._ahead[1].cancel():
                self._ahead[1].exception()
            found = self._read(plan, window)
        self._ahead = None
        self._current = key, found
        if window + 1 < len(plan.windows):
            following = plan.epoch, window + 1
            self._ahead = following, self._reader.submit(self._read, plan, window + 1)
        if plan.epoch == 1 and found.skipped:
            warnings.warn(
                f"{shown(self._path)}: {len(found.skipped)} problems left out (skip_bad), such as "
                f"{found.skipped[0]}",
                DataWarning,
                stacklevel=2,
            )
        return found

    def _own(self, shards: Shards) -> list[int]:
        """This process's shards of a window: all processes get about as many records."""
        loads = [0] * self._processes.count
        own = []
        for k in shards[np.argsort(-self._records[shards], kind="stable")].tolist():
            number = loads.index(min(loads))
            loads[number] += int(self._records[k])
            if number == self._processes.number:
                own.append(k)
        return own

    def _read(self, plan: Plan, window: int) -> _Window:
        examples: list[Any] = []
        skipped: list[Fault] = []
        for k in self._own(plan.windows[window]):
            rows = self._read_shard(k)
            skipped += rows.skipped
            self._check_labels(rows)
            values = [row.value for row in rows_for("train", self._task, rows)]
            examples += self._task.cut(values, self._options.longest)
        # each window has numbers of its own, so that none seems to continue another
        first = (window + 1) << 32
        added = self._task.augment(examples, self._symbols, self._options, first)
        prepared = self._task.prepare(added, self._symbols, self._options, first) or [self._spare]
        batches = self._task.deal(
            prepared,
            int(plan.counts[window]),
            seed=(self._training.seed, plan.epoch, window),
            share=self._processes.number,
        )
        return _Window(prepared, batches, skipped)

    def _check_labels(self, rows: Sequence[Row[Any]]) -> None:
        try:
            self._task.check_labels(rows, self._symbols)
        except DataError as error:
            raise DataError(
                f"{error} The labels of a stream come from a sample of "
                f"{self._training.vocabulary_examples:,} examples; a larger vocabulary_examples "
                "also finds rare ones."
            ) from error

    def close(self) -> str:
        """Stop reading ahead, and say how much memory was used."""
        self._reader.shutdown(wait=True, cancel_futures=True)
        self._current = self._ahead = None
        return f"Peak memory of the training: {peak_memory():,} MB."


class Plan(Sequence[BatchShare]):
    """The batches of an epoch; a window is read when one of its batches is needed."""

    def __init__(
        self, stream: Stream, epoch: int, windows: Windows, counts: npt.NDArray[np.int64]
    ) -> None:
        self._stream, self.epoch, self.windows, self.counts = stream, epoch, windows, counts
        self._ends = np.cumsum(counts)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @overload
    def __getitem__(self, index: int) -> BatchShare: ...

    @overload
    def __getitem__(self, index: slice) -> list[BatchShare]: ...

    def __getitem__(self, index: int | slice) -> BatchShare | list[BatchShare]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        window = int(np.searchsorted(self._ends, index, side="right"))
        first = int(self._ends[window] - self.counts[window])
        return self._stream.share(self, window, index - first)


def peak_memory() -> int:
    """The most memory that this process has used, in megabytes; 0 where the system cannot tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(used / (2**20 if sys.platform == "darwin" else 2**10) * 1.048576)
