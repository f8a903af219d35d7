"""Compile the text of a module to functions in memory, with the cache of object code."""

from __future__ import annotations

import ctypes
import hashlib
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import llvmlite.binding as llvm

from elman.backends.native.llvm import cache
from elman.backends.native.llvm.target import Target

#: every kernel takes a table and four integers
Function = Callable[..., None]
_PROTOTYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 4)


#: the kernels that are in use.  Threads that need the same one at once must get one object:
#: whoever computes an address twice keeps only one of the two kernels alive, and the code of the
#: other is unmapped.
_loaded: WeakValueDictionary[str, Kernel] = WeakValueDictionary()
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):  # a child must not inherit a lock that another thread holds
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


class Kernel:
    """Compiled functions, by name; their code is unmapped with this object."""

    def __init__(self, object_code: bytes, target: Target) -> None:
        machine = _machine(target)
        empty = llvm.parse_assembly(f'target triple = "{target.triple}"')
        self._engine = llvm.create_mcjit_compiler(empty, machine)
        self._engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(object_code))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """The address of a function."""
        found: int = self._engine.get_function_address(name)
        assert found, f"the kernel has no function {name}"
        return found

    def function(self, name: str) -> Any:
        """A function as a Python callable, which releases the GIL."""
        return as_function(self.address(name))


def as_function(address: int) -> Function:
    """A compiled function as a Python callable, which releases the GIL."""
    found: Function = _PROTOTYPE(address)
    return found


def dump_folder() -> Path | None:
    """The folder for dumps of kernels, from the environment variable ``ELMAN_DUMP``."""
    chosen = os.environ.get("ELMAN_DUMP")
    return Path(chosen) if chosen else None


def load(
    key: str,
    target: Target,
    write: Callable[[], str],
    explain: Callable[[], Mapping[str, str]] = dict,
) -> Kernel:
    """The kernel with this key: from the cache, or compiled from the result of ``write``.

    ``explain`` returns further texts to dump, by file extension.  A kernel that is in use is not
    loaded a second time.
    """
    _initialise()
    digest = cache.digest(key, target)
    folder = dump_folder()
    with _lock:
        found = None if folder else _loaded.get(digest)  # a dump needs the text
        if found is None:
            found = _loaded[digest] = _load(key, digest, target, write, explain, folder)
    return found


def _load(
    key: str,
    digest: str,
    target: Target,
    write: Callable[[], str],
    explain: Callable[[], Mapping[str, str]],
    folder: Path | None,
) -> Kernel:
    object_code = None if folder else cache.read(digest)
    if object_code is not None:
        try:
            return Kernel(object_code, target)
        except RuntimeError:  # for another machine, or incomplete
            pass
    text = write()
    if folder:
        _dump(folder, key, {"ll": text, **explain()})
    object_code = compile_module(text, target)
    cache.write(digest, object_code)
    return Kernel(object_code, target)


def compile_module(text: str, target: Target) -> bytes:
    """Object code, without LLVM's optimisation passes: they do not speed up these kernels."""
    _initialise()
    module = llvm.parse_assembly(text)
    machine = _machine(target)
    module.triple = target.triple
    module.data_layout = str(machine.target_data)
    module.verify()
    object_code: bytes = machine.emit_object(module)
    return object_code


def _machine(target: Target) -> Any:
    found = llvm.Target.from_triple(target.triple)
    return found.create_target_machine(cpu=target.cpu, features=target.features, opt=2, jit=True)


def _initialise() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def _dump(folder: Path, key: str, texts: Mapping[str, str]) -> None:
    """Write files named by the key's first line and a few digits of its hash."""
    folder.mkdir(parents=True, exist_ok=True)
    title = "_".join(key.partition("\n")[0].split())
    name = "".join([c if c.isalnum() or c in "-_" else "-" for c in title])
    # file systems allow 255 bytes
    name = name.encode()[:200].decode(errors="ignore")
    digits = hashlib.sha256(key.encode()).hexdigest()[:6]
    for ending, text in texts.items():
        (folder / f"{name}_{digits}.{ending}").write_text(text, encoding="utf-8")
