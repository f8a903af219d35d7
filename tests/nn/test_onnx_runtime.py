"""Recurrent against ONNX Runtime: the cells that ONNX has, on single nodes with random weights.

ONNX Runtime departs from the operators' definitions for a row of length 0 and for clip
(neither is asked here), and refuses ``layout=1``.
"""

import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from nn.onnx_nodes import Node

TIME, BATCH, INPUT, HIDDEN = 6, 4, 3, 5

KINDS = {
    "LSTM": ("LSTM", {}, False),
    "LSTM peepholes": ("LSTM", {}, True),
    "LSTM coupled": ("LSTM", {"input_forget": 1}, False),
    "LSTM coupled peepholes": ("LSTM", {"input_forget": 1}, True),
    "GRU reset before": ("GRU", {"linear_before_reset": 0}, False),
    "GRU reset after": ("GRU", {"linear_before_reset": 1}, False),
    "RNN tanh": ("RNN", {}, False),
    "RNN relu": ("RNN", {"activations": ["Relu"]}, False),
}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def random_node(kind, direction, seed):
    operator, attributes, peepholes = KINDS[kind]
    random = np.random.default_rng(seed)
    directions = 2 if direction == "bidirectional" else 1
    rows = GATES[operator] * HIDDEN

    def draw(*shape):
        return (0.8 * random.standard_normal(shape)).astype(np.float32)

    arrays = {
        "X": draw(TIME, BATCH, INPUT),
        "W": draw(directions, rows, INPUT),
        "R": draw(directions, rows, HIDDEN),
        "B": draw(directions, 2 * rows),
        "initial_h": draw(directions, BATCH, HIDDEN),
    }
    if operator == "LSTM":
        arrays["initial_c"] = draw(directions, BATCH, HIDDEN)
    if peepholes:
        arrays["P"] = draw(directions, 3 * HIDDEN)
    if "activations" in attributes:
        attributes = {"activations": attributes["activations"] * directions}
    return Node(operator, arrays, {**attributes, "direction": direction})


@pytest.mark.parametrize("lengths", [None, (4, 6, 1, 3)], ids=["whole", "ragged"])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_the_node_of_onnx_runtime(kind, direction, lengths):
    node = random_node(kind, direction, seed=len(kind))
    if lengths is not None:
        node.arrays["sequence_lens"] = np.array(lengths, np.int32)
    model = node.model()
    session = onnxruntime.InferenceSession(model.SerializeToString())
    expected = session.run(None, node.arrays)

    states = [node.arrays[k] for k in ("initial_h", "initial_c") if k in node.arrays]
    with torch.no_grad():
        y, state = node.layer()(
            torch.from_numpy(node.arrays["X"]),
            tuple(torch.from_numpy(s) for s in states),
            lengths=lengths,
        )
    # ONNX: (time, direction, batch, hidden)
    y = y.unflatten(-1, (node.directions, HIDDEN)).transpose(1, 2)
    for ours, theirs in zip([y, *state], expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5, atol=1e-6)


def cases():
    """ONNX's own examples of recurrent nodes, computed by its NumPy loops when collected."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of casts in other operators' examples
        from onnx.backend.test.case.node import collect_testcases

        every = collect_testcases()
    return {
        case.name: case
        for case in every
        if len(case.model.graph.node) == 1 and case.model.graph.node[0].op_type in GATES
    }


@pytest.mark.thorough
def test_the_eighteen_examples_of_onnx_come_out():
    found = cases()
    assert len(found) == 18
    for case in found.values():
        check_example(case)


def check_example(case):
    proto = case.model.graph.node[0]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
    inputs, outputs = case.data_sets[0]
    arrays = dict(zip([name for name in proto.input if name], inputs, strict=True))
    direction = attributes.get("direction", b"forward").decode()
    node = Node(proto.op_type, arrays, {**attributes, "direction": direction})
    x = torch.from_numpy(arrays["X"])
    states = [torch.from_numpy(arrays[k]) for k in ("initial_h", "initial_c") if k in arrays]
    lengths = arrays.get("sequence_lens")
    lengths = None if lengths is None else torch.from_numpy(lengths).long()
    batchwise = attributes.get("layout", 0) == 1
    if batchwise:
        x = x.transpose(0, 1)
        states = [s.transpose(0, 1) for s in states]
    if direction == "reverse":
        assert lengths is None
        x = x.flip(0)
    with torch.no_grad():
        y, last = node.layer()(x, tuple(states) or None, lengths=lengths)
    if direction == "reverse":
        y = y.flip(0)
    y = y.unflatten(-1, (node.directions, node.hidden)).transpose(1, 2)
    if batchwise:
        y, last = y.permute(2, 0, 1, 3), [s.transpose(0, 1) for s in last]
    ours = dict(zip(("Y", "Y_h", "Y_c"), [y, *last], strict=False))
    for name, theirs in zip([name for name in proto.output if name], outputs, strict=True):
        np.testing.assert_allclose(
            ours[name].numpy(), theirs, rtol=1e-4, atol=1e-5, err_msg=f"{case.name} {name}"
        )
