"""What ``test_two_processes.py`` has two processes do: ``two_processes_driver.py FOLDER``.

Each process writes what it found to ``FOLDER/{number}.json``.
"""

import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from small_task import SmallClassifier, SmallTask, small_model, train
from torch import Tensor, nn

from elman.errors import TrainingError
from elman.training import signals
from elman.training.options import LoopOptions
from elman.training.processes import Processes
from elman.training.progress import Silence

OPTIONS: dict[str, Any] = {
    "batch_size": 4,
    "epochs": 4,
    "learning_rate": 0.05,
    "optimizer": "adamw",
    "weight_decay": 0.1,
    "clip_norm": 0.5,  # shorter than the gradients: see test_two_processes.py
    "average_weights": 0.8,
    "threads": 1,
}


def exact_model() -> SmallClassifier:
    """Without random numbers and in float64, so that only the order of sums differs."""
    return small_model(dropout=0.0).double()


class UnevenTask(SmallTask):
    """Batches of 8, 5 and 1: of the second, the two processes have 3 and 2; of the third, only
    the first process has a share."""

    def batches(self, epoch: int, batch_size: int) -> list[list[int]]:
        assert batch_size == 8
        (order,) = super().batches(epoch, 14)
        return [order[:8], order[8:13], order[13:]]


def uneven_task() -> SmallTask:
    return UnevenTask(rows=14, word_dropout=0.0)


class Listener(Silence):
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def say(self, sentence: str) -> None:
        self.heard.append(sentence)


class Acting(SmallClassifier):
    """Calls ``act`` when it computes the loss of batch ``at``, in one process only."""

    at, act = 0, staticmethod(lambda loss: loss)

    def loss(self, words: Tensor, labels: Tensor) -> Tensor:
        self.at -= 1
        loss = super().loss(words, labels)
        return self.act(loss) if self.at == 0 else loss


def acting_model(at: int, act: Any) -> Acting:
    model = exact_model()
    model.__class__ = Acting
    assert isinstance(model, Acting)
    model.at, model.act = at, act  # type: ignore[method-assign]
    return model


def interrupt(loss: Tensor) -> Tensor:
    os.kill(os.getpid(), signal.SIGINT)
    return loss


def only_in_main(model: nn.Module) -> dict[str, float]:
    assert number == 0, "the second process validated too"
    return uneven_task().validate(model)


def weights(model: nn.Module) -> dict[str, list[float]]:
    return {name: value.flatten().tolist() for name, value in model.state_dict().items()}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    processes = Processes()
    number = processes.number
    found: dict[str, Any] = {"count": processes.count}
    shared: dict[str, Any] = {"task": uneven_task(), "validate": only_in_main}

    listener = Listener()
    model, outcome = train(
        place / "whole", LoopOptions(**OPTIONS), model=exact_model(), progress=listener, **shared
    )
    found["whole"] = {"weights": weights(model), "epochs": outcome.epochs}
    found["heard"] = listener.heard

    # Ctrl-C reaches the second process only; both stop, and both go on.
    model = acting_model(4, interrupt if number == 1 else lambda loss: loss)
    _, outcome = train(place / "parts", LoopOptions(**OPTIONS), model=model, **shared)
    found["interrupted"] = [outcome.stopped_because, outcome.epochs]
    processes.wait()
    model, _ = train(
        place / "parts", LoopOptions(**OPTIONS), model=exact_model(), resume=True, **shared
    )
    found["parts"] = {"weights": weights(model)}

    # The clocks of two machines differ; the main one's counts.
    now = [0.0]
    signals.time = SimpleNamespace(monotonic=lambda: now[0])  # type: ignore[assignment]

    def tick(loss: Tensor) -> Tensor:
        now[0] += 100 if number == 0 else 0
        return loss

    _, outcome = train(
        place / "time",
        LoopOptions(**OPTIONS, max_minutes=1.0),
        model=acting_model(5, tick),
        **shared,
    )
    found["time"] = [outcome.stopped_because, outcome.epochs, outcome.best_metric]

    # One process's loss is no number; both stop.
    spoil = acting_model(4, lambda loss: loss * (float("nan") if number == 1 else 1.0))
    try:
        train(place / "spoilt", LoopOptions(**OPTIONS), model=spoil, **shared)
    except TrainingError as error:
        found["spoilt"] = str(error).split(".")[0]

    # Patience runs out at the same time for both, though only the main one validates.
    scores = [0.5, 0.6, 0.6, 0.6]
    _, outcome = train(
        place / "patience",
        # without an average, so that there is one validation an epoch
        LoopOptions(**{**OPTIONS, "average_weights": 0.0}, patience=1),
        model=exact_model(),
        task=uneven_task(),
        validate=lambda model: {"f1": scores.pop(0)},
        metric="f1",
        higher_is_better=True,
    )
    found["patience"] = [outcome.stopped_because, outcome.epochs, outcome.best_metric]

    (place / f"{number}.json").write_text(json.dumps(found))
    processes.wait()
    torch.distributed.destroy_process_group()
