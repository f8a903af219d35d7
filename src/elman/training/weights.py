"""Tensors in safetensors files: weights by name and dtype, and no code.

Files are written by ``files.write_whole``.  Tensors that are read are checked against the model
first, so that a truncated file, or one of another model, gives a clear error.  See
``run_folder.py`` for the file of a trained model and ``checkpoint.py`` for resuming.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from elman.errors import RunError
from elman.files import write_whole
from elman.saved import in_short

#: the header entry with the digest of the tensors
_DIGEST = "sha256"


def model_tensors(model: nn.Module, *, half: bool = False) -> dict[str, Tensor]:
    """A copy of the model's ``state_dict``, its floating tensors as float16 if ``half``.

    A parameter with two names is stored once, under its first.  Raises ``RunError`` if a weight is
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
                    f"{name} reaches {value.abs().max():.3g}, but the largest float16 is 65504; "
                    "save the weights without half."
                )
        tensors[name] = tensor
    return tensors


def put_model_tensors(model: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Load ``tensors`` into ``model``, in the model's own dtypes; on error, change nothing.

    Raises ``RunError`` if a tensor is missing or unknown, has another shape or an incompatible
    dtype, or holds values that are not finite.
    """
    model.load_state_dict(fitting_tensors(model, tensors, source))


def fitting_tensors(
    model: nn.Module, tensors: Mapping[str, Tensor], source: Path
) -> dict[str, Tensor]:
    """``tensors`` under all of the model's names; raises like ``put_model_tensors``."""
    own = model.state_dict()
    again = {name: first for name, first in _second_names(model).items() if first in tensors}
    # tensors that a version of the model added, which files of older versions lack
    added = {name: own[name] for name in getattr(model, "added_later", ()) if name in own}
    tensors = {**added, **{name: tensors[first] for name, first in again.items()}, **tensors}
    faults = [f"{name} is missing" for name in own if name not in tensors]
    faults += [f"{name} is not part of the model" for name in tensors if name not in own]
    faults += [
        f"{name} has shape {tuple(tensors[name].shape)}, not {tuple(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    faults += [
        f"{name} has dtype {_kind(tensors[name])}, not {_kind(own[name])}"
        for name in own
        if name in tensors and tensors[name].dtype not in _fitting(own[name].dtype)
    ]
    if faults:
        shown = "; ".join(faults[:3]) + (f"; and {len(faults) - 3} more" if faults[3:] else "")
        raise RunError(
            f"{source}: these weights do not fit the model ({shown}). "
            "Load them into a model with the options they were trained with."
        )
    for name, value in tensors.items():
        cast = value.to(own[name].dtype)
        if cast.is_floating_point() and not cast.isfinite().all():
            raise RunError(
                f"{source}: {name} holds values that are not finite or too large; the file is "
                "damaged. Copy it again or train again."
            )
    return dict(tensors)


_FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def _fitting(dtype: torch.dtype) -> Sequence[torch.dtype]:
    """The dtypes in which values of this dtype may have been saved."""
    return _FLOATING if dtype.is_floating_point else (dtype,)


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _second_names(model: nn.Module) -> dict[str, str]:
    """The first name of each parameter with several names, keyed by the others."""
    first: dict[int, str] = {}
    found = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if first.setdefault(id(parameter), name) != name:
            found[name] = first[id(parameter)]
    return found


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> None:
    """Write one safetensors file, atomically; ``notes`` go into its header.

    The header also holds a digest of the tensors, which ``read_tensors`` checks.
    """
    metadata = {**notes, _DIGEST: _digest(tensors)}
    write_whole(path, safetensors.torch.save(dict(tensors), metadata=metadata))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the notes of a safetensors file.

    Raises ``RunError`` if the file is missing, truncated or of another kind, or if its tensors do
    not match their digest.
    """
    if not path.exists():
        raise RunError(f"{path}: there is no such file.")
    if not path.is_file():
        raise RunError(f"{path}: this is not a file; copy it again.")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            notes = dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, RuntimeError) as error:
        raise RunError(
            f"{path}: this is not a complete safetensors file ({in_short(str(error))}); it may "
            "have been cut off while it was copied. Copy it again or train again."
        ) from error
    if notes.pop(_DIGEST, None) not in (None, _digest(tensors)):
        raise RunError(
            f"{path}: its tensors are not those that were saved; the file is damaged. Copy it "
            "again or train again."
        )
    return tensors, notes


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """A digest of names, dtypes, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
