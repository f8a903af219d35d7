"""The optimiser that the options name, over the parameters of a model that are trained.

The learning rate is set by the loop before each step (``schedule.py``), so none is kept here.
Decay and L1 act on the weights themselves, whatever the optimiser makes of gradients.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from elman.training.options import LoopOptions


def make_optimizer(model: nn.Module, options: LoopOptions) -> torch.optim.Optimizer:
    """AdamW or SGD; decay and L1, which ``take_step`` obeys, are for matrices.

    Biases and other vectors are spared.  Vectors of words are the rows of a matrix, and decay.

    >>> optimizer = make_optimizer(nn.Linear(2, 3), LoopOptions(weight_decay=0.1))
    >>> [group["decay"] for group in optimizer.param_groups]
    [0.1, 0.0]
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices, vectors = [p for p in trained if p.dim() > 1], [p for p in trained if p.dim() <= 1]
    groups = [
        {"params": matrices, "decay": options.weight_decay, "l1": options.l1},
        {"params": vectors, "decay": 0.0, "l1": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=options.learning_rate, momentum=options.momentum)
    # Adam: take_step decays the weights, and would otherwise do it twice
    return torch.optim.Adam(groups, lr=options.learning_rate)


@torch.no_grad()
def take_step(optimizer: torch.optim.Optimizer) -> None:
    """A step of the optimiser, with decoupled decay before it and L1 after it.

    A weight first loses the part rate * decay of itself (Loshchilov and Hutter 2019), and after
    the step comes nearer to zero by rate * l1, where it stays if it gets there (the proximal step
    of Duchi and Singer 2009).  Parameters without a gradient rest.
    """
    for weights, group in _with_gradients(optimizer):
        if group["decay"]:
            torch._foreach_mul_(weights, 1 - group["lr"] * group["decay"])
    optimizer.step()
    for weights, group in _with_gradients(optimizer):
        if group["l1"]:
            for weight in weights:
                weight.copy_(nn.functional.softshrink(weight, group["lr"] * group["l1"]))


def _with_gradients(
    optimizer: torch.optim.Optimizer,
) -> Iterator[tuple[list[Tensor], dict[str, float]]]:
    for group in optimizer.param_groups:
        weights = [p for p in group["params"] if p.grad is not None]
        if weights:
            yield weights, group
