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
from elman.cells import CATALOGUE
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


def make_layer(cell, input_size=3, hidden_size=8, num_layers=1, scale=1.0):
    torch.manual_seed(0)
    layer = elman.Recurrent(cell, input_size, hidden_size, num_layers)
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


OWN = {"hostile": hostile, "sigmoid_only": sigmoid_only}


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
@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize(("sizes", "quantize"), [((1, 8, 1), None), ((3, 20, 2), "int8")])
def test_every_cell_of_the_catalogue_is_exported_within_the_bound(name, sizes, quantize, tmp_path):
    layer = make_layer(CATALOGUE[name], *sizes)
    done = elman.export.c(layer, tmp_path / "model.c", quantize=quantize)
    assert done.difference is not None
    assert done.difference <= 1e-5
    assert {path.name for path in tmp_path.iterdir()} == {"model.c", "model.h"}


@needs_gcc
@pytest.mark.parametrize(
    "name", ["rnn", "lstm", "gru", "gru_reset_after", "slstm", "rhn", "lru", "lem"]
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


@needs_gcc
def test_the_values_are_those_of_step(tmp_path):
    layer = make_layer(elman.cells.gru, 2, 9)
    program = Program("model", stepwise(layer), quantized=False)
    x, state = torch.randn(50, 1, 2), (torch.randn(1, 1, 9),)
    ours = check.run(check.build(program, tmp_path, "gcc"), program, x, state)
    with torch.no_grad():
        for k in range(50):
            y, state = layer.step(x[k], state)
            assert torch.allclose(ours[k], y, atol=1e-5)


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


@pytest.mark.thorough
@needs_gcc
@settings(quick, max_examples=10)
@given(
    name=st.sampled_from(sorted(CATALOGUE)),
    sizes=st.tuples(st.integers(1, 40), st.integers(1, 70), st.integers(1, 3)),
    outputs=st.integers(0, 70),
    quantized=st.booleans(),
)
def test_sanitisers_find_nothing_in_any_shape(name, sizes, outputs, quantized, tmp_path_factory):
    model = stepwise(elman.Recurrent(CATALOGUE[name], *sizes))
    if outputs:
        output = linear(nn.Linear(sizes[1], outputs))
        model = Stepwise(model.layers, None, output, True)
    program = Program("model", model, quantized=quantized)
    flags = ("-std=c99", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    binary = check.build(program, tmp_path_factory.mktemp("model"), "gcc", *flags)
    x, state = check.random_inputs(model, 2, 3)
    values = check.run(binary, program, x, state)
    assert torch.isfinite(values).all()


@pytest.mark.parametrize(
    ("compiler", "quantized"),
    # whole numbers are the same few lines in any cell
    [*[(compiler, False) for compiler in COMPILERS], ("clang", True), ("arm", True)],
)
@pytest.mark.parametrize("name", [*CATALOGUE, *OWN])
def test_every_compiler_takes_it_without_a_warning(name, quantized, compiler, tmp_path):
    layer = make_layer({**CATALOGUE, **OWN}[name], 3, 20, 2)
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
