"""Torch programs compute what Elman does, in a process that has no Elman."""

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, reject, settings

import elman
from elman.cells import CATALOGUE
from elman.errors import ExportError, OptionError
from elman.export.forms import draw_inputs, form_in_float32, forms_of
from graph.random_cells import random_cells
from thorough import few

#: a cell of each kind: several states, functions, biases and depths of products
KINDS = (
    "rnn",
    "lstm",
    "gru_reset_after",
    "peephole_lstm",
    "layer_norm_lstm",
    "slstm",
    "rhn",
    "lru",
)

#: runs a program on stored inputs where Elman cannot be imported
ALONE = """
import sys
sys.modules["elman"] = None  # importing it is an error
import torch
inputs, expected = torch.load("values.pt")
program = {load}
found = program(*inputs)
torch.testing.assert_close(list(found), expected, rtol=1e-5, atol=1e-5)
assert not [name for name in sys.modules if name.startswith("elman.")]
"""
LOAD = 'torch.export.load("{name}").module()'
#: compiles a.pt2 to packed.pt2, in a short time
PACK = """
import torch
torch._inductor.config.aot_inductor.precompile_headers = False
torch._inductor.config.aot_inductor.compile_wrapper_opt_level = "O0"
torch._inductor.aoti_compile_and_package(torch.export.load("a.pt2"), package_path="packed.pt2")
"""
PACKED = 'torch._inductor.aoti_load_package("{name}")'

needs_a_compiler = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None,
    reason="inductor needs a C++ compiler",
)


