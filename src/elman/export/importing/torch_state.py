"""torch.nn's RNN, LSTM and GRU in a ``state_dict``, alone or inside a model.

Keys are ``weight_ih_l0``, ``weight_hh_l0_reverse`` ..., behind the name of the layer in its model.
The number of rows says which of the three it is.  What a ``state_dict`` does not hold: whether an
RNN has tanh or ReLU, and whether the batch comes first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from elman import cells
from elman.errors import OptionError, RunError
from elman.export.importing.found import Found, FoundLayer
from elman.graph import Cell
from elman.nn.torch_weights import CELL_OF_MODE, cell_parameters

_KEY = re.compile(r"(?:(.*)\.)?(weight|bias)_(ih|hh|hr)(?:_l(\d+)(_reverse)?)?$")


def read_torch(path: Path) -> Mapping[str, Any]:
    """A ``state_dict`` from a file of ``torch.save``; only tensors are read, no code is run."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # its exceptions have no class in common
        raise RunError(
            f"{path}: this is no file of torch.save that holds tensors only; save "
            "model.state_dict() and try again."
        ) from error
    for name in ("state_dict", "model_state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping):
        raise RunError(f"{path}: it holds a {type(found).__name__}; save model.state_dict().")
    return found


def torch_layers(
    state: Mapping[str, Any], source: str, cell: Cell | None, *, batch_first: bool
) -> Found:
    """The recurrent layers of a ``state_dict`` by their names; "" for one that stands alone."""
    by_layer: dict[str, dict[tuple[int, int], dict[str, Tensor]]] = {}
    for key, tensor in state.items():
        match = _KEY.fullmatch(key)
        if match is None or not isinstance(tensor, Tensor):
            continue
        name, kind, side, k, reverse = match.groups()
        place = (int(k or 0), int(reverse is not None))
        by_layer.setdefault(name or "", {}).setdefault(place, {})[f"{kind}_{side}"] = tensor
    return {
        name: partial(_layer, f"{source}{f': {name}' if name else ''}", places, cell, batch_first)
        for name, places in by_layer.items()
    }


def _layer(
    title: str,
    places: Mapping[tuple[int, int], Mapping[str, Tensor]],
    cell: Cell | None,
    batch_first: bool,
) -> FoundLayer:
    directions = 1 + max(d for _, d in places)
    wanted = [(k, d) for k in range(1 + max(k for k, _ in places)) for d in range(directions)]
    if sorted(places) != wanted:
        raise RunError(f"{title}: some of its layers or directions have no weights.")
    first = places[0, 0]
    names = [*first]
    if "weight_hr" in first:
        raise OptionError(
            f"{title}: it is an LSTM with projections (proj_size), which cannot be imported."
        )
    if {*names} not in ({"weight_ih", "weight_hh"}, {*_TENSORS}):
        raise RunError(f"{title}: it has {', '.join(names)}; it needs {', '.join(_TENSORS)}.")
    hidden = first["weight_hh"].shape[-1]
    width = first["weight_ih"].shape[-1]
    kinds = {tensor.dtype for tensors in places.values() for tensor in tensors.values()}
    if not all([kind.is_floating_point for kind in kinds]):
        raise OptionError(f"{title}: its weights are integers; import the model in float32.")
    mode = _mode(title, first["weight_hh"].shape[0] // max(1, hidden), cell)
    if cell not in (None, cells.rnn, cells.relu_rnn, CELL_OF_MODE[mode]):
        raise OptionError(
            f"{title}: its weights are those of {CELL_OF_MODE[mode].name}, not of {cell.name}; "
            "omit the cell."
        )
    gates = {"LSTM": 4, "GRU": 3}.get(mode, 1)
    weights = []
    for (k, d), tensors in sorted(places.items()):
        read = width if k == 0 else hidden * directions
        shapes = {
            "weight_ih": (gates * hidden, read),
            "weight_hh": (gates * hidden, hidden),
            "bias_ih": (gates * hidden,),
            "bias_hh": (gates * hidden,),
        }
        for name in names:
            shape = tuple(tensors[name].shape) if name in tensors else None
            if shape != shapes[name]:
                place = f"{name}_l{k}{'_reverse' if d else ''}"
                raise RunError(f"{title}: {place} has the shape {shape}, not {shapes[name]}.")
        ordered = [tensors[name] for name in _TENSORS if name in tensors]
        weights.append(cell_parameters(mode, *ordered))
    layers = [weights[k : k + directions] for k in range(0, len(weights), directions)]
    return FoundLayer(CELL_OF_MODE[mode], width, hidden, layers, batch_first)


_TENSORS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _mode(title: str, gates: int, cell: Cell | None) -> str:
    if gates == 4:
        return "LSTM"
    if gates == 3:
        return "GRU"
    if gates != 1:
        raise RunError(f"{title}: its weights are those of no RNN, LSTM or GRU of torch.nn.")
    if cell not in (cells.rnn, cells.relu_rnn):
        raise OptionError(
            f"{title}: it is a torch.nn.RNN, whose nonlinearity is not in its weights; pass "
            "cell=elman.cells.rnn for tanh or cell=elman.cells.relu_rnn for ReLU."
        )
    return "RNN_TANH" if cell == cells.rnn else "RNN_RELU"
