"""Checkpoints: everything needed to resume training, in one file that is written atomically.

The safetensors file holds the weights, the optimiser state, the averaged weights and, for each
process, what the model carries from batch to batch (``carried.py``); the trainer state, the options
and the number of processes are JSON in its header.  Random generators need no saved state, see
``seeding.py``.  The best weights and the history are separate files, written just before the
checkpoint.  If a kill comes in between, resuming repeats the batches and writes the same bits
again.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from elman.errors import RunError
from elman.saved import of_kind, parse_json, sentences
from elman.training.averaging import WeightAverage
from elman.training.carried import Carried, carried_tensors, put_carried
from elman.training.options import LoopOptions, changed_options
from elman.training.trainer_state import TrainerState
from elman.training.weights import (
    fitting_tensors,
    model_tensors,
    put_model_tensors,
    read_tensors,
    write_tensors,
)

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class TrainState:
    """What a training step changes.

    ``processes`` is how many processes train together; this one is ``number``.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage
    options: LoopOptions
    processes: int = 1
    number: int = 0


def save_checkpoint(
    path: Path,
    train_state: TrainState,
    trainer_state: TrainerState,
    carried: Sequence[Carried] | None = None,
) -> None:
    """Write a checkpoint to ``path``; on failure raise ``RunError`` and keep the old file.

    ``carried`` is what the model carries in each process; by default, in this one alone.
    """
    tensors = {f"model.{name}": value for name, value in model_tensors(train_state.model).items()}
    for index, state in train_state.optimizer.state_dict()["state"].items():
        for name, value in state.items():
            if value is not None:
                assert isinstance(value, Tensor), f"{name} of the optimiser is not a tensor"
                tensors[f"optimizer.{index}.{name}"] = value.clone()
    for index, value in enumerate(train_state.average.values):
        tensors[f"average.{index}"] = value
    if carried is None:
        carried = [carried_tensors(train_state.model)]
    for number, found in enumerate(carried):
        for name, value in found.items():
            tensors[f"carried.{number}.{name}"] = value
    about = {
        "format": FORMAT,
        "processes": train_state.processes,
        "position": dataclasses.asdict(trainer_state),
        "options": dataclasses.asdict(train_state.options),
    }
    write_tensors(path, tensors, {"elman": json.dumps(about)})


def load_checkpoint(path: Path, train_state: TrainState) -> TrainerState:
    """Load the checkpoint ``path`` into ``train_state``; return the trainer's state.

    Raises ``RunError`` if the file is truncated, is not a checkpoint, comes from a later version,
    or was made with different options, another number of processes or another model.
    """
    tensors, notes = read_tensors(path)
    if "elman" not in notes:
        raise RunError(f"{path}: this is not an Elman checkpoint; train again in another folder.")
    about = parse_json(notes["elman"], path, infinite=True)
    with sentences(path):
        if of_kind(about, "format", int) > FORMAT:
            raise RunError(
                f"{path}: this checkpoint has format {about['format']}; this version of Elman "
                f"reads format {FORMAT}. Upgrade Elman."
            )
        of_kind(about, "options", dict)
        of_kind(about, "processes", int)
        trainer_state = TrainerState.of(of_kind(about, "position", dict))
    if changed := changed_options(about["options"], train_state.options):
        name = changed[0]
        raise RunError(
            f"{path}: the run was started with {name} = {about['options'][name]!r}, but {name} "
            f"is now {getattr(train_state.options, name)!r}; resume with the same "
            f"{', '.join(changed)}."
        )
    if about["processes"] != train_state.processes:
        raise RunError(
            f"{path}: the run was started with {about['processes']} processes, but now there are "
            f"{train_state.processes}; resume with {about['processes']}."
        )
    fitting_tensors(train_state.model, _below("model", tensors), path)
    with sentences(path):
        state = _optimizer_state(train_state, _below("optimizer", tensors))
        average = _average_values(train_state, _below("average", tensors))
        put_carried(train_state.model, _below(f"carried.{train_state.number}", tensors))
    put_model_tensors(train_state.model, _below("model", tensors), path)
    groups = train_state.optimizer.state_dict()["param_groups"]
    train_state.optimizer.load_state_dict({"state": state, "param_groups": groups})
    for value, saved in zip(train_state.average.values, average, strict=True):
        value.copy_(saved)
    return trainer_state


def _optimizer_state(
    train_state: TrainState, tensors: dict[str, Tensor]
) -> dict[int, dict[str, Tensor]]:
    """The optimiser's tensors by parameter; ``ValueError`` if they do not fit the parameters."""
    parameters = [p for group in train_state.optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        if value.numel() != 1 and value.shape != parameters[int(index)].shape:
            raise ValueError(f"optimizer.{key} has shape {tuple(value.shape)}")
        state.setdefault(int(index), {})[name] = value
    if len({frozenset(each) for each in state.values()}) > 1:
        raise ValueError("the optimiser's tensors are incomplete")
    return state


def _average_values(train_state: TrainState, tensors: dict[str, Tensor]) -> list[Tensor]:
    """The averaged weights; ``ValueError`` if they do not fit the weights."""
    values = [tensors[str(index)] for index in range(len(train_state.average.values))]
    for value, own in zip(values, train_state.average.values, strict=True):
        if value.shape != own.shape:
            raise ValueError(f"an average has shape {tuple(value.shape)}")
    return values


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with ``prefix``, keyed by the rest of their names."""
    prefix += "."
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
