"""``elman.import_weights``: a recurrent layer of another library as a ``Recurrent``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from elman.data.sources import why_not_a_file
from elman.errors import OptionError, RunError
from elman.export.importing.found import Found, FoundLayer
from elman.export.importing.keras_file import keras_layers
from elman.export.importing.layer_file import read_safetensors
from elman.export.importing.onnx_file import onnx_layers
from elman.export.importing.torch_state import read_torch, torch_layers
from elman.graph import Cell
from elman.nn.recurrent import Recurrent

_KERAS, _TORCH = (".keras", ".h5", ".hdf5"), (".pt", ".pth", ".bin", ".ckpt")


def import_weights(
    source: str | Path | Mapping[str, Any] | nn.Module,
    *,
    layer: str | None = None,
    cell: Cell | None = None,
    batch_first: bool = False,
) -> Recurrent:
    """The recurrent layer with the weights of another library's, which computes the same.

    ``source`` is a module of torch.nn, its ``state_dict``, or a file: one of torch (``.pt``,
    ``.pth``, ``.safetensors``), Keras 3 (``.keras``, ``.weights.h5``) or ONNX (``.onnx``).
    ``layer`` names one of several.  ``cell`` is for weights that do not tell: torch.nn's RNN
    (``rnn`` or ``relu_rnn``), and in a ``.weights.h5`` of Keras a GRU without biases.
    ``batch_first`` is for torch's weights, which do not say it; Keras's layers are batch first.

    Raises ``RunError`` for a file that cannot be read, and ``OptionError`` for a layer that no
    cell computes, or where it is not clear which one is meant.

    >>> import elman, torch
    >>> theirs = torch.nn.GRU(4, 5, 2, bidirectional=True)
    >>> ours = elman.import_weights(theirs.state_dict())
    >>> x = torch.randn(6, 2, 4)
    >>> torch.allclose(ours(x)[0], theirs(x)[0], atol=1e-6)
    True
    """
    if isinstance(source, nn.Module):
        source = source.state_dict()
    title = "the state_dict" if isinstance(source, Mapping) else str(source)
    found = layers_in(source, cell=cell, batch_first=batch_first)
    names = ", ".join([name or "one without a name" for name in found])
    if not found:
        raise OptionError(f"{title}: there is no RNN, LSTM or GRU layer in it.")
    if layer is not None and layer not in found:
        raise OptionError(f"{title}: there is no recurrent layer called {layer!r}; it has {names}.")
    if layer is None and len(found) > 1:
        raise OptionError(f"{title}: it has several recurrent layers; pass layer=, one of {names}.")
    return found[layer]() if layer is not None else next(iter(found.values()))()


def layers_in(
    source: str | Path | Mapping[str, Any], *, cell: Cell | None = None, batch_first: bool = False
) -> dict[str, Callable[[], Recurrent]]:
    """The recurrent layers of ``source`` by their names there.

    Calling one makes the ``Recurrent``, or says why there is none.
    """
    if isinstance(source, Mapping):
        return _made(torch_layers(source, "the state_dict", cell, batch_first=batch_first))
    path = Path(source)
    suffix = path.suffix.lower()
    reason = why_not_a_file(path)
    if reason is not None:
        raise RunError(f"{path}: {reason}")
    if suffix in _KERAS:
        return _made(keras_layers(path, cell))
    if suffix == ".onnx":
        return _made(onnx_layers(path))
    if suffix not in (".safetensors", *_TORCH):
        known = ", ".join([*_TORCH, ".safetensors", *_KERAS, ".onnx"])
        raise OptionError(f"{path}: weights are read from files that end in {known}.")
    read = read_safetensors(path) if suffix == ".safetensors" else read_torch(path)
    if isinstance(read, Recurrent):
        return {path.stem: lambda: read}
    return _made(torch_layers(read, str(path), cell, batch_first=batch_first))


def _made(found: Found) -> dict[str, Callable[[], Recurrent]]:
    def make(read: Callable[[], FoundLayer]) -> Recurrent:
        return read().recurrent()

    return {name: partial(make, read) for name, read in found.items()}
