"""Whether training would take data: what it asks of them between reading and its first step.

``elman check`` rehearses the start of a training with the code that training runs, so that data
that are ready to train are not refused later.  A task's own ``check`` looks for the faults of its
format.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from elman.errors import DataError, DataWarning, OptionError
from elman.stages import silently
from elman.tasks.corpus import Data, read_corpus, refuse_too_few
from elman.tasks.reading import in_shards
from elman.tasks.task import Task
from elman.training import LoopOptions


def refusals(task: Task, path: Path, options: Any, against: Path | None = None) -> tuple[str, ...]:
    """Why training on the data of ``path`` would be refused, if it would.

    Without ``against``, the data of another split, a part is held out for validation, as training
    does.  Data in shards are not rehearsed.
    """
    if in_shards(task, path):
        return ()
    try:
        with silently(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)  # the check has listed them
            corpus = read_corpus(task, Data(path, against), options, LoopOptions())
            try:
                refuse_too_few(corpus, path)
                vocab = task.build_vocab(corpus.examples, options, LoopOptions().seed)
                if against is None:
                    task.check_labels(corpus.valid, vocab.symbols)
            finally:
                corpus.close()
    except (DataError, OptionError) as error:
        return (str(error),)
    return ()
