"""Kernels are compiled once for a machine; whatever else lies in the folder is never run."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from backends.precision import assert_same, draw, results
from elman.backends.native import kernels
from elman.backends.native.llvm import cache, jit
from elman.backends.native.llvm.target import find_target
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
from elman.backends.native.llvm import jit
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
        programs = [layer.backward, layer.outer, layer.projection]
        programs += [layer.forward(save=k, hoisted=h) for k in (False, True) for h in (False, True)]
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


def test_a_changed_compiler_is_another_version(tmp_path, monkeypatch):
    files = cache.compiler_files()
    parts = {"/".join(path.parts[-2:]) for path in files}
    assert parts >= {"llvm/product.py", "native/tuning.py", "graph/node.py", "passes/gradient.py"}
    before = cache._compiler.__wrapped__()
    changed = tmp_path / "changed.py"
    changed.write_bytes(files[0].read_bytes() + b"#")
    monkeypatch.setattr(cache, "compiler_files", lambda: [changed, *files[1:]])
    assert cache._compiler.__wrapped__() != before


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"ELMAN_CACHE_DIR": "/k", "XDG_CACHE_HOME": "/x"}, "/k"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/elman"),
        ("linux", {}, "/home/e/.cache/elman"),
        ("linux", {"ELMAN_CACHE_DIR": ""}, "/home/e/.cache/elman"),
        ("linux", {"XDG_CACHE_HOME": ""}, "/home/e/.cache/elman"),
        ("linux", {"XDG_CACHE_HOME": "."}, "/home/e/.cache/elman"),
        ("linux", {"XDG_CACHE_HOME": "x/y"}, "/home/e/.cache/elman"),
        ("darwin", {}, "/home/e/Library/Caches/elman"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/elman/Cache"),
        ("win32", {"LOCALAPPDATA": "l"}, "/home/e/AppData/Local/elman/Cache"),
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


# whose kernels are run

IS_POSIX = os.name == "posix"
on_posix = pytest.mark.skipif(not IS_POSIX, reason="owners and modes of POSIX")
as_root = pytest.mark.skipif(not IS_POSIX or os.geteuid() != 0, reason="files of another user")
NOBODY = 65534


@pytest.fixture
def filled(folder, compiled):
    """The folder with this cell's kernels, all of them, and nothing said yet."""
    compute()
    cache._warned.clear()
    compiled.clear()
    return folder


def test_folder_and_kernels_are_for_their_owner_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("ELMAN_CACHE_DIR", str(tmp_path / "a" / "kernels"))
    before = os.umask(0)
    try:
        cache.write("k", b"code")
    finally:
        os.umask(before)
    assert cache.read("k") == b"code"
    if IS_POSIX:
        modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "a").rglob("*")]
        assert [(tmp_path / "a").stat().st_mode & 0o777, *modes] == [0o700, 0o700, 0o600]


@on_posix
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720, 0o702, 0o1777])
def test_kernels_in_a_folder_that_others_can_write_are_not_run(mode, filled, compiled):
    count = len(contents(filled))
    filled.chmod(mode)
    said = f"because others can write {filled} (mode {mode:o})"
    with pytest.warns(RuntimeWarning) as caught:
        compute()
    assert len(compiled) == count
    assert len(caught) == 1, "it is said once"
    assert said in str(caught[0].message)
    compute()  # where a second warning would be an error


@on_posix
def test_a_kernel_that_others_can_write_is_not_run(filled, compiled):
    for path in filled.iterdir():
        path.chmod(0o666)
    with pytest.warns(RuntimeWarning, match=r"is not used, because others can write .*\.o"):
        compute()
    assert len(compiled) == len(contents(filled))
    assert {path.stat().st_mode & 0o777 for path in filled.iterdir()} == {0o600}  # written anew


@on_posix
@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_folder_on_the_way_that_others_can_write_is_not_trusted(mode, filled, compiled):
    filled.parent.chmod(mode)
    with pytest.warns(RuntimeWarning, match="is not used, because others can write"):
        compute()
    assert compiled


@on_posix
def test_a_folder_with_the_sticky_bit_may_be_on_the_way(filled, compiled):
    filled.parent.chmod(0o1777)
    compute()
    assert not compiled


@on_posix
def test_links_of_ones_own_are_followed(filled, compiled, monkeypatch, tmp_path):
    (tmp_path / "link").symlink_to("elsewhere/../other")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "other").symlink_to(filled)
    monkeypatch.setenv("ELMAN_CACHE_DIR", str(tmp_path / "link"))
    compute()
    assert not compiled


