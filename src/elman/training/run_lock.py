"""One process at a time writes into a run folder.

The owner leaves ``lock.json`` there: its host, its process and the time.  A lock is taken over
when its owner is gone: the process does not exist any more, or another process has its number by
now, or the machine was started anew.  Of a process on another machine nothing can be known but
when it last gave a sign of life, see ``sign``; after an hour without one the lock is free.

The file is changed under the system's own lock on it (``flock``), so of two processes that want to
take over a lock only one does.
"""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from elman.errors import RunError

NAME = "lock.json"
#: a lock of another machine without a sign of life for so long is free
SILENT_SECONDS = 3600.0
#: seconds between two signs of life
SIGN_SECONDS = 60.0


@dataclass
class _Held:
    """A lock that a thread of this process holds, ``times`` times."""

    thread: int
    record: dict[str, Any]
    made: list[Path]
    times: int = 1
    signed: float = field(default_factory=time.monotonic)


_held: dict[Path, _Held] = {}
_guard = threading.Lock()
if hasattr(os, "register_at_fork"):  # a child holds nothing
    os.register_at_fork(after_in_child=_held.clear)


@contextmanager
def run_lock(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a run folder, which is made where it is missing.

    A thread that holds it may take it again.  Raises ``RunError`` when another process or thread
    holds it, unless it is to ``wait``, and when the folder cannot be written to.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with run_lock(Path(place) / "run"):
    ...         print([path.name for path in Path(place, "run").iterdir()])
    ['lock.json']
    """
    path = Path(os.path.abspath(folder)) / NAME
    while (owner := _hold(path, folder)) and wait:
        time.sleep(0.2)
    if owner:
        raise RunError(
            f"{folder}: {owner} trains here; wait for its end, or choose another folder."
        )
    try:
        yield
    finally:
        with _guard:
            mine = _held.get(path)
            if mine is not None:
                mine.times -= 1
                if not mine.times:
                    _give_back(path, _held.pop(path))


def sign(folder: Path) -> None:
    """A sign of life: other machines see that the owner of the lock still works."""
    path = Path(os.path.abspath(folder)) / NAME
    mine = _held.get(path)
    if mine is not None and time.monotonic() - mine.signed > SIGN_SECONDS:
        mine.signed = time.monotonic()
        with suppress(OSError):
            os.utime(path)


def break_foreign_lock(folder: Path) -> None:
    """Remove the lock of a process on another machine that is known to be gone."""
    path = folder / NAME
    with suppress(OSError):
        if _read(path.read_bytes()).get("host") != socket.gethostname():
            path.unlink()


def _hold(path: Path, folder: Path) -> str:
    """Take the lock; who has it, in words, if that is somebody else."""
    with _guard:
        mine = _held.get(path)
        if mine is None:
            taken = _take(path, folder)
            if isinstance(taken, str):
                return taken
            _held[path] = taken
        elif mine.thread == threading.get_ident():
            mine.times += 1
        else:
            return "another thread of this process"
        return ""


def _take(path: Path, folder: Path) -> _Held | str:
    made: list[Path] = []
    try:
        each = path.parent
        while not each.exists():
            made.append(each)
            each = each.parent
        path.parent.mkdir(parents=True, exist_ok=True)
        while (record := _write_own(path)) is None:
            pass
    except OSError as error:
        raise RunError(
            f"{folder}: nothing can be written there ({error.strerror}); choose another folder."
        ) from error
    return record if isinstance(record, str) else _Held(threading.get_ident(), record, made)


def _write_own(path: Path) -> dict[str, Any] | str | None:
    """Write this process into the lock file, and return what was written.

    Its owner in words while there is one; None if it removed the file at this very info.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _wait_for_file(handle)
        opened = os.fstat(handle)
        try:
            if not os.path.samestat(opened, path.stat()):
                return None
        except FileNotFoundError:
            return None
        owner = _read(os.pread(handle, 10_000, 0))
        if _is_there(owner, time.time() - opened.st_mtime):
            return f"process {owner['pid']} on {owner['host']} (since {owner['since']})"
        record = {**_this_process(), "since": datetime.now().strftime("%Y-%m-%d %H:%M:%S")}
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(record).encode() + b"\n", 0)
        return record
    finally:
        os.close(handle)


def _wait_for_file(handle: int) -> None:
    """The system's lock on the file; without it where the system or the disk has none."""
    with suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)


def _give_back(path: Path, mine: _Held) -> None:
    with suppress(OSError):  # the folder may be gone by now
        if _read(path.read_bytes()) == mine.record:
            path.unlink()
        for folder in mine.made:  # those that nothing was written to
            folder.rmdir()


def _read(content: bytes) -> dict[str, Any]:
    """What a lock file says; nothing if its owner was killed while it wrote."""
    try:
        record = json.loads(content)
        kinds = {"pid": int, "host": str, "since": str, "boot": str, "began": str, "namespace": str}
        if all(isinstance(record[name], kind) for name, kind in kinds.items()):
            return dict(record)
    except (ValueError, RecursionError, LookupError, TypeError):
        pass
    return {}


def _is_there(owner: dict[str, Any], silent: float) -> bool:
    """Whether the owner of a lock is at work."""
    if not owner:
        return False
    here = _this_process()
    if owner["host"] == here["host"] and owner["boot"] != here["boot"]:
        return False  # the machine was started anew
    if sys.platform == "win32" or any(owner[k] != here[k] for k in ("host", "namespace")):
        return silent < SILENT_SECONDS
    if owner["pid"] == here["pid"]:
        return False  # this process would know; it has the number of one that is gone
    return is_running(owner["pid"], owner["began"])


def is_running(process: int, began: str) -> bool:
    """Whether the process with this number that began then is there; see ``when_begun``."""
    try:
        if process <= 0:
            return False
        os.kill(process, 0)
    except PermissionError:
        pass
    except (OSError, OverflowError):
        return False
    return when_begun(process) == began


def _this_process() -> dict[str, Any]:
    namespace = boot = ""
    with suppress(OSError):  # Linux has these
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink("/proc/self/ns/pid")
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "pid": pid,
        "began": when_begun(pid),
        "boot": boot,
        "namespace": namespace,
    }


def when_begun(process: int) -> str:
    """When a process began, in ticks since the start of the machine; empty where that is unknown.

    A process that was killed but whose parent has not yet looked is dead too.
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "dead" if fields[0] in "ZX" else fields[19]
