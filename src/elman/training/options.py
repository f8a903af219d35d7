"""The options of training, in one frozen dataclass.

Each option is declared with its help text and valid values (``DeclaredOptions``), from which the
command line and the run file are generated.  Options of a task, such as the data file or the size
of the model, are declared with the task.  Read ``loop.py`` next, which uses these options.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

from elman.options import DeclaredOptions, option, parse

#: a limit far above any machine: torch would try to start as many threads as it is told
MOST_THREADS = 1024


@dataclass(frozen=True)
class LoopOptions(DeclaredOptions):
    """How to train: sizes, rates, and when to stop.  The defaults suit small text models.

    Raises ``OptionError`` for an invalid value.

    >>> LoopOptions(batch_size=64).batch_size
    64
    >>> LoopOptions(batch_size=0)
    Traceback (most recent call last):
        ...
    elman.errors.OptionError: batch_size is 0; it must be at least 1.
    """

    batch_size: int = option(32, "examples per batch, in each process", minimum=1)
    epochs: int = option(50, "maximum number of passes over the training data", minimum=1)
    max_minutes: float | None = option(
        None, "maximum time in minutes, reading included, over all resumptions", above=0
    )
    learning_rate: float = option(1e-3, "learning rate before warm-up and schedule", above=0)
    optimizer: Literal["adamw", "sgd"] = option(
        "adamw",
        "adamw (Loshchilov and Hutter 2019) or sgd; weight decay is decoupled in both",
        # both names meant the same optimiser until version 0.1
        aliases={"adam": "adamw"},
    )
    momentum: float = option(0.0, "momentum of sgd; adamw ignores it", minimum=0, below=1)
    weight_decay: float = option(
        0.0,
        "decoupled weight decay: each step multiplies matrices, but not biases, by 1 - rate * this",
        minimum=0,
    )
    l1: float = option(
        0.0, "L1 penalty: each step moves matrix weights towards zero by rate * this", minimum=0
    )
    clip_norm: float = option(5.0, "maximum global gradient norm; inf disables clipping", above=0)
    clip_value: float = option(
        math.inf, "maximum absolute value of a gradient entry; inf disables clipping", above=0
    )
    schedule: Literal["constant", "plateau", "cosine", "linear"] = option(
        "plateau", "learning rate schedule: constant, plateau (halved), cosine or linear (to zero)"
    )
    warmup_steps: int = option(
        0, "steps of linear warm-up, during which the learning rate rises from zero", minimum=0
    )
    plateau_patience: int = option(
        1,
        "epochs without improvement that plateau tolerates before it halves the learning rate",
        minimum=0,
    )
    min_learning_rate: float = option(
        1e-5, "training stops when plateau has halved the learning rate below this", minimum=0
    )
    patience: int = option(
        6, "training stops after this many epochs without improvement", minimum=1
    )
    average_weights: float = option(
        0.0,
        "decay of the moving average of the weights, such as 0.999; the average is validated and"
        " saved instead of the weights; 1 is the plain mean; 0 disables averaging",
        minimum=0,
        maximum=1,
    )
    average_from: int | Literal["plateau"] = option(
        0,
        "epochs before averaging starts; plateau starts it at the first epoch without improvement",
        minimum=0,
    )
    seed: int = option(0, "seed of every random choice in training", minimum=0)
    checkpoint_seconds: float = option(60.0, "seconds between checkpoints", minimum=0)
    log: Literal["none", "tensorboard", "mlflow"] = option(
        "none", "also log validations to TensorBoard event files or to MLflow"
    )
    stream_above: float = option(
        1000.0,
        "training data files of more megabytes are streamed instead of held in memory",
        minimum=0,
    )
    buffer_examples: int = option(
        8192,
        "streamed examples that are shuffled together, in each process; two such buffers are in"
        " memory",
        minimum=2,
    )
    vocabulary_examples: int = option(
        100_000,
        "streamed examples from which vocabulary, labels and baselines are computed",
        minimum=1,
    )
    copy_to: str = option(
        "", "URL or folder to which the run is copied at each checkpoint, to resume from anywhere"
    )
    threads: int | Literal["auto"] = option(
        "auto",
        "threads per process; auto times one thread against all of them and keeps the faster",
        minimum=1,
        maximum=MOST_THREADS,
    )


# Options that may change on resume: when to stop, how often to save, where to log.
MAY_CHANGE = frozenset(
    {"epochs", "max_minutes", "patience", "checkpoint_seconds", "log", "copy_to"}
)


def changed_options(before: Mapping[str, object], now: LoopOptions) -> list[str]:
    """The names of options that differ from ``before`` and must not change on resume.

    >>> before = {"seed": 1, "epochs": 5, "learning_rate": 0.001, "optimizer": "adam"}
    >>> changed_options(before, LoopOptions(seed=2, epochs=9, learning_rate=0.001))
    ['seed']
    """
    return [
        each.name
        for each in fields(now)
        if each.name in before
        and each.name not in MAY_CHANGE
        and parse(LoopOptions, each.name, before[each.name]) != getattr(now, each.name)
    ]
