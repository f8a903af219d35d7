"""A lock that lets only one process at a time write to a run folder.

The owner writes ``lock.json``: its host, its process ID and the time.  A lock is taken over when
its owner is gone: the process no longer exists, its ID has been reused, or the machine has been
restarted.  Of a process on another machine only the last heartbeat is known; after an hour without
one the lock is free.

The file is changed under the system's own lock on it (``flock``), so if two processes try to take
over a lock, only one succeeds.
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
#: a lock of another machine is free after this many seconds without a heartbeat
SILENT_SECONDS = 3600.0
#: seconds between two heartbeats
HEARTBEAT_SECONDS = 60.0


@dataclass
class _Held:
    """A lock held by a thread of this process; ``times`` counts nested acquisitions."""

    thread: int
    record: dict[str, Any]
    made: list[Path]
    times: int = 1
    beat: float = field(default_factory=time.monotonic)


_held: dict[Path, _Held] = {}
_guard = threading.Lock()
if hasattr(os, "register_at_fork"):  # a child process holds no locks
    os.register_at_fork(after_in_child=_held.clear)


@contextmanager
def run_lock(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a run folder; the folder is created if it is missing.

    The lock is reentrant within a thread.  If another process or thread holds it, ``wait`` waits
    for it; otherwise ``RunError`` is raised, as it is if the folder cannot be written to.

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
            f"{folder}: {owner} trains here; wait until it has finished, or choose another folder."
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


def heartbeat(folder: Path) -> None:
    """Show other machines that the owner of the lock is still at work."""
    path = Path(os.path.abspath(folder)) / NAME
    mine = _held.get(path)
    if mine is not None and time.monotonic() - mine.beat > HEARTBEAT_SECONDS:
        mine.beat = time.monotonic()
        with suppress(OSError):
            os.utime(path)


def break_foreign_lock(folder: Path) -> None:
    """Remove the lock of a process on another machine that is known to be gone."""
    path = folder / NAME
    with suppress(OSError):
        if _read(path.read_bytes()).get("host") != socket.gethostname():
            path.unlink()


def _hold(path: Path, folder: Path) -> str:
    """Take the lock; if someone else holds it, return a description of the owner."""
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

    Returns a description of the owner if there is one, or None if it removed the file meanwhile.
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
    """Take the system's lock on the file; skip it if the system or the disk has none."""
    with suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)


def _give_back(path: Path, mine: _Held) -> None:
    with suppress(OSError):  # the folder may be gone
        if _read(path.read_bytes()) == mine.record:
            path.unlink()
        for folder in mine.made:  # those that are still empty
            folder.rmdir()


def _read(content: bytes) -> dict[str, Any]:
    """The contents of a lock file; empty if its owner was killed while writing."""
    try:
        record = json.loads(content)
        kinds = {"pid": int, "host": str, "since": str, "boot": str, "began": str, "namespace": str}
        if all(isinstance(record[name], kind) for name, kind in kinds.items()):
            return dict(record)
    except (ValueError, RecursionError, LookupError, TypeError):
        pass
    return {}


def _is_there(owner: dict[str, Any], silent: float) -> bool:
    """Whether the owner of a lock is still at work."""
    if not owner:
        return False
    here = _this_process()
    if owner["host"] == here["host"] and owner["boot"] != here["boot"]:
        return False  # the machine has been restarted
    if sys.platform == "win32" or any(owner[k] != here[k] for k in ("host", "namespace")):
        return silent < SILENT_SECONDS
    if owner["pid"] == here["pid"]:
        return False  # not held by this process, so the ID was reused
    return is_running(owner["pid"], owner["began"])


def is_running(process: int, began: str) -> bool:
    """Whether the process with this ID and start time still runs; see ``start_time``."""
    try:
        if process <= 0:
            return False
        os.kill(process, 0)
    except PermissionError:
        pass
    except (OSError, OverflowError):
        return False
    return start_time(process) == began


def _this_process() -> dict[str, Any]:
    namespace = boot = ""
    with suppress(OSError):  # Linux has these
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink("/proc/self/ns/pid")
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "pid": pid,
        "began": start_time(pid),
        "boot": boot,
        "namespace": namespace,
    }


def start_time(process: int) -> str:
    """The start time of a process, in ticks since the machine booted; empty if unknown.

    "dead" for a process that was killed but not yet reaped by its parent.
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "dead" if fields[0] in "ZX" else fields[19]
