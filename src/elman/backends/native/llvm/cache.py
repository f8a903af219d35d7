"""A cache of object code on disk, so that each machine compiles a kernel only once.

A file is named by the digest of everything that its code depends on; it starts with a digest of
the name and the content.  Invalid files are ignored and their kernels recompiled.  The folder is
the platform's cache folder or ``ELMAN_CACHE_DIR``; if it is not writable, nothing is cached.

The cached code is executed, so only this user or root may have written it: ``trust.py`` checks
the folder.  An untrusted folder is not used, with one warning per process.
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

from elman import graph
from elman.backends.native.llvm import trust
from elman.backends.native.llvm.target import Target
from elman.errors import RunError
from elman.files import write_whole

_DIGEST_BYTES = 32
#: the warnings of this process
_warned: set[str] = set()


def folder() -> Path:
    """The folder of cached kernels, an absolute path.

    Raises ``RuntimeError`` if the home folder is unknown.
    """
    chosen = os.environ.get("ELMAN_CACHE_DIR", "")
    if os.path.isabs(chosen):
        return Path(chosen)
    if chosen:
        _warn(f"ELMAN_CACHE_DIR is {chosen!r} and is ignored; set an absolute path.")
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
    """The folder in an environment variable, only if absolute, as the XDG specification says."""
    chosen = os.environ.get(variable, "")
    return Path(chosen) if os.path.isabs(chosen) else otherwise


def digest(key: str, target: Target) -> str:
    """The cache name of the kernel with this key on this processor."""
    processor = [target.triple, target.cpu, target.features, str(target.vector_bytes)]
    whole = [_compiler(), llvmlite.__version__, *processor, key]
    return hashlib.sha256("\0".join(whole).encode()).hexdigest()


@lru_cache(maxsize=1)
def _compiler() -> str:
    """The digest of the source of Elman's compiler, which determines the code."""
    hashed = hashlib.sha256()
    for path in compiler_files():
        hashed.update(path.read_bytes())
    return hashed.hexdigest()


def compiler_files() -> list[Path]:
    """The source files that determine the code."""
    package = Path(graph.__file__).parents[1]
    parts = [package / part for part in ("backends", "graph", "passes")]
    return [path for part in parts for path in sorted(part.rglob("*.py"))]


def read(name: str, ending: str = ".o") -> bytes | None:
    """The content of a file, or ``None`` if it is missing, invalid or untrusted."""
    content = None
    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: the home folder is unknown
        if os.name != "posix":
            content = (folder() / f"{name}{ending}").read_bytes()
        else:
            with _opened(folder()) as place:
                content = trust.read(place, f"{name}{ending}")
    if content is None:
        return None
    inside = content[_DIGEST_BYTES:]
    return inside if content == sealed(name, inside) else None


def write(name: str, inside: bytes, ending: str = ".o") -> None:
    """Store a file atomically."""
    content = sealed(name, inside)
    with contextlib.suppress(OSError, RunError, RuntimeError):
        if os.name != "posix":
            write_whole(folder() / f"{name}{ending}", content)
        else:
            path = folder()
            trust.make(path)
            with _opened(path) as place:
                trust.write(place, f"{name}{ending}", content)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A descriptor of the folder, so that the folder cannot be replaced in the meantime.

    Raises ``OSError`` if there is no folder, or if it is not trusted, with a warning.
    """
    try:
        place = trust.open_folder(path)
    except trust.Untrusted as why:
        _warn(
            f"the folder {path} for compiled kernels is not used, because {why}; each process "
            "compiles its own kernels. Remove it, or set ELMAN_CACHE_DIR to a folder of your own."
        )
        raise
    try:
        yield place
    except trust.Untrusted as why:
        _warn(f"a compiled kernel in {path} is not used, because {why}. Remove it.")
        raise
    finally:
        os.close(place)


def _warn(sentence: str) -> None:
    """Warn once per process."""
    if sentence not in _warned:
        _warned.add(sentence)
        warnings.warn(sentence, RuntimeWarning, stacklevel=3)


def sealed(name: str, inside: bytes) -> bytes:
    """A file: a digest of its name and what is inside, then that."""
    return hashlib.sha256(name.encode() + inside).digest() + inside
