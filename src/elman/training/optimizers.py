"""The optimiser that the options name, over a model's trainable parameters.

The loop sets the learning rate before each step (``schedule.py``).  Weight decay and L1 act on the
weights directly, not through the optimiser's gradients.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from elman.training.options import LoopOptions


def make_optimizer(model: nn.Module, options: LoopOptions) -> torch.optim.Optimizer:
    """AdamW or SGD; ``take_step`` applies weight decay and L1 to matrices only.

    Biases and other vectors are exempt.  Word embeddings are matrices, so they decay.

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
    # plain Adam: take_step decays the weights, and AdamW would do so again
    return torch.optim.Adam(groups, lr=options.learning_rate)


@torch.no_grad()
def take_step(optimizer: torch.optim.Optimizer) -> None:
    """Take an optimiser step, with decoupled weight decay before it and L1 after it.

    Decay multiplies each weight by 1 - rate * decay (Loshchilov and Hutter 2019).  After the step,
    L1 moves each weight towards zero by rate * l1 without crossing it (the proximal step of Duchi
    and Singer 2009).  Parameters without a gradient are unchanged.
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
