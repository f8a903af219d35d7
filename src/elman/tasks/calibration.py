"""Calibration: probabilities that are right as often as they say.

Trained networks are usually too sure.  Dividing the scores of all labels by a temperature, fitted
on validation data, corrects that and leaves the most likely label (Guo, Pleiss, Sun and
Weinberger 2017).  The last layers are linear, so the division is done once, in their weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from elman.tasks.task import Fitted, Task

#: fewer validation examples say too little
FEWEST = 50
#: the loss of at most this many examples is computed for each temperature
MOST = 1000
_LOWEST, _HIGHEST = 0.25, 8.0
#: each step narrows the interval of the logarithm by 0.618
_STEPS = 9


def calibrate(task: Task, fitted: Fitted[Any, Any], examples: Sequence[Any]) -> float:
    """Divides the scores of labels by the temperature with the lowest loss, and returns it.

    Returns 1 and changes nothing for a task without labels, or with too few examples.
    """
    if not task.label_layers or len(examples) < FEWEST or not task.calibrates(fitted.options):
        return 1.0
    sample = examples[:: -(-len(examples) // MOST)]
    wanted = task.PredictOptions()
    before = {name: tensor.clone() for name, tensor in _scores(task, fitted.model).items()}

    def loss(temperature: float) -> float:
        with torch.no_grad():
            for name, tensor in _scores(task, fitted.model).items():
                tensor.copy_(before[name] / temperature)
        return float(task.score(fitted, sample, wanted)["loss"])

    plain = loss(1.0)
    temperature = golden_section(loss, _LOWEST, _HIGHEST, _STEPS)
    if not loss(temperature) < plain:
        temperature = 1.0
        loss(temperature)
    return temperature


def _scores(task: Task, model: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of the layers whose outputs are the scores of labels."""
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name.startswith(task.label_layers) and tensor.is_floating_point()
    }


def golden_section(
    loss: Callable[[float], float], lowest: float, highest: float, steps: int
) -> float:
    """The place of the minimum between two positive numbers, by ``steps`` + 2 evaluations.

    The logarithm is divided by the golden ratio (Kiefer 1953); ``loss`` has one minimum.

    >>> round(golden_section(lambda x: (x - 2) ** 2, 0.25, 8.0, 20), 3)
    2.0
    """
    ratio = (math.sqrt(5) - 1) / 2
    a, b = math.log(lowest), math.log(highest)
    c, d = b - ratio * (b - a), a + ratio * (b - a)
    at_c, at_d = loss(math.exp(c)), loss(math.exp(d))
    for _ in range(steps):
        if at_c < at_d:
            b, d, at_d = d, c, at_c
            c = b - ratio * (b - a)
            at_c = loss(math.exp(c))
        else:
            a, c, at_c = c, d, at_d
            d = a + ratio * (b - a)
            at_d = loss(math.exp(d))
    return math.exp((a + b) / 2)
