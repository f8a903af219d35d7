"""Layers with side inputs or a matrix state as torch programs, beside the layers."""

import subprocess
import sys

import pytest
import torch

import elman
from elman.export.check import largest_difference
from export.test_onnx_side_inputs import BATCH, CELLS, INPUT, LENGTHS, TIME, layer_of, sides_of
from export.test_torch_programs import LOAD, PACK, PACKED, needs_a_compiler, operators, run_alone

#: those whose programs are compared: to write one takes torch seconds, and files of ONNX hold the
#: same equations of all of them
WRITTEN = ("gru_d", "mlstm", "rwkv_6", "everything_beside", "matrix_and_inputs")


def program_of(layer, path, **options):
    done = elman.export.torch_program(layer, path, **options)
    assert done.difference < 1e-5
    assert not [name for name in operators(path) if "elman" in name]
    return torch.export.load(path).module()


def check(found, wanted):
    found, wanted = [
        {str(k): tensor.detach().numpy() for k, tensor in enumerate(tensors)}
        for tensors in (found, wanted)
    ]
    assert largest_difference(found, wanted) < 1e-5


def ragged(layer):
    """The arguments of a program for a ragged batch, and what the layer returns."""
    order = (BATCH, TIME) if layer.batch_first else (TIME, BATCH)
    x, inputs, lengths = torch.randn(*order, INPUT), sides_of(layer, *order), torch.tensor(LENGTHS)
    with torch.no_grad():
        _, state = layer(torch.randn(*order, INPUT), **sides_of(layer, *order))
        y, last = layer(x, state, lengths=lengths, **inputs)
    return [x, lengths, *state, *inputs.values()], [y, *last]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cfc", {}),
        pytest.param(
            "delta_net", {"bidirectional": True, "batch_first": True}, marks=pytest.mark.thorough
        ),
        *[
            pytest.param(
                name,
                {"bidirectional": True, "num_layers": 2},
                marks=[] if name == "gru_d" else pytest.mark.thorough,
            )
            for name in WRITTEN
        ],
    ],
)
def test_whole_sequences_are_those_of_the_layer(name, options, tmp_path):
    layer = layer_of(CELLS[name], **options)
    program = program_of(layer, tmp_path / "a.pt2")
    assert "scan" in operators(tmp_path / "a.pt2")
    inputs, expected = ragged(layer)
    check(program(*inputs), expected)


@pytest.mark.parametrize(
    "name", ["mamba", *[pytest.param(name, marks=pytest.mark.thorough) for name in ("gru_d", "mlstm")]]
)  # fmt: skip
def test_steps_from_the_state_that_the_last_one_left_are_those_of_the_layer(name, tmp_path):
    layer = layer_of(CELLS[name], num_layers=2)
    step = program_of(layer, tmp_path / "a.pt2", step=True)
    assert "scan" not in operators(tmp_path / "a.pt2")
    x, inputs = torch.randn(TIME, BATCH, INPUT), sides_of(layer, TIME, BATCH)
    state = [torch.zeros(layer.stack.state_shape(n, BATCH)) for n in layer.cell.states]
    outputs = []
    for t in range(TIME):
        y, *state = step(x[t], *state, *[side[t] for side in inputs.values()])
        outputs.append(y)
    y, last = layer(x, **inputs)
    check([torch.stack(outputs), *state], [y, *last])


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.timeout(600)
@needs_a_compiler
@pytest.mark.parametrize(("name", "packed"), [("gru_d", True), ("mlstm", False)])
def test_a_program_runs_without_elman_compiled_or_not(name, packed, tmp_path):
    layer = layer_of(CELLS[name], bidirectional=True)
    program_of(layer, tmp_path / "a.pt2")
    inputs, expected = ragged(layer)
    run_alone(tmp_path, LOAD.format(name="a.pt2"), inputs, expected)
    if not packed:
        return
    subprocess.run([sys.executable, "-W", "ignore", "-c", PACK], cwd=tmp_path, check=True)
    run_alone(tmp_path, PACKED.format(name="packed.pt2"), inputs, expected)
