"""Tensors in safetensors files: weights by name and dtype, and nothing that runs.

What is written goes through ``files.write_whole``.  What is read is checked against the model
first, so that a file that is cut off, or belongs to another model, is named in one sentence.
Read ``run_folder.py`` for the trained model's file and ``checkpoint.py`` for the resuming one.
"""

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from elman.errors import RunError
from elman.files import write_whole


def model_tensors(model: nn.Module, *, half: bool = False) -> dict[str, Tensor]:
    """A copy of the model's ``state_dict``, its floating tensors as float16 if ``half``.

    A parameter with two names is there once, by its first.  Raises ``RunError`` when a weight is
    too large for float16.
    """
    tensors = {}
    again = _second_names(model)
    for name, value in model.state_dict().items():
        if name in again:
            continue
        tensor = value.detach().clone(memory_format=torch.contiguous_format)
        if half and tensor.is_floating_point():
            tensor = tensor.half()
            if tensor.isinf().any() and not value.isinf().any():
                raise RunError(
                    f"{name} reaches {value.abs().max():.3g}, but float16 ends at 65504; "
                    "save the weights without half."
                )
        tensors[name] = tensor
    return tensors


def put_model_tensors(model: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Load ``tensors`` into ``model``, in the model's own dtypes; the model is untouched on error.

    Raises ``RunError`` when a tensor is missing, unknown or of another shape.
    """
    own = model.state_dict()
    again = {name: first for name, first in _second_names(model).items() if first in tensors}
    tensors = {**{name: tensors[first] for name, first in again.items()}, **tensors}
    faults = [f"{name} is missing" for name in own if name not in tensors]
    faults += [f"{name} is not part of the model" for name in tensors if name not in own]
    faults += [
        f"{name} has shape {tuple(tensors[name].shape)}, not {tuple(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    if faults:
        shown = "; ".join(faults[:3]) + (f"; and {len(faults) - 3} more" if faults[3:] else "")
        raise RunError(
            f"{source}: these weights do not fit the model ({shown}). "
            "Load them into a model with the options they were trained with."
        )
    model.load_state_dict(dict(tensors))


def _second_names(model: nn.Module) -> dict[str, str]:
    """The first name of each parameter that has several, by the others."""
    first: dict[int, str] = {}
    found = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if first.setdefault(id(parameter), name) != name:
            found[name] = first[id(parameter)]
    return found


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> None:
    """Write one safetensors file, whole or not at all; ``notes`` go into its header."""
    write_whole(path, safetensors.torch.save(dict(tensors), metadata=dict(notes)))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the notes of a safetensors file.

    Raises ``RunError`` when there is no such file, or it is cut off or of another kind.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError:
        raise RunError(f"{path}: there is no such file.") from None
    except (safetensors.SafetensorError, OSError) as error:
        raise RunError(
            f"{path}: this is not a whole safetensors file ({error}); it may have been cut off "
            "while it was copied. Copy it again or train again."
        ) from error
