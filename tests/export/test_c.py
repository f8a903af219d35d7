"""The C that Elman writes, compiled by every compiler at hand and run beside the reference."""

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import elman
from elman import head_sum, heads, layer_norm, outer, sigmoid, tanh, where
from elman.cells import ALL, CATALOGUE
from elman.errors import ExportError, OptionError
from elman.export.c_source import check, text
from elman.export.c_source.program import Program, prefix_of
from elman.export.stepwise import Stepwise, linear, stepwise
from elman.models.classifier import Classifier
from elman.models.generator import Generator
from elman.models.tagger import Tagger, WordFeatures
from elman.models.transcriber import Transcriber
from elman.nn.embedding import WordEmbedding
from elman.nn.predictions import IndependentPitches, NextToken, OrderedPitches
from graph.random_cells import quick, random_cells
from graph.random_memory_cells import random_memory_cell
from thorough import few

STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wconversion", "-O2")
CORTEX = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
#: compilers and what each is told; a missing one is skipped with its name
COMPILERS = {
    "gcc": ("gcc", "-std=c99"),
    "clang": ("clang", "-std=c99"),
    "g++": ("g++", "-x", "c++", "-std=c++11"),
    "clang++": ("clang++", "-x", "c++", "-std=c++11"),
    "arm": ("arm-none-eabi-gcc", "-std=c99", *CORTEX),
}

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


def options_of(cell, heads=2):
    """What a layer needs besides the usual sizes."""
    options = {"sizes": {name: 4 + k for k, name in enumerate(cell.own_sizes)}}
    return options | ({"heads": heads, "key_size": 5} if cell.has_memory else {})


def most_layers(cell, count):
    """A vector of x's size, or such an input, allows one layer."""
    wide = [p for p in cell.parameters if p.kind == "vector" and p.size == "input"]
    return 1 if wide or "input" in dict(cell.inputs).values() else count


def make_layer(cell, input_size=3, hidden_size=8, num_layers=1, scale=1.0, **options):
    torch.manual_seed(0)
    layer = elman.Recurrent(
        cell,
        input_size,
        hidden_size,
        most_layers(cell, num_layers),
        **options_of(cell),
        **options,
    )
    with torch.no_grad():
        for p in layer.parameters():
            p.mul_(scale).add_(0.2 * scale * torch.randn_like(p))
    return layer


@elman.cell
def hostile(int_, double, new, *, tanh, λ, register):
    """Names that C, C++ and math.h have already, and letters that they do not."""
    sum = elman.sigmoid(tanh.value @ [double, int_] + λ.value + register.sum)
    u = elman.tanh(tanh.new @ [sum * new, int_])
    u = elman.where(sum > new, u, double)
    ünïcode = elman.maximum(u, λ.short)
    class_ = ünïcode * sum + new / 2
    return class_ + double * 0.5, ünïcode - sum


@elman.cell
def sigmoid_only(x, h, *, W, b):
    """Of the activations, one that is computed without the others."""
    return elman.sigmoid(W.a @ [h, x] + b.a)


@elman.cell(
    inputs={"dt": "one", "step": "hidden", "int": "input"},
    sizes={"w.x": "input", "b.t": 1, "W.t": 1, "V.s": 1},
)
def everything_beside(x, y, c, dt, step, int, *, W, V, R, b, w):
    """Side inputs of every size, values of size one, a vector of x's size, a computed matrix."""
    seen = w.x * x * tanh(dt) + int
    rate = sigmoid(W.t @ [seen, int, y] + b.t + V.s @ seen)
    kept = where(dt > 0.5, y, 0.5 * y + step * rate)
    c = sigmoid(W.f @ [kept, seen] + b.f) * c + tanh(W.g @ [y, step, x]) + heads(R.h, 2) @ y
    return where(step > 0.5, c, tanh(c) + 0.1 * layer_norm(step) + 0 * layer_norm(dt)), c


@elman.cell(
    inputs={"u": "context", "wide": 9},
    sizes={"s": "context", "r": "context", "W.s": "context", "b.s": "context", "q": 3, "W.q": 3},
)
def own_sizes_everywhere(x, s, h, r, q, u, wide, *, W, b):
    """Values of several sizes that whole products, means and later loops read."""
    q = tanh(W.q @ [s, h, q])
    new = layer_norm(W.s @ [q, x, wide, s] + b.s) * u
    h = sigmoid(W.h @ [s, q, r, h]) * h + tanh(W.x @ [new, x])
    return new + 0.5 * s, h, s, q


