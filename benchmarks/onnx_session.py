"""ONNX Runtime as a rival: an LSTM, GRU or RNN node with a layer's weights.

ONNX orders gates as i o f c and z r h; in its GRU, z multiplies the old value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from elman.benchmark import Contestant
from elman.benchmark.contestants import parameters_of
from elman.nn import Recurrent


def onnx_node(layer: Recurrent, threads: int) -> Contestant | None:
    """The layer in ONNX Runtime; ``None`` if ONNX does not have the cell."""
    if layer.cell.name not in _NODES:
        return None
    session = Session(layer, threads)

    def forward(x: Tensor) -> Tensor:
        return torch.from_numpy(session.run(x.numpy())[0][:, 0])

    return Contestant("ONNX Runtime", [], forward, lambda parameters: [])


class Session:
    """A session with one node; ``run`` returns Y and the last states as NumPy arrays."""

    def __init__(self, layer: Recurrent, threads: int) -> None:
        import onnx
        import onnxruntime

        helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
        operator, blocks, attributes = _NODES[layer.cell.name]
        with torch.no_grad():
            arrays = _arrays({k: v.numpy() for k, v in parameters_of(layer).items()}, blocks, layer)
        self.states = [f"initial_{state}" for state in layer.cell.states]
        if operator == "RNN":
            self.states = ["initial_h"]
        outputs = ["Y", *[name.replace("initial", "Y") for name in self.states]]
        node = helper.make_node(
            operator,
            ["X", "W", "R", "B", "", *self.states],
            outputs,
            hidden_size=layer.hidden_size,
            **attributes,
        )
        graph = helper.make_graph(
            [node],
            "node",
            [helper.make_tensor_value_info(n, float32, None) for n in ("X", *self.states)],
            [helper.make_tensor_value_info(n, float32, None) for n in outputs],
            [onnx.numpy_helper.from_array(a, name) for name, a in arrays.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # spinning idle threads would take CPU time from torch
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.hidden = layer.hidden_size

    def run(
        self, x: np.ndarray, states: Mapping[str, np.ndarray] | None = None
    ) -> list[np.ndarray]:
        if states is None:
            zeros = np.zeros((1, x.shape[1], self.hidden), np.float32)
            states = dict.fromkeys(self.states, zeros)
        return self.session.run(None, {"X": x, **states})


Block = Callable[[Mapping[str, np.ndarray], int], tuple[np.ndarray, ...]]


def _gate(letter: str, sign: float = 1.0) -> Block:
    """(W, R, Wb, Rb) of a gate that reads [h, x]."""

    def block(p: Mapping[str, np.ndarray], hidden: int) -> tuple[np.ndarray, ...]:
        matrix, bias = sign * p[f"W.{letter}"], sign * p[f"b.{letter}"]
        return matrix[:, hidden:], matrix[:, :hidden], bias, np.zeros_like(bias)

    return block


def _reset_after(p: Mapping[str, np.ndarray], hidden: int) -> tuple[np.ndarray, ...]:
    return p["W.n"], p["W.m"], p["b.n"], p["b.m"]


#: operator, the gates in ONNX's order, and attributes, by the cell's name
_NODES: dict[str, tuple[str, tuple[Block, ...], dict[str, object]]] = {
    "rnn": ("RNN", (_gate("a"),), {}),
    "relu_rnn": ("RNN", (_gate("a"),), {"activations": ["Relu"]}),
    "lstm": ("LSTM", tuple([_gate(letter) for letter in "iofg"]), {}),
    # 1 - σ(a) = σ(-a)
    "gru": ("GRU", (_gate("z", -1.0), _gate("r"), _gate("h")), {}),
    "gru_reset_after": ("GRU", (_gate("z"), _gate("r"), _reset_after), {"linear_before_reset": 1}),
}


def _arrays(
    parameters: Mapping[str, np.ndarray], blocks: tuple[Block, ...], layer: Recurrent
) -> dict[str, np.ndarray]:
    gates = [block(parameters, layer.hidden_size) for block in blocks]
    w, r, wb, rb = [np.concatenate(parts).astype(np.float32) for parts in zip(*gates, strict=True)]
    return {"W": w[None], "R": r[None], "B": np.concatenate([wb, rb])[None]}
