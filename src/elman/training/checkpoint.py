"""Checkpoints: all that resuming needs, in one safetensors file that is whole or not there.

Weights, the optimiser's tensors and the averaged weights are its tensors; the state, the
options and the size of a global batch are JSON in its header.  Generators have no state to save,
see ``seeding.py``.  Because it is one file, a kill between two files cannot leave a mix; the best
weights and the history, which are written just before it, are made again in the same way, bit by
bit, by the batches that follow it.
"""

import dataclasses
import json
from pathlib import Path

import torch
from torch import Tensor, nn

from elman.errors import RunError
from elman.saved import of_kind, parse_json, sentences
from elman.training.averaging import WeightAverage
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
    """What the steps of training change; ``processes`` do it together."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage
    options: LoopOptions
    processes: int = 1


def save_checkpoint(path: Path, train_state: TrainState, trainer_state: TrainerState) -> None:
    """Write all of it to ``path``; raises ``RunError`` when it cannot, the old one untouched."""
    tensors = {f"model.{name}": value for name, value in model_tensors(train_state.model).items()}
    for index, state in train_state.optimizer.state_dict()["state"].items():
        for name, value in state.items():
            if value is not None:
                assert isinstance(value, Tensor), f"{name} of the optimiser is no tensor"
                tensors[f"optimizer.{index}.{name}"] = value.clone()
    for index, value in enumerate(train_state.average.values):
        tensors[f"average.{index}"] = value
    about = {
        "format": FORMAT,
        "processes": train_state.processes,
        "position": dataclasses.asdict(trainer_state),
        "options": dataclasses.asdict(train_state.options),
    }
    write_tensors(path, tensors, {"elman": json.dumps(about)})


def load_checkpoint(path: Path, train_state: TrainState) -> TrainerState:
    """Put what ``path`` holds into ``train_state``; return the trainer's state.

    Raises ``RunError`` when the file is cut off or foreign, comes from a later version, or was
    made with options, processes or a model that would not go on in the same way.
    """
    tensors, notes = read_tensors(path)
    if "elman" not in notes:
        raise RunError(f"{path}: this is not a checkpoint of Elman; train anew in another folder.")
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
            f"{path}: the run was begun with {name} = {about['options'][name]!r}, but now {name} "
            f"is {getattr(train_state.options, name)!r}; resume with the same {', '.join(changed)}."
        )
    if about["processes"] != train_state.processes:
        raise RunError(
            f"{path}: the run was begun with {about['processes']} processes, but now there are "
            f"{train_state.processes}; resume with as many."
        )
    fitting_tensors(train_state.model, _below("model", tensors), path)
    with sentences(path):
        state = _optimizer_state(train_state, _below("optimizer", tensors))
        average = _average_values(train_state, _below("average", tensors))
    put_model_tensors(train_state.model, _below("model", tensors), path)
    groups = train_state.optimizer.state_dict()["param_groups"]
    train_state.optimizer.load_state_dict({"state": state, "param_groups": groups})
    for value, saved in zip(train_state.average.values, average, strict=True):
        value.copy_(saved)
    return trainer_state


def _optimizer_state(
    train_state: TrainState, tensors: dict[str, Tensor]
) -> dict[int, dict[str, Tensor]]:
    """The optimiser's tensors by parameter; ``ValueError`` where they do not fit the parameters."""
    parameters = [p for group in train_state.optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        if value.numel() != 1 and value.shape != parameters[int(index)].shape:
            raise ValueError(f"optimizer.{key} has shape {tuple(value.shape)}")
        state.setdefault(int(index), {})[name] = value
    if len({frozenset(each) for each in state.values()}) > 1:
        raise ValueError("the optimiser's tensors are not complete")
    return state


def _average_values(train_state: TrainState, tensors: dict[str, Tensor]) -> list[Tensor]:
    """The averaged weights; ``ValueError`` where they do not fit the weights."""
    values = [tensors[str(index)] for index in range(len(train_state.average.values))]
    for value, own in zip(values, train_state.average.values, strict=True):
        if value.shape != own.shape:
            raise ValueError(f"an average has shape {tuple(value.shape)}")
    return values


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose name begins with ``prefix``, by the rest of their name."""
    prefix += "."
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
