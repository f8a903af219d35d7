"""The processes that train together: one, unless torchrun started more.

``torchrun --standalone --nproc-per-node 2 train.py`` starts two on one machine, and so does
``accelerate launch --multi_gpu --num_processes 2 train.py``, also where there are only CPUs.
Several machines need a run folder that all of them see.

Everything that the loop needs to know of them is here, over ``accelerate``: how a batch is
shared out, how a number or a signal becomes the same in all, and who writes and prints.
"""

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import cast

import torch
from torch import Tensor, nn


def is_main_process() -> bool:
    """Whether this process writes and prints; the launchers say so in the environment."""
    return os.environ.get("RANK", "0") == "0"


class LossModule(nn.Module):
    """A model whose forward is its loss: what DistributedDataParallel wants to see.

    What a module of it has as its ``penalty`` is added.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        loss = cast("Callable[..., Tensor]", self.model.loss)(**batch)
        for module in self.model.modules():
            penalty = getattr(module, "penalty", None)
            if isinstance(penalty, Tensor):  # as a layer leaves it; taken once
                loss = loss + penalty
                module.penalty = None  # type: ignore[assignment]
        return loss


class Processes:
    """``count`` processes, of which this one has number ``number``."""

    def __init__(self) -> None:
        from accelerate import (
            Accelerator,
            InitProcessGroupKwargs,
        )

        # The others wait while the main process validates, which can take long.
        patient = InitProcessGroupKwargs(timeout=timedelta(days=1))
        self._accelerator = Accelerator(cpu=True, kwargs_handlers=[patient])
        self.count: int = self._accelerator.num_processes
        self.number: int = self._accelerator.process_index
        self.is_main: bool = self._accelerator.is_main_process

    def loss_of(self, model: nn.Module) -> nn.Module:
        """A module from a batch to its loss; in its backward every process gets the mean of all
        processes' gradients.
        """
        together: nn.Module = self._accelerator.prepare_model(LossModule(model))
        return together

    def share(self, rows: Sequence[int]) -> tuple[list[int], float]:
        """This process's rows of a batch, and the weight of their mean loss.

        With that weight, the mean over the processes is the mean over all rows, also where the
        shares differ in size.  A process whose share is empty takes a row along with weight 0.
        """
        share = list(rows[self.number :: self.count])
        return share or list(rows[:1]), self.count * len(share) / len(rows)

    def backward(self, loss: Tensor) -> None:
        self._accelerator.backward(loss)

    def mean(self, values: Sequence[float]) -> list[float]:
        """The mean of each value over all processes."""
        if self.count == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        mean: list[float] = self._accelerator.reduce(tensor, "mean").tolist()
        return mean

    def from_main(self, value: float) -> float:
        """The main process's value, in all processes."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast

        return float(broadcast(torch.tensor(value, dtype=torch.float64)))

    def wait(self) -> None:
        """Go on when all processes have come here."""
        self._accelerator.wait_for_everyone()
