"""The examples of a training: all in memory, or streamed from shards (``streaming.py``).

``read_corpus`` decides.  Patterns, URLs, Parquet files and files above ``stream_above`` are indexed
first; if their examples fit into one buffer, they are read into memory like those of any file, so a
small data set gives the same training in any of these forms.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from elman.data.faults import Row
from elman.data.folders import files_below
from elman.data.remote import shown, size_of
from elman.data.shards import RECORDS, Source, file_digests, fingerprint
from elman.data.sources import data_files, is_folder, kind_of
from elman.errors import DataError
from elman.stages import stage
from elman.tasks.reading import in_shards, index, read_rows, read_sources, warn_of_skipped
from elman.tasks.small_data import amounts, for_small_data
from elman.tasks.streaming import Stream
from elman.tasks.task import Task
from elman.tasks.trained import rows_for
from elman.training import LoopOptions
from elman.training.loop import Batch
from elman.training.processes import Processes


@dataclass(frozen=True)
class Data:
    """The data of a training: files, folders, patterns such as ``data/*.jsonl``, or URLs.

    Without ``valid``, the examples that the training file marks for validation are used.  If there
    are none, one fold of the training examples is held out: number ``held_out``, from 0, of
    ``parts`` equal ones (``Task.hold_out``).  Examples of one group (``Task.group``) stay in the
    same fold.  Of a stream, whole shards are held out.
    """

    train: Path
    valid: Path | None = None
    title: str = ""
    licence: str = ""
    held_out: int = 0
    parts: int = 10

    def __post_init__(self) -> None:
        object.__setattr__(self, "train", Path(self.train))  # a string is accepted too
        if self.valid is not None:
            object.__setattr__(self, "valid", Path(self.valid))


class Corpus:
    """The training examples in memory, and the rows for training and validation.

    ``examples`` are the values of ``train``, cut to their maximum length.  ``files`` are the hashes
    of the files of a collection, by name.
    """

    def __init__(
        self,
        task: Task,
        options: Any,
        seed: int,
        train: Sequence[Row[Any]],
        valid: Sequence[Row[Any]],
        digest: str,
        files: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.files = files
        self.task, self.options, self.train, self.valid = task, options, train, valid
        self.digest, self._seed, self._symbols = digest, seed, None
        self.examples: Sequence[Any] = task.cut([row.value for row in train], options.longest)

    @property
    def size(self) -> int:
        """The number of training examples."""
        return len(self.examples)

    @property
    def rows(self) -> int:
        """The number of training examples before they are cut."""
        return len(self.train)

    def choose_defaults(
        self, training: LoopOptions, given: Mapping[str, object]
    ) -> tuple[Any, LoopOptions]:
        """The options of the task and of training, with the defaults for this amount of data.

        Those that are ``given`` stay as they are (``Task.small_data``).
        """
        rules = self.task.small_data
        if not rules:
            return self.options, training
        found = amounts([self.task.length(row.value) for row in self.train])
        before, self.options = self.options, for_small_data(self.options, rules, given, found)
        if self.options.longest != before.longest:
            self.examples = self.task.cut([row.value for row in self.train], self.options.longest)
        return self.options, for_small_data(training, rules, given, found)

    def prepare(self, symbols: Any) -> Sequence[Any]:
        """The examples as training takes them (``Task.augment`` and ``Task.prepare``)."""
        examples = self.task.augment(self.examples, symbols, self.options)
        self.examples = self.task.prepare(examples, symbols, self.options)
        return self.examples

    def begin(self, symbols: Any) -> str:
        """Get ready for batches, and describe the data if there is something to say."""
        self._symbols = symbols
        return ""

    def batches(self, epoch: int, size: int) -> Sequence[Batch]:
        """The batches of an epoch as ``fit`` takes them."""
        return self.task.batches(self.examples, size, seed=self._seed, epoch=epoch)

    def collate(self, rows: Sequence[int], generator: torch.Generator) -> dict[str, torch.Tensor]:
        """The tensors of a batch."""
        examples = [self.examples[k] for k in rows]
        return self.task.collate(examples, self._symbols, self.options, generator)

    def close(self) -> str:
        """Release what a stream holds, and say how much memory was used, if anything."""
        return ""


class StreamedCorpus(Corpus):
    """A stream: ``train`` and ``examples`` are a sample, and are dropped when training begins."""

    def __init__(
        self,
        task: Task,
        options: Any,
        seed: int,
        stream: Stream,
        valid: Sequence[Row[Any]],
        digest: str,
        files: Mapping[str, str],
    ) -> None:
        super().__init__(task, options, seed, stream.sample(), valid, digest, files)
        self._stream = stream

    def choose_defaults(
        self, training: LoopOptions, given: Mapping[str, object]
    ) -> tuple[Any, LoopOptions]:
        return self.options, training  # a stream is not small

    @property
    def size(self) -> int:
        return self._stream.size

    @property
    def rows(self) -> int:
        return self._stream.records

    def prepare(self, symbols: Any) -> Sequence[Any]:
        examples = super().prepare(symbols)
        self._stream.estimate(len(examples))
        return examples

    def begin(self, symbols: Any) -> str:
        self._symbols = symbols
        sample = len(self.train)
        self._stream.begin(symbols, self.examples[0])
        self.train, self.examples = [], []
        return self._stream.describe(sample)

    def batches(self, epoch: int, size: int) -> Sequence[Batch]:
        return self._stream.plan(epoch, size)

    def collate(self, rows: Sequence[int], generator: torch.Generator) -> dict[str, torch.Tensor]:
        examples = [self._stream.example(k) for k in rows]
        return self.task.collate(examples, self._symbols, self.options, generator)

    def close(self) -> str:
        return self._stream.close()


def read_corpus(task: Task, data: Data, options: Any, training: LoopOptions) -> Corpus:
    """The examples of a training, in memory if they are few or in one small file.

    Raises ``DataError`` for problems in the data.
    """
    if not (in_shards(task, data.train) or _is_large(task, data.train, training.stream_above)):
        rows = read_rows(task, data.train, options)
        train, valid = split(task, data, rows, options)
        with stage("hashing the data"):
            digest = data_digest(task, data.train, train)
        return Corpus(task, options, training.seed, train, valid, digest)
    processes = Processes()
    with stage(f"indexing {data.train.name}"):
        per_shard = max(1, min(1024, training.buffer_examples // 16))
        sources = index(task, data.train, options, per_shard=per_shard, processes=processes)
    digest, files = fingerprint(sources), file_digests(data.train, sources)
    if _records(sources) <= training.buffer_examples:
        rows = read_sources(task, sources, options)
        warn_of_skipped(data.train, rows.skipped, len(rows))
        train, valid = split(task, data, rows, options)
        return Corpus(task, options, training.seed, train, valid, digest, files)
    stream = Stream(task, options, training, sources, processes, data.train)
    if data.valid is not None:
        valid = rows_for("valid", task, read_rows(task, data.valid, options))
    else:
        valid = stream.hold_out(data.held_out, data.parts)
    return StreamedCorpus(task, options, training.seed, stream, valid, digest, files)


def refuse_too_few(corpus: Corpus, path: Path) -> None:
    """Raise ``DataError`` if nothing is left to train on once validation has its examples."""
    if not corpus.train:
        if len(corpus.valid) > 1:  # equal examples are held out together
            raise DataError(
                f"{shown(path)}: its {len(corpus.valid):,} examples are all the same, so that none "
                "is left to train on; give different ones, or validation data."
            )
        raise DataError(
            f"{shown(path)}: one example is too few to train on; give at least two, or validation "
            "data."
        )


def _records(sources: Sequence[Source]) -> int:
    return sum([int(source.shards[:, RECORDS].sum()) for source in sources])


def _is_large(task: Task, path: Path, megabytes: float) -> bool:
    """Whether one or two files are larger than that, and can be read in parts."""
    files = data_files(path)
    if not all([kind_of(file) == "file" for file in files]):
        return False
    can_cut = "" in task.cuts or files[0].suffix.lower() in task.cuts
    return can_cut and sum([size_of(file) for file in files]) > megabytes * 1e6


def split(
    task: Task, data: Data, rows: Sequence[Row[Any]], options: Any
) -> tuple[list[Row[Any]], list[Row[Any]]]:
    """The rows for training and for validation."""
    train = rows_for("train", task, rows)
    if data.valid is not None:
        return train, rows_for("valid", task, read_rows(task, data.valid, options))
    if any([task.part(row.value) == "valid" for row in rows]):
        return train, rows_for("valid", task, rows)
    return task.hold_out(train, data.held_out, data.parts)


def data_digest(task: Task, path: Path, rows: Sequence[Row[Any]]) -> str:
    """A hash of a file, of two files separated by a comma, or of a folder with its file names.

    The examples are hashed too, because a file may name others, such as sounds or videos.  Of
    patterns and URLs, only the examples are hashed.
    """
    digest = hashlib.sha256()
    files: Sequence[Path] = [] if in_shards(task, path) else data_files(path)
    if is_folder(path):
        files = files_below(path)
    for file in files:
        if is_folder(path):
            digest.update(str(file.relative_to(path)).encode())
        digest.update(file.read_bytes())
    for row in rows:
        digest.update(repr(task.group(row.value)).encode())
    return digest.hexdigest()
