"""Object code on disk, so that a kernel is compiled once for a machine and not once a process.

A file's name is the digest of all that its code depends on; its first bytes are the digest of
that name and the rest.  Whatever is not whole, or not ours, is compiled anew.  The folder is the
platform's own for caches, or ``ELMAN_CACHE_DIR``; where it cannot be written, nothing is kept.

What lies there is run, so it must be the work of this user or of root: ``trust.py`` says of which
folders that is certain.  Another folder is not used, and a warning says so once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import llvmlite

from elman.backends.native.llvm import trust
from elman.backends.native.llvm.target import Target
from elman.errors import RunError
from elman.files import write_whole

_DIGEST_BYTES = 32
#: what has been said in this process
_said: set[str] = set()


def folder() -> Path:
    """Where kernels are kept; an absolute path, so that no working directory decides it.

    Raises ``RuntimeError`` where nobody's home is known.
    """
    chosen = os.environ.get("ELMAN_CACHE_DIR", "")
    if os.path.isabs(chosen):
        return Path(chosen)
    if chosen:
        _say(f"ELMAN_CACHE_DIR is {chosen!r}, which is ignored; give an absolute path.")
    home = Path.home()
    if sys.platform == "darwin":
        found = home / "Library" / "Caches" / "elman"
    elif sys.platform == "win32":
        found = _absolute("LOCALAPPDATA", home / "AppData" / "Local") / "elman" / "Cache"
    else:
        found = _absolute("XDG_CACHE_HOME", home / ".cache") / "elman"
    if not found.is_absolute():
        raise RuntimeError(f"the home folder {home} is not an absolute path")
    return found


def _absolute(variable: str, otherwise: Path) -> Path:
    """The folder that a variable names; as the XDG specification says, only if it is absolute."""
    chosen = os.environ.get(variable, "")
    return Path(chosen) if os.path.isabs(chosen) else otherwise


def digest(key: str, target: Target) -> str:
    """The name of the kernel with this key on this processor."""
    processor = [target.triple, target.cpu, target.features, str(target.vector_bytes)]
    whole = [_compiler(), llvmlite.__version__, *processor, key]
    return hashlib.sha256("\0".join(whole).encode()).hexdigest()


@lru_cache(maxsize=1)
def _compiler() -> str:
    """The digest of Elman's own compiler: its text, since that is what decides the code."""
    package = Path(__file__).parents[2]
    hashed = hashlib.sha256()
    for part in ("backends", "graph", "passes"):
        for path in sorted((package / part).rglob("*.py")):
            hashed.update(path.read_bytes())
    return hashed.hexdigest()


def read(name: str) -> bytes | None:
    """The object code, or ``None`` where there is none, or none that is whole and trusted."""
    content = None
    with contextlib.suppress(OSError, RuntimeError):  # the latter: nobody's home is known
        if os.name != "posix":
            content = (folder() / f"{name}.o").read_bytes()
        else:
            with _opened(folder()) as place:
                content = trust.read(place, f"{name}.o")
    if content is None:
        return None
    object_code = content[_DIGEST_BYTES:]
    return object_code if content == sealed(name, object_code) else None


def write(name: str, object_code: bytes) -> None:
    """Keep the object code; whole or not at all, whoever else writes."""
    content = sealed(name, object_code)
    with contextlib.suppress(OSError, RunError, RuntimeError):
        if os.name != "posix":
            write_whole(folder() / f"{name}.o", content)
        else:
            path = folder()
            trust.make(path)
            with _opened(path) as place:
                trust.write(place, f"{name}.o", content)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A descriptor of the folder, which cannot be exchanged for another folder meanwhile.

    Raises ``OSError`` if there is none; a warning says why if it is not trusted.
    """
    try:
        place = trust.open_folder(path)
    except trust.Untrusted as why:
        _say(
            f"the folder {path} for compiled kernels is not used, since {why}; each process "
            "compiles its own kernels. Remove it, or set ELMAN_CACHE_DIR to a folder of your own."
        )
        raise
    try:
        yield place
    except trust.Untrusted as why:
        _say(f"a compiled kernel in {path} is not used, since {why}. Remove it.")
        raise
    finally:
        os.close(place)


def _say(sentence: str) -> None:
    """Warn, once in a process."""
    if sentence not in _said:
        _said.add(sentence)
        warnings.warn(sentence, RuntimeWarning, stacklevel=3)


def sealed(name: str, object_code: bytes) -> bytes:
    """What a file holds: a digest of its own name and the object code, then the latter."""
    return hashlib.sha256(name.encode() + object_code).digest() + object_code
