"""Kernels are compiled once for a machine; whatever else lies in the folder is never run."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from backends.precision import assert_same, draw, results
from elman.backends import kernels
from elman.backends.llvm import cache, jit
from elman.backends.llvm.target import find_target
from elman.cells import CATALOGUE
from elman.graph.sizes import Sizes

CELL = CATALOGUE["gru"]


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A folder of its own, and an engine that remembers no kernel."""
    monkeypatch.setenv("ELMAN_CACHE_DIR", str(tmp_path / "kernels"))
    monkeypatch.delenv("ELMAN_DUMP", raising=False)
    kernels.layer_of.cache_clear()
    yield tmp_path / "kernels"
    kernels.layer_of.cache_clear()


@pytest.fixture
def compiled(monkeypatch):
    """The texts that are compiled."""
    texts, compile_module = [], jit.compile_module

    def counted(text, target):
        texts.append(text)
        return compile_module(text, target)

    monkeypatch.setattr(jit, "compile_module", counted)
    return texts


def compute():
    """As a new process would; the work is too little for several threads and their kernel."""
    kernels.layer_of.cache_clear()
    return results(CELL, draw(CELL, 3, 5))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_compiled_is_in_the_folder_and_is_not_compiled_again(folder, compiled):
    first = compute()
    files = contents(folder)
    assert len(files) == len(compiled) > 0
    assert all([name.endswith(".o") for name in files])
    assert_same(compute(), first)
    assert len(compiled) == len(files)
    assert contents(folder) == files


PROGRAM = """
import torch, elman
from elman.backends.llvm import jit
calls, compile_module = [], jit.compile_module
def counted(text, target):
    calls.append(text)
    return compile_module(text, target)
jit.compile_module = counted
torch.manual_seed(0)
layer = elman.Recurrent(elman.cells.gru, 3, 5)
y, _ = layer(torch.randn(6, 4, 3))
y.sum().backward()
print(len(calls), sum([p.grad.sum().item() for p in layer.parameters()]))
"""


def processes(count):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    found = [process.communicate(timeout=120) for process in started]
    assert not any([errors for _, errors in found]), found
    return [output.split() for output, _ in found]


def test_several_processes_may_fill_the_folder_and_the_next_compiles_nothing(folder):
    together = processes(2)
    (alone,) = processes(1)
    assert alone[0] == "0"
    assert max([int(number) for number, _ in together]) == len(contents(folder))
    assert {result for _, result in [*together, alone]} == {alone[1]}
    assert all([path.suffix == ".o" for path in folder.iterdir()])  # no part is left behind


SPOILT = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "only a digest": lambda content: content[:32],
    "one bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "no object": lambda content: b"something else altogether" * 400,
    "digest of the code alone": lambda content: sha256(content[32:]).digest() + content[32:],
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_file_is_compiled_anew_and_replaced(spoil, folder, compiled):
    expected = compute()
    files = contents(folder)
    for name, content in files.items():
        (folder / name).write_bytes(spoil(content))
    compiled.clear()
    assert_same(compute(), expected)
    assert len(compiled) == len(files)
    assert contents(folder) == files


def test_a_kernel_under_another_kernels_name_is_compiled_anew(folder, compiled):
    expected = compute()
    files = contents(folder)
    names = list(files)
    for name, other in zip(names, [*names[1:], names[0]], strict=True):
        (folder / name).write_bytes(files[other])
    compiled.clear()
    assert_same(compute(), expected)
    assert len(compiled) == len(files)
    assert contents(folder) == files


@pytest.mark.parametrize("obstacle", ["a file", "a folder of that name", "no permission"])
def test_where_nothing_can_be_kept_all_is_computed(obstacle, folder, compiled, monkeypatch):
    expected = compute()
    names = list(contents(folder))
    shutil.rmtree(folder)
    if obstacle == "a file":
        folder.write_text("in the way")
    elif obstacle == "a folder of that name":
        for name in names:
            (folder / name).mkdir(parents=True)
    else:  # root may write anywhere, so the system's refusal is played

        def refused(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "mkdir", refused)
    compiled.clear()
    assert_same(compute(), expected)
    assert len(compiled) == len(names)


def test_without_a_home_all_is_computed(folder, compiled, monkeypatch):
    expected = compute()

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("ELMAN_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    compiled.clear()
    assert_same(compute(), expected)
    assert compiled


def test_a_key_tells_apart_whatever_the_code_depends_on():
    host = find_target("host")
    sizes = Sizes(3, 5)
    layers = [
        kernels.layer_of(text, size, dtype, target)
        for text in (CELL.text, CATALOGUE["lstm"].text)
        for size in (sizes, Sizes(5, 3), Sizes(3, 6), Sizes(4, 5))
        for dtype in (torch.float32, torch.float64)
        for target in (host, find_target("x86-64"), find_target("aarch64"))
    ]
    digests = set()
    for layer in layers:
        programs = [layer.backward, layer.outer, layer.ahead]
        programs += [layer.forward(keep=k, hoisted=h) for k in (False, True) for h in (False, True)]
        digests |= {cache.digest(program.key, layer.target) for program in programs}
    assert len(digests) == len(layers) * 7


@pytest.mark.parametrize(
    "change", [{"cpu": "other"}, {"features": "+other"}, {"triple": "other"}, {"vector_bytes": 8}]
)
def test_a_key_tells_processors_apart(change):
    host = find_target("host")
    assert cache.digest("key", replace(host, **change)) != cache.digest("key", host)


def test_a_key_tells_versions_apart(monkeypatch):
    before = cache.digest("key", find_target("host"))
    with monkeypatch.context() as patch:
        patch.setattr(cache, "_compiler", lambda: "another text")
        assert cache.digest("key", find_target("host")) != before
    with monkeypatch.context() as patch:
        patch.setattr(cache.llvmlite, "__version__", "0.0")
        assert cache.digest("key", find_target("host")) != before
    assert cache.digest("key", find_target("host")) == before


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"ELMAN_CACHE_DIR": "/k", "XDG_CACHE_HOME": "/x"}, "/k"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/elman"),
        ("linux", {}, "/home/e/.cache/elman"),
        ("linux", {"ELMAN_CACHE_DIR": ""}, "/home/e/.cache/elman"),
        ("darwin", {}, "/home/e/Library/Caches/elman"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/elman/Cache"),
        ("win32", {}, "/home/e/AppData/Local/elman/Cache"),
    ],
)
def test_the_folder_is_the_platforms_own_or_what_is_asked_for(
    platform, variables, expected, monkeypatch
):
    for name in ("ELMAN_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cache.sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/e"))
    assert cache.folder() == Path(expected)
