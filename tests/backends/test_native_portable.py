"""Other processors and other systems: what runs on this machine runs here, the rest compiles."""

import platform
import re
import struct
from dataclasses import replace

import pytest
import torch

import elman
from backends.kernel_texts import programs_as_text
from backends.precision import assert_near, assert_same, draw, results, truth
from cells.variants import VARIANTS
from elman.backends.native import kernels, tuning
from elman.backends.native.llvm import jit
from elman.backends.native.llvm.target import find_target
from elman.backends.native.llvm.workers import Workers
from elman.cells import CATALOGUE
from elman.errors import OptionError
from thorough import few

CELLS = {**CATALOGUE, "exponential_gates": VARIANTS["exponential_gates"]}
on_x86 = pytest.mark.skipif(
    platform.machine() not in {"x86_64", "AMD64"}, reason="these targets are x86"
)
each_cell = pytest.mark.parametrize("name", CELLS)


@on_x86
@pytest.mark.thinned(2)
@pytest.mark.parametrize("target", ["avx2", "x86-64"])
@each_cell
def test_lesser_processors_compute_the_same_equations(name, target, monkeypatch):
    monkeypatch.setenv("ELMAN_TARGET", target)
    numbers = replace(draw(CELLS[name], 5, 11), lengths=torch.tensor((6, 0, 3, 6, 1)))
    assert_near(results(CELLS[name], numbers), truth(CELLS[name], numbers), 1e-5)
    doubled = numbers.with_tensors([tensor.double() for tensor in numbers.tensors])
    if name == "lstm":
        assert_near(results(CELLS[name], doubled), truth(CELLS[name], doubled), 1e-12)


@on_x86
@pytest.mark.parametrize("target", ["avx2", "x86-64"])
def test_a_row_is_the_same_bit_for_bit_in_any_batch_there_too(target, monkeypatch):
    monkeypatch.setenv("ELMAN_TARGET", target)
    cell = CATALOGUE["peephole_lstm"]
    numbers = draw(cell, 5, 11, batch=13)
    whole = results(cell, numbers)["y"]
    for rows in ([4], [4, 0], [12, 4, 3], [1, 2, 3, 4, 5, 6, 7]):
        tensors = [numbers.x[:, rows], *[s[rows] for s in numbers.states], *numbers.parameters]
        assert torch.equal(results(cell, numbers.with_tensors(tensors))["y"], whole[:, rows])


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "scalar"), [*[(n, "float") for n in CELLS], ("lstm", "double")])
def test_every_program_compiles_for_arm(name, scalar, monkeypatch):
    target = find_target("aarch64")
    texts = programs_as_text(CELLS[name], target, scalar, monkeypatch)
    assert len(texts) >= 8
    for text in texts:
        code = jit.compile_module(text, target)
        assert code[:4] == b"\x7fELF"
        assert struct.unpack_from("<H", code, 18) == (183,)  # EM_AARCH64
        assert undefined(code) == set()


def undefined(code):
    """The names that an ELF object of 64 bits expects from elsewhere."""
    (offset,) = struct.unpack_from("<Q", code, 0x28)
    size, count = struct.unpack_from("<HH", code, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, offset + k * size) for k in range(count)]
    found = set()
    for section in sections:
        if section[1] != 2:  # a table of symbols
            continue
        names = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], section[9]):
            name, _, _, place, _, _ = struct.unpack_from("<IBBHQQ", code, at)
            if name and place == 0:
                start = names + name
                found.add(code[start : code.index(b"\0", start)].decode())
    return found


@pytest.mark.parametrize(
    "name", few(CELLS, keep=lambda name: name in {"lstm", "layer_norm_lstm", "slstm", "lru"})
)
def test_plain_x86_code_needs_nothing_from_any_library(name, monkeypatch):
    target = replace(find_target("x86-64"), triple="x86_64-unknown-linux-gnu")
    for text in programs_as_text(CELLS[name], target, "float", monkeypatch):
        assert undefined(jit.compile_module(text, target)) == set()


def test_a_call_of_a_library_would_be_seen():
    text = "declare float @expf(float)\ndefine float @f(float %x) {\n  %y = call float @expf(float %x)\n  ret float %y\n}\n"
    target = replace(find_target("x86-64"), triple="x86_64-unknown-linux-gnu")
    assert undefined(jit.compile_module(text, target)) == {"expf"}


@pytest.fixture
def two_threads(monkeypatch):
    """Work of any size is shared by two threads."""
    for constant in ("MIN_PARALLEL_WORK", "MIN_WORKERS_WORK"):
        monkeypatch.setattr(tuning, constant, 0)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@each_cell
def test_without_the_team_of_torch_all_is_the_same(name, monkeypatch, two_threads):
    numbers = replace(draw(CELLS[name], 7, 19), lengths=torch.tensor((6, 0, 3, 6, 1)))
    together = results(CELLS[name], numbers)
    for other in (None, Workers()):
        monkeypatch.setattr(kernels, "find_team", lambda other=other: other)
        assert_same(results(CELLS[name], numbers), together)


def test_shares_may_be_computed_in_turn(monkeypatch):
    """Where the team is lost after the work was shared out."""
    monkeypatch.setattr(kernels, "threads_for", lambda work, pieces: max(1, min(3, pieces)))
    cell = CATALOGUE["gru"]
    numbers = replace(draw(cell, 7, 19), lengths=torch.tensor((6, 0, 3, 6, 1)))
    monkeypatch.setattr(kernels, "find_team", lambda: None)
    in_turn = results(cell, numbers)
    monkeypatch.undo()
    assert_same(in_turn, results(cell, numbers))


def test_an_unknown_processor_gets_a_sentence(monkeypatch):
    monkeypatch.setenv("ELMAN_TARGET", "quantum")
    sentence = 'ELMAN_TARGET is "quantum"; it must be host, avx512, avx2, x86-64 or aarch64.'
    with pytest.raises(OptionError, match=re.escape(sentence)):
        elman.Recurrent(CATALOGUE["lstm"], 3, 4)(torch.zeros(2, 1, 3))
