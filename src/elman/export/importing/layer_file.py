"""Elman's own file of a layer: safetensors, with the cell and the sizes in its header.

Reading it runs no code: the cell is data (``graph/text.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from elman.errors import ElmanError, RunError
from elman.files import write_whole
from elman.graph import read_cell
from elman.nn.recurrent import Recurrent

_KEY = "elman.layer"
_FORMAT = 1


def save_layer(layer: Recurrent, path: Path) -> None:
    """Write a layer, its equations and its weights."""
    from safetensors.torch import save

    described = {
        "format": _FORMAT,
        "cell": layer.cell.text,
        "input_size": layer.input_size,
        "hidden_size": layer.hidden_size,
        "num_layers": layer.num_layers,
        "bidirectional": layer.bidirectional,
        "batch_first": layer.batch_first,
        **layer.stack.between.changed(),
    }
    tensors = {name: tensor.contiguous() for name, tensor in layer.state_dict().items()}
    write_whole(path, save(tensors, {_KEY: json.dumps(described)}))


def read_safetensors(path: Path) -> Recurrent | Mapping[str, Tensor]:
    """A layer that ``save_layer`` wrote, or the tensors of any other safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            described = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: this is no safetensors file, or it is damaged.") from error
    if described is None:
        return tensors
    try:
        options = json.loads(described)
        if options.pop("format") != _FORMAT:
            raise RunError(f"{path}: it was written by a newer version of Elman; upgrade Elman.")
        dtype = next(iter(tensors.values())).dtype
        layer = Recurrent(read_cell(options.pop("cell")), dtype=dtype, **options)
        layer.load_state_dict(tensors)
    except ElmanError:
        raise
    except Exception as error:
        raise RunError(f"{path}: its description of a layer is damaged ({error}).") from error
    return layer
