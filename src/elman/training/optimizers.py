"""The optimiser that the options name, over the parameters of a model that are trained.

The learning rate is set by the loop before each step (``schedule.py``), so none is kept here.
"""

import torch
from torch import nn

from elman.training.options import LoopOptions


def make_optimizer(model: nn.Module, options: LoopOptions) -> torch.optim.Optimizer:
    """Adam, AdamW or SGD; ``weight_decay`` acts on matrices, not on biases and other vectors.

    >>> optimizer = make_optimizer(nn.Linear(2, 3), LoopOptions(weight_decay=0.1))
    >>> [group["weight_decay"] for group in optimizer.param_groups]
    [0.1, 0.0]
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if options.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=options.learning_rate, momentum=options.momentum)
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=options.learning_rate)
    return torch.optim.Adam(groups, lr=options.learning_rate)
