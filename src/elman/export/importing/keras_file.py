"""Keras 3's LSTM, GRU and SimpleRNN, alone or in a ``Bidirectional``, from its files.

A ``.keras`` file is a zip of ``config.json`` and ``model.weights.h5``; a ``.weights.h5`` file has
only the latter and does not say which activations a layer has, so the usual ones are taken.  In the
h5 file a layer is a group with ``cell/vars/0`` (kernel), ``1`` (recurrent kernel) and ``2`` (bias).

Keras multiplies from the right, so that matrices are transposed.  Gates: LSTM i f c o; GRU z r h,
where z weighs the old value, with a reset after the product and two biases unless ``reset_after``
is False.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman import cells
from elman.errors import OptionError, RunError
from elman.export.importing.found import Found, FoundLayer, join_gates, negate_gate
from elman.graph import Cell

Config = Mapping[str, Any]
_GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}


@dataclass(frozen=True)
class _Weights:
    """One layer of the h5 file, in each direction: kernel, recurrent kernel, bias if any."""

    name: str
    directions: tuple[tuple[np.ndarray, ...], ...]


def keras_layers(path: Path, cell: Cell | None) -> Found:
    """The recurrent layers of a ``.keras`` or ``.weights.h5`` file by their names."""
    configs: dict[str, Config] | None = None
    content: bytes
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                configs = {c["config"]["name"]: c for c in _configs(_json(archive))}
                content = archive.read("model.weights.h5")
        else:
            content = path.read_bytes()
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise RunError(f"{path}: this is no file of Keras 3, or it is damaged.") from error
    return {
        weights.name: partial(_layer, f"{path}: {weights.name}", weights, configs, cell)
        for weights in _weights(path, content)
    }


def _json(archive: zipfile.ZipFile) -> Any:
    return json.loads(archive.read("config.json"))


def _configs(value: Any) -> Iterator[Config]:
    """The configurations of recurrent layers, wherever they are; a Bidirectional's as a whole."""
    if isinstance(value, dict):
        config = value.get("config")
        is_layer = value.get("class_name") in (*_GATES, "Bidirectional", "RNN")
        if is_layer and isinstance(config, dict) and "name" in config:
            yield value
            return
        for inner in value.values():
            yield from _configs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _configs(inner)


def _weights(path: Path, content: bytes) -> list[_Weights]:
    try:
        h5py = import_module("h5py")
    except ImportError as error:
        raise RunError(
            f"{path}: files of Keras need the library h5py, which is not installed; run "
            "`pip install 'elman[keras]'`."
        ) from error
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            if "model_weights" in file:
                raise RunError(
                    f"{path}: it was saved by Keras 2; load it with Keras 3 and save it as .keras."
                )
            return [*_groups(file, h5py)]
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise RunError(f"{path}: this is no file of Keras 3, or it is damaged.") from error


def _groups(group: Any, h5py: Any) -> Iterator[_Weights]:
    """The recurrent layers in a group, depth first."""
    parts = [group[p] for p in ("forward_layer", "backward_layer") if p in group]
    found = [_arrays(part) for part in (parts if len(parts) == 2 else [group])]
    arrays = [own for own in found if own is not None]
    if len(arrays) == len(found):
        attributes = group["vars"].attrs if "vars" in group else {}
        name = attributes.get("name", group.name.rsplit("/", 1)[-1])
        yield _Weights(str(name), tuple(arrays))
        return
    for inner in group.values():
        if isinstance(inner, h5py.Group):
            yield from _groups(inner, h5py)


def _arrays(group: Any) -> tuple[np.ndarray, ...] | None:
    """A cell's arrays, if the group is a layer with one whose kernels are matrices."""
    if "cell" not in group or "vars" not in group["cell"]:
        return None
    variables = group["cell"]["vars"]
    arrays = tuple([np.asarray(variables[key]) for key in ("0", "1", "2") if key in variables])
    is_one = len(arrays) >= 2 and arrays[0].ndim == arrays[1].ndim == 2
    return arrays if is_one and arrays[0].shape[1] == arrays[1].shape[1] else None


