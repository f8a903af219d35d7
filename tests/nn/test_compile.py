"""torch.compile, AOTInductor and torch.jit.trace on layers that never ran eagerly in the process.

Each program runs in a process of its own: what an earlier run leaves in caches must not be needed.
"""

import shutil
import subprocess
import sys

import pytest

from thorough import few

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

COMPILER = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None,
    reason="inductor needs a C++ compiler",
)

BEGIN = """
import torch, elman
torch.manual_seed(0)
x = torch.randn(5, 2, 3)

def compare(layer, made):
    ours, theirs = made(x), layer(x)
    torch.testing.assert_close(ours[0], theirs[0], atol=1e-6, rtol=1e-5)
    if ours[0].requires_grad:
        parameters = list(layer.parameters())
        ours, theirs = [
            torch.autograd.grad(y.square().sum(), parameters) for y in (ours[0], theirs[0])
        ]
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
"""

#: headers that are compiled beforehand pay for many programs, not for one
QUICKLY = """
import torch._inductor.config as config
config.cpp_cache_precompile_headers = config.aot_inductor.precompile_headers = False
config.aot_inductor.compile_wrapper_opt_level = "O0"
"""

LAYERS = {
    "RNN": "elman.nn.RNN(3, 4, 2, nonlinearity='relu', bidirectional=True)",
    "GRU": "elman.nn.GRU(3, 4, 2, bias=False)",
    "LSTM": "elman.nn.LSTM(3, 4, 2, bidirectional=True)",
    "projected LSTM": "elman.nn.LSTM(3, 4, 2, proj_size=2)",
    "inside a model": "torch.nn.Sequential(torch.nn.Linear(3, 3), elman.nn.LSTM(3, 4))",
    "any cell": "elman.Recurrent(elman.cells.peephole_lstm, 3, 4, 2, bidirectional=True)",
    "without bias": "elman.Recurrent(elman.cells.gru, 3, 4, bias=False)",
    "noisy cell": "elman.Recurrent(elman.cells.gru, 3, 4, zoneout=0.5).eval()",
}


def run(program, folder):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BEGIN + program],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def compiled(layer, backend):
    return f"layer = {layer}\ncompare(layer, torch.compile(layer, fullgraph=True, backend='{backend}'))"


#: a layer with a name of torch, inside a model, and one of any cell, with noise
FIRST = ["inside a model", "noisy cell"]


@pytest.mark.parametrize("names", few([FIRST, sorted(LAYERS.keys() - FIRST)], keep=FIRST.__eq__))
def test_a_layer_is_one_graph_before_its_first_run(names, tmp_path):
    run("\n".join([compiled(LAYERS[name], "aot_eager") for name in names]), tmp_path)


@pytest.mark.thorough
@COMPILER
def test_inductor_compiles_a_layer_before_its_first_run(tmp_path):
    run(QUICKLY + compiled(LAYERS["any cell"], "inductor"), tmp_path)


@pytest.mark.thorough
def test_lengths_and_batches_may_vary_in_one_program(tmp_path):
    """With ``dynamic=True``, torch makes symbols of all sizes, and of rates of noise."""
    run(
        """
for options in ({}, {"dropout": 0.5, "zoneout": 0.1, "activation_penalty": 0.1}):
    layer = elman.Recurrent(elman.cells.lstm, 3, 4, 2, **options)
    made = torch.compile(layer, dynamic=True, fullgraph=not options, backend="eager")
    for time, batch in ((5, 2), (7, 3), (4, 1)):
        x = torch.randn(time, batch, 3)
        assert made(x)[0].shape == (time, batch, 4)
        made.eval(), layer.eval()
        compare_to = layer(x)[0]
        torch.testing.assert_close(made(x)[0], compare_to)
        made.train()
        """,
        tmp_path,
    )


@pytest.mark.thorough
@COMPILER
def test_aot_inductor_packs_a_layer(tmp_path):
    program = f"""
{QUICKLY}
layer = {LAYERS["LSTM"]}.eval()
with torch.no_grad():
    program = torch.export.export(layer, (x,))
    file = torch._inductor.aoti_compile_and_package(program, package_path="layer.pt2")
    compare(layer, torch._inductor.aoti_load_package(file))
"""
    run(program, tmp_path)


def test_a_traced_layer_computes_from_its_input(tmp_path):
    program = f"""
layer = {LAYERS["LSTM"]}.eval()
with torch.no_grad():
    made = torch.jit.trace(layer, torch.randn(5, 2, 3))
    compare(layer, made)
"""
    run(program, tmp_path)