@elman.cell(
    inputs={"dt": "one", "u": "hidden"},
    sizes={"S": "memory", "R": "memory", "W.k": "key", "V.k": "key", "p.d": "head", "n": "key",
           "m": "head", "p.a": "memory"},
)  # fmt: skip
def matrix_and_inputs(x, y, S, R, n, m, dt, u, *, W, V, A, p):
    """Two matrix states, one of which becomes the other, sums, and computed matrices."""
    k = V.k @ [tanh(W.a @ x), u]
    mixed = sigmoid(p.d) * S + 0.1 * R
    out = mixed @ (W.k @ x) + tanh(mixed + R) @ tanh(k)
    S = mixed + sigmoid(p.a) * outer(tanh(heads(A.v, 2) @ u + dt * (W.v @ x)), tanh(k))
    n = where(dt > 0.5, n + k, k)
    return tanh(out + S @ n) + m, S, mixed, n, tanh(head_sum(n * k)) + head_sum(u) * 0.1


@elman.cell
def twice(x, h, *, W, b):
    """A matrix that meets one vector twice: the sum of two weights in int8 has 9 bits."""
    return tanh(W.f @ [h, h, x] + b.f)


OWN = {
    cell.name: cell
    for cell in (
        hostile,
        sigmoid_only,
        everything_beside,
        own_sizes_everywhere,
        matrix_and_inputs,
        twice,
    )
}
EVERY = {**ALL, **OWN}
#: of the catalogue, an ordinary cell, one with products in turn and one with a matrix state
FIRST = {"lstm", "rhn", "delta_net"}