def _layer(
    title: str, weights: _Weights, configs: Mapping[str, Config] | None, cell: Cell | None
) -> FoundLayer:
    kernel, recurrent, *bias = weights.directions[0]
    hidden = recurrent.shape[0]
    by_rows = {count: name for name, count in _GATES.items()}
    kind = by_rows.get(recurrent.shape[1] // max(1, hidden))
    if kind is None or recurrent.shape[1] % max(1, hidden):
        raise RunError(f"{title}: its weights are those of no LSTM, GRU or SimpleRNN.")
    config: Config = {}
    if configs is not None:
        if weights.name not in configs:
            raise RunError(
                f"{title}: config.json does not describe this layer; save the model with a newer "
                "version of Keras 3."
            )
        config = _checked(title, configs[weights.name], len(weights.directions))
    chosen = _cell(title, kind, config, bias, cell)
    found = [_parameters(chosen, kind, *arrays) for arrays in weights.directions]
    return FoundLayer(chosen, kernel.shape[0], hidden, [found], batch_first=True)


def _checked(title: str, described: Config, directions: int) -> Config:
    """A layer's own configuration; ``OptionError`` for what no ``Recurrent`` does."""
    config: Config = described["config"]
    if described["class_name"] == "Bidirectional":
        if config.get("merge_mode") != "concat":
            raise OptionError(
                f"{title}: merge_mode is {config.get('merge_mode')!r}; a Recurrent puts the "
                'outputs of both directions side by side, which is "concat".'
            )
        config = config["layer"]["config"]
    if described["class_name"] == "RNN" or (directions == 1 and config.get("go_backwards")):
        what = "an RNN around a cell" if described["class_name"] == "RNN" else "a layer backwards"
        raise OptionError(f"{title}: it is {what} (go_backwards), which cannot be imported.")
    return config


def _cell(
    title: str, kind: str, config: Config, bias: list[np.ndarray], wanted: Cell | None
) -> Cell:
    activation = config.get("activation", "tanh")
    gate = config.get("recurrent_activation", "sigmoid")
    usual = ("tanh", "relu") if kind == "SimpleRNN" else ("tanh",)
    if activation not in usual or gate != "sigmoid":
        raise OptionError(
            f"{title}: it has the activations {activation!r} and {gate!r}, and the catalogue has "
            f"{kind} with {' or '.join(usual)} only; write the cell with elman.cell."
        )
    if kind == "SimpleRNN":
        if not config and wanted in (cells.rnn, cells.relu_rnn):
            return wanted
        return cells.relu_rnn if activation == "relu" else cells.rnn
    if kind == "LSTM":
        return cells.lstm
    if config:
        after = config.get("reset_after", True)
    elif bias:
        after = bias[0].ndim == 2
    elif wanted in (cells.gru, cells.gru_reset_after):
        return wanted
    else:
        raise OptionError(
            f"{title}: a GRU without biases does not say where it resets; pass "
            "cell=elman.cells.gru_reset_after, or elman.cells.gru for reset_after=False."
        )
    return cells.gru_reset_after if after else cells.gru


def _parameters(
    cell: Cell, kind: str, kernel: np.ndarray, recurrent: np.ndarray, *bias: np.ndarray
) -> dict[str, Tensor]:
    """One direction's parameters by the cell's keys."""
    gates = _GATES[kind]
    letters = {"LSTM": "ifgo", "GRU": "zrh", "SimpleRNN": "a"}[kind]
    x, h = [_tensor(array.T).chunk(gates) for array in (kernel, recurrent)]
    biases = [_tensor(row).chunk(gates) for row in np.atleast_2d(bias[0])] if bias else []
    found = join_gates(letters, h, x)
    if biases:
        total = [sum(parts[1:], parts[0]) for parts in zip(*biases, strict=True)]
        found |= {f"b.{letter}": b for letter, b in zip(letters, total, strict=True)}
    if cell == cells.gru:
        negate_gate(found, "z")
    if cell == cells.gru_reset_after:
        del found["W.h"]
        found |= {"W.n": x[2], "W.m": h[2]}
        if biases:
            del found["b.h"]
            found |= {"b.n": biases[0][2], "b.m": biases[1][2]}
    return found


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, order="C"))
