"""The options of training, in one frozen value.

What each option means and which values it takes is declared beside it (``DeclaredOptions``),
where the command line and the run file find it too.  The options of a task, such as which file to
read or how large the model is, are not here.  Read ``loop.py`` next: it obeys these.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

from elman.options import DeclaredOptions, option, parse

#: more threads than any machine has would be begun, one by one
MOST_THREADS = 1024


@dataclass(frozen=True)
class LoopOptions(DeclaredOptions):
    """How to train: sizes, rates, and when to stop.  The defaults serve small text models.

    Raises ``OptionError`` for a value that an option cannot have.

    >>> LoopOptions(batch_size=64).batch_size
    64
    >>> LoopOptions(batch_size=0)
    Traceback (most recent call last):
        ...
    elman.errors.OptionError: batch_size is 0; it must be at least 1.
    """

    batch_size: int = option(32, "examples in a batch, for each process", minimum=1)
    epochs: int = option(50, "passes over the training data, at most", minimum=1)
    max_minutes: float | None = option(
        None, "minutes of training, at most, counted over all resumptions", above=0
    )
    learning_rate: float = option(1e-3, "the step size before warm-up and schedule", above=0)
    optimizer: Literal["adamw", "sgd"] = option(
        "adamw",
        "adamw (Adam with decoupled weight decay, Loshchilov and Hutter 2019), or sgd, whose"
        " weight decay is decoupled too",
        # until 0.1 both names stood for the same optimiser
        aliases={"adam": "adamw"},
    )
    momentum: float = option(0.0, "momentum of sgd; the others do not use it", minimum=0, below=1)
    weight_decay: float = option(
        0.0,
        "decoupled weight decay: a step multiplies matrices by 1 - rate * this; biases are spared",
        minimum=0,
    )
    l1: float = option(
        0.0, "how far a step with rate 1 draws the weights of matrices to zero (L1)", minimum=0
    )
    clip_norm: float = option(5.0, "maximum global gradient norm; inf disables clipping", above=0)
    clip_value: float = option(
        math.inf, "maximum absolute value of a gradient's entries; inf disables clipping", above=0
    )
    schedule: Literal["constant", "plateau", "cosine", "linear"] = option(
        "plateau", "of the learning rate: constant, plateau (halved), cosine or linear (to zero)"
    )
    warmup_steps: int = option(
        0, "steps over which the learning rate first rises from zero", minimum=0
    )
    plateau_patience: int = option(
        1,
        "epochs without a better metric that plateau lets pass before it halves the rate",
        minimum=0,
    )
    min_learning_rate: float = option(
        1e-5, "training ends when plateau has halved the rate below this", minimum=0
    )
    patience: int = option(
        6, "training ends after so many epochs without a better metric", minimum=1
    )
    average_weights: float = option(
        0.0,
        "decay of the moving average of the weights at each step, such as 0.999; the average is"
        " validated and saved in place of the weights; 1 is the plain mean; 0 keeps no average",
        minimum=0,
        maximum=1,
    )
    average_from: int | Literal["plateau"] = option(
        0,
        "epochs before the average begins; plateau waits for one without a better metric",
        minimum=0,
    )
    seed: int = option(0, "every random choice of training follows from it", minimum=0)
    checkpoint_seconds: float = option(60.0, "seconds between two checkpoints", minimum=0)
    threads: int | Literal["auto"] = option(
        "auto",
        "threads of each process; auto measures one against all and keeps the faster",
        minimum=1,
        maximum=MOST_THREADS,
    )


# What may change when a run is resumed: only when to stop and how often to save.
MAY_CHANGE = frozenset({"epochs", "max_minutes", "patience", "checkpoint_seconds"})


def changed_options(before: Mapping[str, object], now: LoopOptions) -> list[str]:
    """The names of options that differ from ``before`` and may not when a run is resumed.

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
