"""Object code on disk, so that a kernel is compiled once for a machine and not once a process.

A file's name is the digest of all that its code depends on; its first bytes are the digest of
that name and the rest.  Whatever is not whole, or not ours, is compiled anew.  The folder is the
platform's own for caches, or ``ELMAN_CACHE_DIR``; where it cannot be written, nothing is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from functools import lru_cache
from pathlib import Path

import llvmlite

from elman.backends.llvm.target import Target
from elman.errors import RunError
from elman.files import write_whole

_DIGEST_BYTES = 32


def folder() -> Path:
    """Where kernels are kept."""
    chosen = os.environ.get("ELMAN_CACHE_DIR")
    if chosen:
        return Path(chosen)
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "elman" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "elman"
    return Path(os.environ.get("XDG_CACHE_HOME", home / ".cache")) / "elman"


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
    """The object code, or ``None`` where there is none, or none that is whole."""
    try:
        content = (folder() / f"{name}.o").read_bytes()
    except (OSError, RuntimeError):  # the latter: nobody's home is known
        return None
    object_code = content[_DIGEST_BYTES:]
    return object_code if content == sealed(name, object_code) else None


def write(name: str, object_code: bytes) -> None:
    """Keep the object code; whole or not at all, whoever else writes."""
    with contextlib.suppress(RunError, RuntimeError):
        write_whole(folder() / f"{name}.o", sealed(name, object_code))


def sealed(name: str, object_code: bytes) -> bytes:
    """What a file holds: a digest of its own name and the object code, then the latter."""
    return hashlib.sha256(name.encode() + object_code).digest() + object_code