@on_posix
def test_a_link_from_a_folder_that_others_can_write_is_not_followed(
    filled, compiled, monkeypatch, tmp_path
):
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "theirs").symlink_to(filled)
    (tmp_path / "link").symlink_to(shared / "theirs")
    shared.chmod(0o777)
    monkeypatch.setenv("ELMAN_CACHE_DIR", str(tmp_path / "link"))
    with pytest.warns(RuntimeWarning, match=f"because others can write {shared}"):
        compute()
    assert compiled


@on_posix
def test_a_circle_of_links_is_no_folder(folder, compiled):
    folder.symlink_to(folder)
    with pytest.warns(RuntimeWarning, match="has too many links"):
        compute()
    assert compiled


@on_posix
@pytest.mark.parametrize("put", ["link", "pipe"])
def test_what_is_not_a_file_is_no_kernel(put, filled, compiled, tmp_path):
    for path in list(filled.iterdir()):
        if put == "link":
            path.rename(tmp_path / path.name)
            path.symlink_to(tmp_path / path.name)
        else:
            path.unlink()
            os.mkfifo(path)
    compute()
    assert len(compiled) == len(contents(filled))


@as_root
@pytest.mark.parametrize("what", ["folder", "above", "kernels", "link"])
def test_kernels_of_another_user_are_not_run(what, filled, compiled, monkeypatch, tmp_path):
    if what == "link":
        (tmp_path / "link").symlink_to(filled)
        monkeypatch.setenv("ELMAN_CACHE_DIR", str(tmp_path / "link"))
    theirs = {
        "folder": [filled],
        "above": [filled.parent],
        "kernels": list(filled.iterdir()),
        "link": [tmp_path / "link"],
    }
    for path in theirs[what]:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.warns(RuntimeWarning, match=r"belongs to another user \(uid 65534\)"):
        compute()
    assert compiled


AS_ANOTHER = """
import os, sys, warnings
from elman.backends.native.llvm import cache
warnings.simplefilter("always")
os.setgroups([])
os.setgid({user})
os.setuid({user})
cache.write("theirs", b"planted")
print(cache.read("ours"), cache.read("theirs"))
"""


@as_root
def test_another_user_can_plant_no_kernel_and_runs_roots(monkeypatch, request):
    public = Path(tempfile.mkdtemp(dir="/tmp"))  # those of the tests are for their user alone
    public.chmod(0o755)
    request.addfinalizer(lambda: shutil.rmtree(public))
    own = public / "kernels"
    monkeypatch.setenv("ELMAN_CACHE_DIR", str(own))
    cache.write("ours", b"code")

    def other():
        finished = subprocess.run(
            [sys.executable, "-c", AS_ANOTHER.format(user=NOBODY)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return finished.stdout + finished.stderr

    assert other() == "None None\n"
    own.chmod(0o755)
    (own / "ours.o").chmod(0o644)
    assert other() == "b'code' None\n"  # what root wrote, everyone may run
    assert cache.read("theirs") is None
    os.chown(own, NOBODY, NOBODY)
    assert "b'code' b'planted'" in other()
    with pytest.warns(RuntimeWarning, match="belongs to another user"):
        assert cache.read("theirs") is None


def test_a_relative_folder_is_ignored_and_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ELMAN_CACHE_DIR", "kernels")
    monkeypatch.setattr(cache.sys, "platform", "linux")
    cache._warned.clear()
    with pytest.warns(RuntimeWarning, match="ELMAN_CACHE_DIR is 'kernels' and is ignored"):
        assert cache.folder() == tmp_path / "home" / ".cache" / "elman"
    monkeypatch.setenv("HOME", "home")
    with pytest.raises(RuntimeError):
        cache.folder()
    assert not (tmp_path / "kernels").exists()
    assert cache.read("k") is None


def test_threads_that_need_a_kernel_at_once_share_one(monkeypatch):
    """Otherwise the code of all but one is unmapped while their addresses are in use."""
    made = []

    def compile_slowly(text, target):
        made.append(text)
        time.sleep(0.2)  # in which the others ask as well
        return compiled

    target = find_target("host")
    text = "define void @run(ptr %table, i64 %a, i64 %b, i64 %c, i64 %d) { ret void }"
    compiled = jit.compile_module(text, target)
    monkeypatch.setattr(jit, "compile_module", compile_slowly)
    monkeypatch.setattr(jit.cache, "read", lambda name: None)
    monkeypatch.setattr(jit.cache, "write", lambda name, object_code: None)
    with ThreadPoolExecutor(4) as pool:
        kernels = list(pool.map(lambda _: jit.load("shared", target, lambda: text), range(4)))
    assert len(set(map(id, kernels))) == len(made) == 1
    del kernels
    jit.load("shared", target, lambda: text)
    assert len(made) == 2  # a kernel that nobody uses any more is gone
