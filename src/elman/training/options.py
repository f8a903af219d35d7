"""The options of training, in one frozen value.

What each option means stands beside it, where the command line and the run file find it too
(``dataclasses.fields(LoopOptions)``, ``metadata["help"]``).  The options of a task, such as which
file to read or how large the model is, are not here.  Read ``loop.py`` next: it obeys these.
"""

import math
from dataclasses import dataclass, field, fields
from typing import Literal, TypeVar

from elman.errors import OptionError

Value = TypeVar("Value")


def _option(default: Value, help: str) -> Value:
    """A field with its explanation; the type checker sees only the default."""
    value: Value = field(default=default, metadata={"help": help})
    return value


@dataclass(frozen=True)
class LoopOptions:
    """How to train: sizes, rates, and when to stop.  The defaults serve small text models.

    Raises ``OptionError`` for a value that an option cannot have.

    >>> LoopOptions(batch_size=64).batch_size
    64
    >>> LoopOptions(batch_size=0)
    Traceback (most recent call last):
        ...
    elman.errors.OptionError: batch_size is 0; it must be at least 1.
    """

    batch_size: int = _option(32, "examples in a batch, for each process")
    epochs: int = _option(50, "passes over the training data, at most")
    max_minutes: float | None = _option(
        None, "minutes of training, at most, counted over all resumptions"
    )
    learning_rate: float = _option(1e-3, "the step size before warm-up and schedule")
    optimizer: Literal["adam", "adamw", "sgd"] = _option(
        "adam", "adam (Kingma and Ba 2015), sgd, or adamw, which is adam: decay is decoupled in all"
    )
    momentum: float = _option(0.0, "momentum of sgd; the others do not use it")
    weight_decay: float = _option(
        0.0,
        "part of matrices that a step with rate 1 takes away (L2, decoupled); biases are spared",
    )
    l1: float = _option(
        0.0, "how far a step with rate 1 draws the weights of matrices to zero (L1)"
    )
    clip_norm: float = _option(5.0, "longest gradient, as one vector; inf leaves it as it is")
    clip_value: float = _option(math.inf, "largest entry of a gradient; inf leaves it as it is")
    schedule: Literal["constant", "plateau", "cosine", "linear"] = _option(
        "plateau", "of the learning rate: constant, plateau (halved), cosine or linear (to zero)"
    )
    warmup_steps: int = _option(0, "steps over which the learning rate first rises from zero")
    plateau_patience: int = _option(
        1, "epochs without a better metric that plateau lets pass before it halves the rate"
    )
    min_learning_rate: float = _option(
        1e-5, "training ends when plateau has halved the rate below this"
    )
    patience: int = _option(6, "training ends after so many epochs without a better metric")
    average_weights: float = _option(
        0.0,
        "part of the old average kept at each step, such as 0.999: the moving average of the"
        " weights is what is validated and saved; 1 is the plain mean; 0 keeps no average",
    )
    average_from: int | Literal["plateau"] = _option(
        0, "epochs before the average begins; plateau waits for one without a better metric"
    )
    seed: int = _option(0, "every random choice of training follows from it")
    checkpoint_seconds: float = _option(60.0, "seconds between two checkpoints")
    threads: int | Literal["auto"] = _option(
        "auto", "threads of each process; auto measures one against all and keeps the faster"
    )

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs", "patience"):
            self._at_least(name, 1)
        for name in ("warmup_steps", "plateau_patience", "seed", "checkpoint_seconds"):
            self._at_least(name, 0)
        for name in ("weight_decay", "l1", "min_learning_rate"):
            self._at_least(name, 0)
        for name in ("learning_rate", "clip_norm", "clip_value", "max_minutes"):
            self._above_zero(name)
        self._share("momentum")
        if not 0 <= self.average_weights <= 1:
            raise OptionError(f"average_weights is {self.average_weights}; it must be from 0 to 1.")
        if self.average_from != "plateau":
            self._at_least("average_from", 0)
        self._one_of("optimizer", ("adam", "adamw", "sgd"))
        self._one_of("schedule", ("constant", "plateau", "cosine", "linear"))
        if self.threads != "auto" and not (isinstance(self.threads, int) and self.threads >= 1):
            raise OptionError(
                f'threads is {self.threads!r}; it must be "auto" or a number of at least 1.'
            )

    def _at_least(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if not value >= least:  # written so that nan fails too
            raise OptionError(f"{name} is {value}; it must be at least {least}.")

    def _above_zero(self, name: str) -> None:
        value = getattr(self, name)
        if value is not None and not value > 0:
            raise OptionError(f"{name} is {value}; it must be greater than 0.")

    def _share(self, name: str) -> None:
        value = getattr(self, name)
        if not 0 <= value < 1:
            raise OptionError(f"{name} is {value}; it must be at least 0 and less than 1.")

    def _one_of(self, name: str, choices: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in choices:
            raise OptionError(f"{name} is {value!r}; it must be one of {', '.join(choices)}.")


# What may change when a run is resumed: only when to stop and how often to save.
MAY_CHANGE = frozenset({"epochs", "max_minutes", "patience", "checkpoint_seconds"})


def changed_options(before: dict[str, object], now: LoopOptions) -> list[str]:
    """The names of options that differ from ``before`` and may not when a run is resumed.

    >>> before = {"seed": 1, "epochs": 5, "learning_rate": 0.001}
    >>> changed_options(before, LoopOptions(seed=2, epochs=9, learning_rate=0.001))
    ['seed']
    """
    return [
        each.name
        for each in fields(now)
        if each.name in before
        and each.name not in MAY_CHANGE
        and before[each.name] != getattr(now, each.name)
    ]
