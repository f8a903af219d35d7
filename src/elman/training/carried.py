"""Tensors that a model carries from one batch to the next, such as the state of a recurrent layer.

A module that trains on consecutive pieces of long sequences keeps them in ``carried``, a dict by
name, which it fills in its ``loss`` in training mode.  They are not weights: the saved model does
not have them.  A checkpoint holds those of each process, so that a resumed training continues with
the same states.
"""

from collections.abc import Mapping
from typing import cast

from torch import Tensor, nn

Carried = dict[str, Tensor]


def carried_tensors(model: nn.Module) -> Carried:
    """A copy of what the modules of ``model`` carry, by the names of module and tensor."""
    return {
        f"{name}/{key}": tensor.detach().clone()
        for name, module in _carriers(model).items()
        for key, tensor in module.carried.items()
    }


def put_carried(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Let the modules of ``model`` carry ``tensors``; ``ValueError`` for an unknown module."""
    carriers = _carriers(model)
    for module in carriers.values():
        module.carried.clear()
    for name, tensor in tensors.items():
        module_name, _, key = name.partition("/")
        if module_name not in carriers:
            raise ValueError(f"{name} is carried by no module of the model")
        carriers[module_name].carried[key] = tensor


def _carriers(model: nn.Module) -> dict[str, "_Carrier"]:
    found: dict[str, _Carrier] = {}
    for name, module in model.named_modules():
        if isinstance(getattr(module, "carried", None), dict):
            found[name] = cast(_Carrier, module)
    return found


class _Carrier(nn.Module):
    carried: Carried