def run_alone(folder, load, inputs, expected):
    """Run a program in a fresh process without Elman."""
    torch.save(([*inputs], [*expected]), folder / "values.pt")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ALONE.format(load=load)],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def operators(path):
    """The names of all operators in a file, those inside loops too."""
    program = torch.export.load(path)
    modules = [m for m in program.graph_module.modules() if isinstance(m, torch.fx.GraphModule)]
    return {
        str(node.target) for m in modules for node in m.graph.nodes if node.op == "call_function"
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", few(KINDS, keep=lambda name: name in {"gru_reset_after", "slstm"}))
def test_a_layer_is_written_in_torch_s_operators(name, tmp_path):
    torch.manual_seed(0)
    layer = elman.Recurrent(CATALOGUE[name], 3, 5, bidirectional=True)
    done = elman.export.torch_program(layer, tmp_path / "layer.pt2")
    assert done.difference < 1e-5
    found = operators(tmp_path / "layer.pt2")
    assert "scan" in found
    assert not [name for name in found if "elman" in name]
    assert b"elman/nn" not in (tmp_path / "layer.pt2").read_bytes()


@pytest.mark.slow
def test_a_program_runs_without_elman_at_any_size(tmp_path):
    torch.manual_seed(0)
    layer = elman.Recurrent(elman.cells.lstm, 3, 5, 2, bidirectional=True, batch_first=True)
    elman.export.torch_program(layer, tmp_path / "a.pt2")
    x, lengths = torch.randn(6, 40, 3), torch.tensor([40, 0, 1, 7, 40, 39])
    state = tuple([torch.randn(4, 6, 5) for _ in "hc"])
    y, last = layer(x, state, lengths=lengths)
    load = LOAD.format(name="a.pt2")
    run_alone(tmp_path, load, [x, lengths, *state], [y.detach(), *[s.detach() for s in last]])


@pytest.mark.parametrize(
    "layer",
    [
        elman.Recurrent(elman.cells.gru, 3, 5, 2),
        elman.Recurrent(elman.cells.layer_norm_lstm, 3, 5, batch_first=True),
        elman.nn.LSTM(3, 5, 2),
        elman.nn.GRU(3, 5, bias=False),
        elman.Recurrent(elman.cells.lstm, 3, 5, zoneout=0.3).double(),
    ],
    ids=str,
)
def test_steps_go_on_from_the_state_that_came_out(layer, tmp_path):
    torch.manual_seed(0)
    done = elman.export.torch_program(layer, tmp_path / "step.pt2", step=True)
    assert done.difference < 1e-5
    assert "scan" not in operators(tmp_path / "step.pt2")
    program = torch.export.load(tmp_path / "step.pt2").module()
    layers = elman.export.layers.layers_of(layer)
    x = torch.randn(6, 4, 3)
    expected, last = layers.on_reference_engine(x)
    state = [torch.zeros(layers.stack.num_layers, 4, 5) for _ in layers.cell.states]
    outputs = []
    for x_t in x:
        y, *state = program(x_t, *state)
        outputs.append(y)
    torch.testing.assert_close(torch.stack(outputs), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(tuple(state), last, rtol=1e-5, atol=1e-5)


@pytest.mark.thorough
@pytest.mark.slow
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(cell=random_cells())
def test_random_cells_are_written_out(cell, tmp_path):
    layer = elman.Recurrent(cell, 2, 3)
    for step in (False, True):
        try:
            done = elman.export.torch_program(layer, tmp_path / "cell.pt2", step=step)
        except ExportError as error:  # a chaotic cell, or one without finite values
            if "its values" not in str(error):
                raise
            reject()
        assert done.difference <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["music", *[pytest.param(n, marks=pytest.mark.thorough) for n in ("ner", "speech", "dna")]],
)
def test_a_shipped_model_runs_without_elman(name, command, tmp_path):
    status, out, err = command("export", name, "--to", "torch", "--out", tmp_path, "--json")
    assert status == 0, err
    assert json.loads(out)["difference"] < 1e-5
    model = elman.load(name).model
    form = form_in_float32(model, "sequence", step=False)
    inputs = draw_inputs(form, 2)
    with torch.no_grad():
        expected = [value.detach() for value in form.module(*inputs)]
    run_alone(tmp_path, LOAD.format(name=f"{name}.pt2"), inputs, expected)
    files = [each.name for each in forms_of(model)]
    assert len(list(tmp_path.glob("*.pt2"))) == len(files)
    extra = {"elman.json": ""}
    torch.export.load(tmp_path / f"{name}.pt2", extra_files=extra)
    said = json.loads(extra["elman.json"])
    assert (said["elman.task"], said["elman.form"]) == (name, "sequence")
    assert said["elman.inputs"].split(", ") == [*form.inputs]


@pytest.mark.slow
def test_a_translator_s_two_programs_translate(command, tmp_path):
    assert command("export", "translation", "--to", "torch", "--out", tmp_path)[0] == 0
    assert sorted([p.name for p in tmp_path.iterdir()]) == [
        "translation.decode.pt2",
        "translation.encode.pt2",
    ]


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.timeout(600)
@needs_a_compiler
def test_aot_inductor_compiles_a_program_that_then_runs_without_elman(tmp_path):
    torch.manual_seed(0)
    layer = elman.Recurrent(elman.cells.peephole_lstm, 3, 5)
    elman.export.torch_program(layer, tmp_path / "a.pt2")
    subprocess.run([sys.executable, "-W", "ignore", "-c", PACK], cwd=tmp_path, check=True)
    for time, batch in ((12, 4), (1, 1)):
        x, lengths = torch.randn(time, batch, 3), torch.randint(0, time + 1, (batch,))
        state = tuple([torch.randn(1, batch, 5) for _ in "hc"])
        y, last = layer(x, state, lengths=lengths)
        expected = [y.detach(), *[s.detach() for s in last]]
        load = PACKED.format(name="packed.pt2")
        run_alone(tmp_path, load, [x, lengths, *state], expected)


@pytest.mark.parametrize(
    ("layer", "arguments", "kind", "sentence"),
    [
        (elman.nn.GRU(3, 4), {"path": "gru.onnx"}, OptionError, "gru.onnx; give one that ends in"),
        (elman.nn.GRU(3, 4), {"form": "encode"}, OptionError, "a layer has none; use step=True"),
        (elman.nn.GRU(3, 4, bidirectional=True), {"step": True}, OptionError, "has no step"),
        (torch.nn.Linear(3, 4), {}, ExportError, "Linear is not a recurrent layer of Elman"),
    ],
)
def test_what_cannot_be_exported_is_a_sentence(layer, arguments, kind, sentence, tmp_path):
    arguments = {"path": "gru.pt2", **arguments}
    arguments["path"] = tmp_path / arguments["path"]
    with pytest.raises(kind, match=sentence):
        elman.export.torch_program(layer, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_computes_something_else_is_not_written(tmp_path, monkeypatch):
    from elman.export.torch_format import exporter

    def wrong(x, states, *others):
        return [torch.zeros(*x.shape[:2], states[0].shape[-1]), *[s.clone() for s in states]]

    monkeypatch.setattr(exporter, "written_out", wrong)
    with pytest.raises(ExportError, match=r"gru\.pt2: not written, since over random inputs"):
        elman.export.torch_program(elman.nn.GRU(3, 4), tmp_path / "gru.pt2")
    assert list(tmp_path.iterdir()) == []


def test_options_of_other_targets_are_a_sentence(command, tmp_path):
    for option in (("--quantize", "int8"), ("--opset", "18")):
        status, _, said = command(
            "export", "sentiment", "--to", "torch", "--out", tmp_path / "d", *option
        )
        assert (status, "torch programs are in float32" in said) == (1, True)
    assert not (tmp_path / "d").exists()


# torch's older exporters


LAYERS = {
    "Recurrent": lambda: elman.Recurrent(elman.cells.gru, 3, 4),
    "LSTM": lambda: elman.nn.LSTM(3, 4),
    "GRU": lambda: torch.nn.Sequential(torch.nn.Linear(3, 3), elman.nn.GRU(3, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_scripting_says_what_to_use(name):
    with pytest.raises(ExportError, match=rf"^{name}: torch\.jit\.script .*torch_program"):
        torch.jit.script(LAYERS[name]())


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_tracing_says_what_to_use_elsewhere(name):
    layer = LAYERS[name]()
    with torch.no_grad(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")  # as an error, one of torch's own would end its check
        torch.jit.trace(layer, torch.randn(5, 2, 3), check_trace=False)
    assert any(["elman.export.torch_program" in str(each.message) for each in said])


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_torch_s_own_onnx_exporter_leads_to_elman_s(name):
    with pytest.raises(ExportError, match=r"use elman\.export\.onnx\(model, path\)"):
        torch.onnx.export(LAYERS[name](), (torch.randn(5, 2, 3),), "none.onnx", dynamo=False)
    assert not Path("none.onnx").exists()


def test_the_newer_onnx_exporter_ends_with_the_same_sentence(tmp_path):
    pytest.importorskip("onnxscript", reason="torch.onnx.export needs onnxscript")
    with pytest.raises(Exception, match=r"use elman\.export\.onnx\(model, path\)"):
        torch.onnx.export(LAYERS["Recurrent"](), (torch.randn(5, 2, 3),), tmp_path / "none.onnx")
