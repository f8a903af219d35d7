"""The learning rate of each step, as a function of the progress of training.

There is no scheduler with a state of its own.  The learning rate depends on the number of steps,
the fraction of all epochs that is done, and how often a plateau has halved it; all three are in
the ``TrainerState`` that a checkpoint holds.
"""

import math

from elman.training.options import LoopOptions


def learning_rate(options: LoopOptions, *, step: int, done: float, halvings: int) -> float:
    """The learning rate of step ``step``, counted from 0.

    ``done`` is the completed fraction of ``options.epochs``, from 0 to 1; ``halvings`` how often a
    plateau has halved the rate.  Warm-up multiplies every schedule by (step + 1) / warmup_steps.

    - constant: 1.
    - plateau: 1/2 for each halving (as in flair's AnnealOnPlateau with factor 0.5).
    - cosine: (1 + cos(pi * done)) / 2 (Loshchilov and Hutter 2017, one period).
    - linear: 1 - done.

    >>> options = LoopOptions(learning_rate=0.1, schedule="linear", warmup_steps=4)
    >>> learning_rate(options, step=0, done=0.0, halvings=0)
    0.025
    >>> learning_rate(options, step=100, done=0.5, halvings=0)
    0.05
    """
    rate = options.learning_rate
    if options.schedule == "plateau":
        rate *= 0.5**halvings
    elif options.schedule == "cosine":
        rate *= (1 + math.cos(math.pi * done)) / 2
    elif options.schedule == "linear":
        rate *= 1 - done
    if step < options.warmup_steps:
        rate *= (step + 1) / options.warmup_steps
    return rate
