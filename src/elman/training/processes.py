"""The processes that train together: one, unless torchrun started more.

``torchrun --standalone --nproc-per-node 2 train.py`` starts two on one machine, as does
``accelerate launch --multi_gpu --num_processes 2 train.py``, even if there are only CPUs.
Training on several machines needs a run folder that all of them can access.

This module wraps ``accelerate``: it splits batches, makes values agree between the processes, and
decides which process writes and prints.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

T = TypeVar("T")


def is_main_process() -> bool:
    """Whether this process writes and prints; launchers set ``RANK`` in the environment."""
    return os.environ.get("RANK", "0") == "0"


@dataclass(frozen=True)
class BatchShare:
    """This process's examples of a batch whose other examples only the other processes know.

    ``weight`` is that of their mean loss, see ``Processes.shard``; ``rows`` counts the examples of
    all processes.
    """

    here: Sequence[int]
    weight: float
    rows: int

    def __len__(self) -> int:
        return self.rows


class LossModule(nn.Module):
    """A model whose forward is its loss, as DistributedDataParallel requires.

    Adds each submodule's ``penalty``, if any, to the loss.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        loss = cast("Callable[..., Tensor]", self.model.loss)(**batch)
        for module in self.model.modules():
            penalty = getattr(module, "penalty", None)
            if isinstance(penalty, Tensor):  # set by a layer's forward; used once
                loss = loss + penalty
                module.penalty = None  # type: ignore[assignment]
        return loss


def _meet_again(timeout: timedelta) -> None:
    """Let the processes of one machine that torchrun has restarted find one another.

    torchrun keeps the store in which the processes publish their addresses (torch 2.13), so
    a restarted one would find those of the dead.  A prefix separates the attempts.  The machines of
    one launch may count attempts differently; see the page on many machines.
    """
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    alone = os.environ.get("GROUP_WORLD_SIZE", "1") == "1"
    if attempt == "0" or not (shared and alone) or torch.distributed.is_initialized():
        return
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    store, rank, count = next(rendezvous("env://"))
    torch.distributed.init_process_group(
        "gloo",
        store=PrefixStore(f"attempt-{attempt}", store),
        rank=rank,
        world_size=count,
        timeout=timeout,
    )


class Processes:
    """``count`` processes; this one has rank ``number``."""

    def __init__(self) -> None:
        from accelerate import (
            Accelerator,
            InitProcessGroupKwargs,
        )

        # The others wait while the main process validates, which can take long.
        patience = timedelta(days=1)
        _meet_again(patience)
        timeout = InitProcessGroupKwargs(timeout=patience)
        self._accelerator = Accelerator(cpu=True, kwargs_handlers=[timeout])
        self.count: int = self._accelerator.num_processes
        self.number: int = self._accelerator.process_index
        self.is_main: bool = self._accelerator.is_main_process

    def loss_of(self, model: nn.Module) -> nn.Module:
        """A module from a batch to its loss; its backward averages gradients over all processes.

        A step may leave out parameters of a module that says so by ``leaves_out_parameters``.
        """
        if any([getattr(each, "leaves_out_parameters", False) for each in model.modules()]):
            from accelerate import DistributedDataParallelKwargs

            # otherwise each process waits for gradients that never come
            self._accelerator.ddp_handler = DistributedDataParallelKwargs(
                find_unused_parameters=True
            )
        together: nn.Module = self._accelerator.prepare_model(LossModule(model))
        return together

    def shard(self, rows: Sequence[int] | BatchShare) -> tuple[list[int], float]:
        """This process's rows of a batch, and the weight of their mean loss.

        With this weight, the mean over the processes is the mean over all rows, even if the shards
        differ in size.  A process with an empty shard gets one row with weight 0.
        """
        if isinstance(rows, BatchShare):
            return list(rows.here), rows.weight
        shard = list(rows[self.number :: self.count])
        return shard or list(rows[:1]), self.count * len(shard) / len(rows)

    def backward(self, loss: Tensor) -> None:
        self._accelerator.backward(loss)

    def mean(self, values: Sequence[float]) -> list[float]:
        """The mean of each value over all processes."""
        if self.count == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        mean: list[float] = self._accelerator.reduce(tensor, "mean").tolist()
        return mean

    def gather(self, value: T) -> list[T]:
        """The value of each process, by its number."""
        if self.count == 1:
            return [value]
        from accelerate.utils import gather_object

        found: list[T] = gather_object([value])
        return found

    def from_main(self, value: float) -> float:
        """The main process's value, in all processes."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast

        return float(broadcast(torch.tensor(value, dtype=torch.float64)))

    def wait(self) -> None:
        """Wait until all processes have reached this point."""
        self._accelerator.wait_for_everyone()
