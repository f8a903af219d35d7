"""The LSTM, GRU and RNN nodes of an ONNX file.

Gates: LSTM i o f c; GRU z r h, where z weighs the old value; biases [Wb; Rb]; peepholes i o f.
With ``input_forget`` the gate i is kept and f = 1 - i; Elman's coupled cells keep f, which is the
same with the gate's weights negated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman import cells
from elman.errors import OptionError, RunError
from elman.export.importing.found import Found, FoundLayer, join_gates, negate_gate
from elman.export.onnx_format.libraries import onnx
from elman.graph import Cell, cell, sigmoid, tanh
from elman.passes.recognise import USUAL

_LETTERS = {"LSTM": "iofg", "GRU": "zrh", "RNN": "a"}


@cell(gates="f g o")
def coupled_diagonal_peephole_lstm(x, h, c, *, W, b, p):  # type: ignore[no-untyped-def]
    """LSTM with i = 1 - f and a peephole weight for each unit (ONNX's input_forget with P)."""
    f = sigmoid(W.f @ [h, x] + p.f * c + b.f)
    g = tanh(W.g @ [h, x] + b.g)
    c = f * c + (1 - f) * g
    o = sigmoid(W.o @ [h, x] + p.o * c + b.o)
    h = o * tanh(c)
    return h, c


def onnx_layers(path: Path) -> Found:
    """The recurrent nodes of an ONNX file by their names, or numbered: ``LSTM_1``."""
    library = onnx()
    try:
        model = library.load(str(path))
    except Exception as error:  # protobuf's and onnx's exceptions have no class in common
        raise RunError(f"{path}: this is no ONNX file, or it is damaged.") from error
    arrays = {
        tensor.name: library.numpy_helper.to_array(tensor) for tensor in model.graph.initializer
    }
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            value = library.helper.get_attribute_value(node.attribute[0])
            arrays[node.output[0]] = library.numpy_helper.to_array(value)
    found: dict[str, Callable[[], FoundLayer]] = {}
    for node in model.graph.node:
        if node.op_type in _LETTERS and node.domain in ("", "ai.onnx"):
            number = sum(name.startswith(f"{node.op_type}_") for name in found) + 1
            name = node.name if node.name and node.name not in found else f"{node.op_type}_{number}"
            attributes = {
                entry.name: library.helper.get_attribute_value(entry) for entry in node.attribute
            }
            found[name] = partial(_layer, f"{path}: {name}", node, attributes, arrays)
    return found


def _layer(
    title: str, node: Any, attributes: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> FoundLayer:
    operator = node.op_type
    names = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
    given = {name: value for name, value in zip(names, node.input, strict=False) if value}
    for name in ("W", "R", "B", "P"):
        if name in given and given[name] not in arrays:
            raise OptionError(
                f"{title}: its {name} is not stored in the file but computed; fold constants, as "
                "onnxsim or ONNX Runtime's optimizer does, and try again."
            )
    for name in ("initial_h", "initial_c"):
        if np.any(arrays.get(given.get(name, ""), np.zeros(1))):
            raise OptionError(
                f"{title}: it begins with a state of its own ({name}), which a layer does not "
                "store; make it an input of the file, and pass it as state."
            )
    weights: dict[str, np.ndarray] = {
        name: arrays[given[name]] for name in ("W", "R", "B", "P") if name in given
    }
    direction = _text(attributes.get("direction", "forward"))
    if direction == "reverse":
        raise OptionError(
            f"{title}: it runs in reverse only, and a Recurrent runs forward or both ways."
        )
    if attributes.get("clip"):
        raise OptionError(
            f"{title}: it clips what its activations see (clip), which no cell of the catalogue "
            "does; write the cell with elman.cell."
        )
    chosen = _cell(title, operator, attributes, weights)
    directions = weights["W"].shape[0]
    hidden, width = weights["R"].shape[-1], weights["W"].shape[-1]
    parameters = [
        _parameters(operator, chosen, {name: array[d] for name, array in weights.items()})
        for d in range(directions)
    ]
    layout = bool(attributes.get("layout", 0))
    return FoundLayer(chosen, width, hidden, [parameters], batch_first=layout)


def _cell(
    title: str, operator: str, attributes: Mapping[str, Any], weights: Mapping[str, np.ndarray]
) -> Cell:
    usual = USUAL[operator]
    named = [_text(name).capitalize() for name in attributes.get("activations", [])]
    activations = tuple(named[: len(usual)]) or usual
    if named and tuple(named) != activations * (len(named) // len(usual)):
        raise OptionError(f"{title}: its directions have different activations ({named}).")
    if operator == "RNN" and activations in (("Tanh",), ("Relu",)):
        return cells.rnn if activations == ("Tanh",) else cells.relu_rnn
    if activations != usual:
        raise OptionError(
            f"{title}: it has the activations {', '.join(activations)}, and the catalogue has "
            f"{operator} with {', '.join(usual)} only; write the cell with elman.cell."
        )
    if operator == "GRU":
        after = attributes.get("linear_before_reset", 0)
        return cells.gru_reset_after if after else cells.gru
    if attributes.get("input_forget", 0):
        return coupled_diagonal_peephole_lstm if "P" in weights else cells.coupled_lstm
    return cells.diagonal_peephole_lstm if "P" in weights else cells.lstm


def _parameters(
    operator: str, chosen: Cell, weights: Mapping[str, np.ndarray]
) -> dict[str, Tensor]:
    """One direction's parameters by the cell's keys."""
    letters = _LETTERS[operator]
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
    x, h = tensors["W"].chunk(len(letters)), tensors["R"].chunk(len(letters))
    found = join_gates(letters, h, x)
    if "B" in tensors:
        of_x, of_h = [half.chunk(len(letters)) for half in tensors["B"].chunk(2)]
        found |= {f"b.{g}": a + b for g, a, b in zip(letters, of_x, of_h, strict=True)}
    if "P" in tensors:
        found |= dict(zip(("p.i", "p.o", "p.f"), tensors["P"].chunk(3), strict=True))
    if chosen in (cells.coupled_lstm, coupled_diagonal_peephole_lstm):
        negate_gate(found, "i")
        found = {key: tensor for key, tensor in found.items() if not key.endswith(".f")}
        found = {
            f"{key[:-1]}f" if key.endswith(".i") else key: tensor for key, tensor in found.items()
        }
    if chosen == cells.gru:
        negate_gate(found, "z")
    if chosen == cells.gru_reset_after:
        del found["W.h"]
        found |= {"W.n": x[2], "W.m": h[2]}
        if "B" in tensors:
            del found["b.h"]
            found |= {"b.n": of_x[2], "b.m": of_h[2]}
    return found


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