def write_and_compile(folder: Path, stem: str, model, compiler: str, quantized: bool = False):
    program = Program(stem, stepwise(model), quantized=quantized)
    (folder / f"{stem}.h").write_text(program.header, encoding="utf-8")
    source = folder / f"{stem}.c"
    source.write_text(program.source, encoding="utf-8")
    name, *flags = COMPILERS[compiler]
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run(
        [name, *flags, *STRICT, "-c", source, "-o", folder / "out.o"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return program


@needs_gcc
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(("sizes", "quantize"), [((1, 8, 1), None), ((3, 20, 2), "int8")])
def test_every_cell_is_exported_within_the_bound(name, sizes, quantize, tmp_path):
    layer = make_layer(EVERY[name], *sizes)
    done = elman.export.c(layer, tmp_path / "model.c", quantize=quantize)
    assert done.difference is not None
    # float32 itself rounds as much where large products of a matrix state cancel
    assert done.difference <= (1e-3 if layer.cell.has_memory else 1e-5)
    assert {path.name for path in tmp_path.iterdir()} == {"model.c", "model.h"}


@needs_gcc
@pytest.mark.parametrize(
    "name",
    few(
        ["rnn", "lstm", "gru", "gru_reset_after", "slstm", "rhn", "lru", "lem"],
        keep=lambda name: name in {"lstm", "slstm"},
    ),
)
def test_ten_thousand_steps_stay_with_the_reference(name, tmp_path):
    layer = make_layer(CATALOGUE[name], 2, 12, 2, scale=0.5)
    model = stepwise(layer)
    program = Program("model", model, quantized=False)
    binary = check.build(program, tmp_path, "gcc")
    x = torch.randn(10_000, 1, 2)
    state = tuple([torch.zeros(2, 1, 12) for _ in layer.cell.states])
    ours = check.run(binary, program, x, state)
    assert torch.allclose(ours, model.on_reference_engine(x, state), atol=1e-5, rtol=0)


def draw(layer, steps, rows=1):
    """Inputs, and side inputs by name."""
    sizes = layer.stack.sizes(layer.input_size)
    sides = {n: torch.rand(steps, rows, sizes.width((s,))) for n, s in layer.cell.inputs}
    return torch.randn(steps, rows, layer.input_size), sides


@needs_gcc
@pytest.mark.parametrize("name", few(EVERY, keep=lambda name: name in {*FIRST, *OWN}))
def test_the_values_are_those_of_the_layer_and_of_its_steps(name, tmp_path):
    layer = make_layer(EVERY[name], 2, 10, 2, scale=0.7).eval()
    program = Program("model", stepwise(layer), quantized=False)
    binary = check.build(program, tmp_path, "gcc")
    with torch.no_grad():
        x, sides = draw(layer, 5)
        _, state = layer(x, **sides)
        x, sides = draw(layer, 20)
        ours = check.run(binary, program, x, state, sides)
        expected, _ = layer(x, state, **sides)
        scale = expected.abs().max().clamp_min(1)
        assert torch.allclose(ours / scale, expected / scale, atol=2e-5, rtol=0)
        for k in range(20):
            y, state = layer.step(x[k], state, **{n: side[k] for n, side in sides.items()})
            assert torch.allclose(ours[k] / scale, y / scale, atol=2e-5, rtol=0)


@needs_gcc
@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("name", ["mlstm", "delta_net", "mamba", "rwkv_6"])
def test_any_number_of_heads_is_exported(name, heads, tmp_path):
    torch.manual_seed(0)
    options = {"heads": heads, "key_size": 16, "learned_state": True, "norm": True}
    layer = elman.Recurrent(ALL[name], 3, 12, 2, residual=True, **options)
    with torch.no_grad():
        for state in layer.initial_state:
            state.copy_(0.1 + 0.3 * torch.rand_like(state))
    done = elman.export.c(layer, tmp_path / "model.c")
    assert done.difference <= 1e-3


@needs_gcc
@pytest.mark.parametrize("name", ["lstmp", "own_sizes_everywhere"])
def test_learned_states_of_their_own_sizes_begin_a_stream(name, tmp_path):
    layer = make_layer(EVERY[name], learned_state=True)
    with torch.no_grad():
        for state in layer.initial_state:
            state.copy_(torch.randn_like(state))
    assert elman.export.c(layer, tmp_path / "model.c").difference <= 1e-5


@needs_gcc
def test_a_linear_layer_reads_an_output_of_its_own_size(tmp_path):
    layer = make_layer(elman.cells.lstmp)
    done = elman.export.c(layer, tmp_path / "model.c", output=nn.Linear(4, 2))
    assert done.difference <= 1e-5
    with pytest.raises(OptionError, match=r"output reads 8 numbers, but the layer gives 4"):
        elman.export.c(layer, tmp_path / "model.c", output=nn.Linear(8, 2))


def test_a_header_says_the_shapes_of_inputs_and_states():
    header = Program("model", stepwise(make_layer(matrix_and_inputs)), quantized=False).header
    assert "8 units, 2 heads of 5 keys" in header
    assert "float s_S[40]; /* S: [head][key][unit], 2 x 5 x 4 */" in header
    assert "float s_n[10]; /* n: [head][key], 2 x 5 */" in header
    assert "float s_m[2]; /* m: [head], 2 */" in header
    assert "reads 3 numbers of input, 1 of in_dt, 8 of in_u, writes 8" in header
    assert (
        "void model_step(model_state *state, const float *input, const float *in_dt, "
        "const float *in_u, float *output);"
    ) in header
    header = Program("model", stepwise(make_layer(elman.cells.lstmp)), quantized=False).header
    assert "8 units, projection 4" in header
    assert "#define MODEL_OUTPUT_SIZE 4" in header
    assert "float s_h[4]; /* h: the first 4 of them */" in header


@needs_gcc
@pytest.mark.parametrize(
    "stem", few(["m", "v", "a", "in", "own", "s"], keep=lambda stem: stem in {"v", "in"})
)
def test_no_file_has_a_name_that_hides_its_functions(stem, tmp_path):
    for name in ("layer_norm_lstm", "cfc", "mlstm"):
        assert elman.export.c(make_layer(ALL[name]), tmp_path / f"{stem}.c").difference <= 1e-3


@needs_gcc
@quick
@given(
    cell=random_cells(),
    sizes=st.tuples(st.integers(1, 5), st.integers(2, 20), st.integers(1, 2)),
    quantize=st.sampled_from([None, "int8"]),
)
def test_random_cells_are_exported_within_the_bound(cell, sizes, quantize, tmp_path_factory):
    layer = elman.Recurrent(cell, *sizes)
    folder = tmp_path_factory.mktemp("random")
    done = elman.export.c(layer, folder / "model.c", quantize=quantize, steps=64)
    assert (folder / "model.c").exists()
    assert done.difference is None or done.difference < 1e-3


@needs_gcc
@quick
@given(cell=random_cells(sides=True), quantize=st.sampled_from([None, "int8"]))
def test_random_cells_with_side_inputs_are_exported(cell, quantize, tmp_path_factory):
    layer = elman.Recurrent(cell, 3, 6)
    folder = tmp_path_factory.mktemp("random")
    done = elman.export.c(layer, folder / "model.c", quantize=quantize, steps=64)
    assert done.difference is None or done.difference < 1e-3


@needs_gcc
@pytest.mark.parametrize("seed", few(range(40), keep=lambda seed: seed < 12))
def test_random_cells_with_a_matrix_state_are_exported(seed, tmp_path):
    layer = make_layer(random_memory_cell(seed)[1], 3, 6, 1 + seed % 2, scale=0.5)
    quantize = "int8" if seed % 3 == 0 else None
    done = elman.export.c(layer, tmp_path / "model.c", quantize=quantize, steps=64)
    assert done.difference is None or done.difference < 1e-3


SANITISED = ("-std=c99", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@needs_gcc
@pytest.mark.parametrize(
    ("name", "quantized"),
    few(
        [*[(name, False) for name in EVERY], *[(name, True) for name in OWN]],
        keep=lambda case: case[0] in {*FIRST, *OWN},
    ),
)
def test_no_step_reads_or_writes_beyond_an_array(name, quantized, tmp_path):
    layer = make_layer(EVERY[name], 3, 6, 2)  # a multiple of 2 heads, but of no vector
    model = stepwise(layer)
    program = Program("model", model, quantized=quantized)
    binary = check.build(program, tmp_path, "gcc", *SANITISED)
    assert torch.isfinite(check.run(binary, program, *check.random_inputs(model, 2, 3))).all()


@pytest.mark.thorough
@needs_gcc
@settings(quick, max_examples=10)
@given(
    name=st.sampled_from(sorted(ALL)),
    sizes=st.tuples(st.integers(1, 40), st.integers(1, 70), st.integers(1, 3)),
    outputs=st.integers(0, 70),
    quantized=st.booleans(),
)
def test_sanitisers_find_nothing_in_any_shape(name, sizes, outputs, quantized, tmp_path_factory):
    cell, (inputs, hidden, count) = ALL[name], sizes
    heads = 2 if hidden % 2 == 0 else 1
    layers = most_layers(cell, count)
    layer = elman.Recurrent(cell, inputs, hidden, layers, **options_of(cell, heads))
    model = stepwise(layer)
    if outputs:
        output = linear(nn.Linear(layer.stack.output_size, outputs))
        model = Stepwise(model.layers, None, output, True)
    program = Program("model", model, quantized=quantized)
    binary = check.build(program, tmp_path_factory.mktemp("model"), "gcc", *SANITISED)
    values = check.run(binary, program, *check.random_inputs(model, 2, 3))
    assert torch.isfinite(values).all()


@pytest.mark.parametrize(
    ("name", "compiler", "quantized"),
    few(
        [
            (name, compiler, quantized)
            for name in EVERY
            # whole numbers are the same few lines in any cell
            for quantized, found in ((False, COMPILERS), (True, ("clang", "arm")))
            for compiler in found
        ],
        # gcc takes every cell; what else the other compilers could refuse is in these
        keep=lambda case: case[1] == "gcc" or case[0] in {"lstm", *OWN},
    ),
)
def test_every_compiler_takes_it_without_a_warning(name, compiler, quantized, tmp_path):
    layer = make_layer(EVERY[name], 3, 20, 2)
    write_and_compile(tmp_path, "model", layer, compiler, quantized)


@needs_gcc
def test_names_that_c_has_already_are_no_trouble(tmp_path):
    done = elman.export.c(make_layer(hostile), tmp_path / "int-λ.c")
    assert [path.name for path in done.files] == ["int-λ.c", "int-λ.h"]
    written = (tmp_path / "int-λ.c").read_text(encoding="utf-8")
    assert written.replace("int-λ.h", "").isascii()
    assert "int_u03bb__step(" in written


def stepwise_models():
    torch.manual_seed(0)
    lstm = elman.Recurrent(elman.cells.lstm, 6, 10, 2)
    return {
        "transcriber": Transcriber(lstm, 28),
        "tokens": Generator(nn.Embedding(30, 6), lstm, NextToken(10, 30)),
        "pitches": Generator(nn.Identity(), lstm, IndependentPitches(10, 5)),
        "classifier": Classifier(WordEmbedding(40, 6), lstm, 3, pooling="last"),
        "tagger": Tagger(WordFeatures(WordEmbedding(40, 6)), lstm, 9),
        "drop-in": elman.nn.GRU(6, 10, 2),
    }


@needs_gcc
@pytest.mark.parametrize("quantize", [None, "int8"])
@pytest.mark.parametrize("name", stepwise_models())
def test_whole_models_of_one_direction_are_exported(name, quantize, tmp_path):
    model = stepwise_models()[name]
    done = elman.export.c(model, tmp_path / "model.c", quantize=quantize)
    assert done.difference is not None
    assert done.difference <= 1e-5
    write_and_compile(tmp_path, "again", model, "gcc", quantize is not None)


@needs_gcc
def test_a_whole_model_says_what_the_model_says(tmp_path):
    model = stepwise_models()["tokens"].eval()
    program = Program("model", stepwise(model), quantized=False)
    symbols = torch.randint(30, (7, 1))
    zeros = (torch.zeros(2, 1, 10), torch.zeros(2, 1, 10))
    binary = check.build(program, tmp_path, "gcc")
    ours = check.run(binary, program, symbols, zeros)
    with torch.no_grad():
        features, _ = model(symbols)
        wanted = model.prediction.output(features).log_softmax(-1)
    assert torch.allclose(ours, wanted, atol=1e-5)
    # a symbol that is none is read as the unknown one
    outside = check.run(binary, program, torch.tensor([[-1], [30]]), zeros)
    unknown = check.run(binary, program, torch.tensor([[1], [1]]), zeros)
    assert torch.equal(outside, unknown)


@needs_gcc
def test_int8_is_close_to_the_model_and_four_times_as_small(tmp_path):
    layer = make_layer(elman.cells.lstm, 32, 64)
    programs = [Program("model", stepwise(layer), quantized=q) for q in (False, True)]
    x, state = torch.randn(20, 1, 32), (torch.zeros(1, 1, 64), torch.zeros(1, 1, 64))
    exact, small = [check.run(check.build(p, tmp_path, "gcc"), p, x, state) for p in programs]
    assert 1e-5 < float((exact - small).abs().max()) < 0.05
    assert "static const signed char model_layer_0_weights" in programs[1].source
    assert "static const float model_layer_0_weights" not in programs[1].source


@needs_gcc
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flags are those of x86")
@pytest.mark.parametrize("name", ["lstm", "gru", "gru_reset_after", "rnn"])
@pytest.mark.parametrize("flags", [(), ("-mavx2", "-mfma"), ("-march=native", "-ffast-math")])
def test_gcc_vectorises_every_sum_and_every_equation(name, flags, tmp_path):
    program = Program("model", stepwise(make_layer(CATALOGUE[name], 1, 32)), quantized=False)
    (tmp_path / "model.h").write_text(program.header)
    (tmp_path / "model.c").write_text(program.source)
    done = subprocess.run(
        ["gcc", "-std=c99", "-O3", *flags, "-fopt-info-vec-optimized", "-c", "model.c"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    vectorised = set(re.findall(r"model\.c:(\d+):\d+: optimized: loop vectorized", done.stderr))
    lines = program.source.splitlines()
    loops = {
        k for k, line in enumerate(lines, 1)
        if line.startswith("        ") and re.search(r"for \(int [ij] = 0", line)
        and "bias" not in lines[k]  # a copy, which may be a call of memcpy
    }  # fmt: skip
    assert loops
    assert loops <= {*map(int, vectorised)}


def test_nothing_but_math_is_included_and_nothing_is_allocated():
    program = Program("model", stepwise(make_layer(elman.cells.gru)), quantized=False)
    assert re.findall(r"#include (\S+)", program.source) == ['"model.h"', "<math.h>"]
    assert re.findall(r"#include (\S+)", program.header) == []
    assert not re.search(r"\b(malloc|calloc|free)\b", program.source)


def test_each_equation_is_a_comment_above_its_line():
    program = Program("model", stepwise(make_layer(elman.cells.lstm)), quantized=False)
    for line in str(elman.cells.lstm).splitlines():
        said = text.comment(line)
        assert re.search(rf"/\* {re.escape(said)} \*/\n +const float v_", program.source)


def test_the_same_layer_is_the_same_text():
    texts = [
        Program("model", stepwise(make_layer(elman.cells.layer_norm_lstm)), quantized=False).source
        for _ in range(2)
    ]
    assert texts[0] == texts[1]


@needs_gcc
def test_a_wrong_value_leaves_no_file(tmp_path, monkeypatch):
    wrong = text.HELPERS["tanh"].replace("0.00489352456f", "0.0048936f")
    monkeypatch.setitem(text.HELPERS, "tanh", wrong)
    with pytest.raises(ExportError, match=r"model\.c and model\.h: not written, since over 256"):
        elman.export.c(make_layer(elman.cells.lstm), tmp_path / "model.c")
    assert list(tmp_path.iterdir()) == []


@needs_gcc
def test_what_does_not_compile_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setitem(text.HELPERS, "tanh", "this is not C\n")
    with pytest.raises(ExportError, match=r"model\.c: cc did not compile it: .*error"):
        elman.export.c(make_layer(elman.cells.lstm), tmp_path / "model.c")
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_the_report_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = elman.export.c(make_layer(elman.cells.lstm), tmp_path / "model.c")
    c, h = tmp_path / "model.c", tmp_path / "model.h"
    assert str(done) == (
        f"wrote {c} and {h}; not checked: no C compiler (cc, gcc or clang) was found"
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda lstm: elman.Recurrent(elman.cells.lstm, 2, 3, bidirectional=True),
         "reads in both directions and must see the whole input, so it has no step"),
        (lambda lstm: Classifier(WordEmbedding(9, 6), lstm, 2, pooling="max"),
         'the pooling "max" reads the outputs of all steps'),
        (lambda lstm: Generator(nn.Identity(), lstm, OrderedPitches(10, 5, 4)),
         "draws pitches one after another"),
        (lambda lstm: Tagger(WordFeatures(WordEmbedding(9, 2), None, 5, 4), lstm, 2),
         "features are made of its characters and its shape"),
        (lambda lstm: Generator(nn.Linear(2, 6), lstm, NextToken(10, 5)),
         "read by a Linear, and only a table of vectors can be exported"),
        (lambda lstm: nn.Linear(2, 2), "Linear has no step that can be exported"),
    ],
)  # fmt: skip
def test_what_has_no_step_says_so(change, sentence, tmp_path):
    model = change(elman.Recurrent(elman.cells.lstm, 6, 10))
    with pytest.raises(ExportError, match=re.escape(sentence)):
        elman.export.c(model, tmp_path / "model.c")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "options", "sentence"),
    [
        ("model.txt", {}, r"give one that ends in \.c, such as model\.c"),
        ("math.c", {}, r"math\.h is a header of the C library, which math\.c would hide"),
        ("model.c", {"quantize": "int4"}, "quantize is 'int4'; it is \"int8\" or None"),
    ],
)
def test_an_option_that_cannot_be_is_refused(path, options, sentence, tmp_path):
    with pytest.raises(OptionError, match=sentence):
        elman.export.c(make_layer(elman.cells.lstm), tmp_path / path, **options)


def test_a_weight_that_is_no_number_is_refused(tmp_path):
    layer = make_layer(elman.cells.lstm)
    with torch.no_grad():
        layer.layers[0][0].W["f"][0, 0] = torch.nan
    with pytest.raises(ExportError, match=r"lstm: W\.f holds a number that is not finite"):
        elman.export.c(layer, tmp_path / "model.c")


@pytest.mark.parametrize("stem", ["a-b", "808", "_x", "double", "λ", "a b.c", "😀"])
def test_a_prefix_is_an_identifier_of_c(stem):
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", prefix_of(stem))
