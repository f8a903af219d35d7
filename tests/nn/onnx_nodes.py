"""A layer from the weights of an ONNX node LSTM, GRU or RNN, and the node from the same weights.

The layouts are ONNX's: gates in the order i o f c, z r h; biases [Wb; Rb]; peepholes i o f; the
GRU's z weighs the old value; the coupled LSTM keeps i.  Written from the operators' definitions,
apart from what the package itself converts.
"""

from dataclasses import dataclass, field

import numpy as np
import onnx
import torch

import elman
from elman import cell, sigmoid, tanh
from elman.cells import CATALOGUE


@cell(gates="i g o")
def input_gate_lstm(x, h, c, *, W, b, p):
    """ONNX's input_forget: the forget gate is 1 - i."""
    i = sigmoid(W.i @ [h, x] + p.i * c + b.i)
    g = tanh(W.g @ [h, x] + b.g)
    c = (1 - i) * c + i * g
    o = sigmoid(W.o @ [h, x] + p.o * c + b.o)
    h = o * tanh(c)
    return h, c


@dataclass
class Node:
    """An ONNX node with one recurrent layer: its attributes and arrays by the input's name."""

    operator: str
    arrays: dict[str, np.ndarray]
    attributes: dict[str, object] = field(default_factory=dict)

    @property
    def directions(self):
        return 2 if self.attributes.get("direction") == "bidirectional" else 1

    @property
    def hidden(self):
        return self.arrays["R"].shape[-1]

    def cell(self):
        if self.operator == "RNN":
            relu = "Relu" in self.attributes.get("activations", [])
            return CATALOGUE["relu_rnn" if relu else "rnn"]
        if self.operator == "GRU":
            after = self.attributes.get("linear_before_reset", 0)
            return CATALOGUE["gru_reset_after" if after else "gru"]
        if self.attributes.get("input_forget", 0):
            # without peepholes the catalogue's, which keeps f
            return input_gate_lstm if "P" in self.arrays else CATALOGUE["coupled_lstm"]
        return CATALOGUE["diagonal_peephole_lstm" if "P" in self.arrays else "lstm"]

    def layer(self):
        """An ``elman.Recurrent`` of one or both directions with this node's weights."""
        chosen = self.cell()
        layer = elman.Recurrent(
            chosen, self.arrays["W"].shape[-1], self.hidden, bidirectional=self.directions == 2
        )
        values = {
            f"layers.0.{d}.{key}": torch.from_numpy(np.ascontiguousarray(value))
            for d in range(self.directions)
            for key, value in self._parameters(d, chosen.name).items()
        }
        layer.load_state_dict(values)
        return layer

    def _parameters(self, d, name):
        letters = {"LSTM": "iofg", "GRU": "zrh", "RNN": "a"}[self.operator]
        B = self.arrays.get("B", np.zeros((d + 1, 2 * self.arrays["W"].shape[1]), np.float32))

        def blocks(array):
            return dict(zip(letters, np.split(array, len(letters)), strict=True))

        W, R = blocks(self.arrays["W"][d]), blocks(self.arrays["R"][d])
        Wb, Rb = [blocks(half) for half in np.split(B[d], 2)]
        found = {f"W.{k}": np.concatenate([R[k], W[k]], 1) for k in letters}
        found |= {f"b.{k}": Wb[k] + Rb[k] for k in letters}
        if "P" in self.arrays:
            found |= dict(zip(("p.i", "p.o", "p.f"), np.split(self.arrays["P"][d], 3), strict=True))
        if name in {"coupled_lstm", "input_gate_lstm"}:
            kept, dropped = ("i", "f") if name == "input_gate_lstm" else ("f", "i")
            if kept == "f":  # f = 1 - i = σ(-a)
                found |= {"W.f": -found["W.i"], "b.f": -found["b.i"]}
            for key in [key for key in found if key.endswith(f".{dropped}")]:
                del found[key]
        if name == "gru":  # 1 - σ(a) = σ(-a)
            found |= {"W.z": -found["W.z"], "b.z": -found["b.z"]}
        if name == "gru_reset_after":
            del found["W.h"], found["b.h"]
            found |= {"W.m": R["h"], "b.m": Rb["h"], "W.n": W["h"], "b.n": Wb["h"]}
        return found

    def model(self):
        """The node as an ONNX model with X, sequence_lens and initial states as inputs."""
        given = ["X", "W", "R", "B", "sequence_lens", "initial_h"]
        outputs = ["Y", "Y_h"]
        if self.operator == "LSTM":
            given += ["initial_c", "P"]
            outputs += ["Y_c"]
        inputs = [name if name in self.arrays else "" for name in given]
        helper = onnx.helper
        types = {
            name: helper.np_dtype_to_tensor_dtype(array.dtype)
            for name, array in self.arrays.items()
        }
        graph = helper.make_graph(
            [
                helper.make_node(
                    self.operator, inputs, outputs, hidden_size=self.hidden, **self.attributes
                )
            ],
            "node",
            [
                helper.make_tensor_value_info(name, types[name], array.shape)
                for name, array in self.arrays.items()
            ],
            [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
        model.ir_version = 8
        return model
