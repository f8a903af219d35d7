"""Open only folders and files that no other user (except root) can have written.

Code that is loaded from disk must not come from another user.  A file is trusted if it and every
folder and link on its path belong to this user or root and are not writable by anyone else.  A
folder with the sticky bit, such as /tmp, may be on the path, because others cannot replace
entries that they do not own.  Checks and reads use descriptors, not names, so that nothing can be
replaced in between.  For POSIX systems; access control lists are not checked.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

_LINKS = 40  # the limit of Linux


class Untrusted(OSError):
    """The reason why a file or folder is not trusted, as a clause."""


def open_folder(path: Path) -> int:
    """A descriptor of the folder at an absolute path, if it is trusted.

    Raises ``Untrusted``, or another ``OSError`` if there is no folder.
    """
    place = os.open(_resolved(path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check(os.fstat(place), str(path))
    except Untrusted:
        os.close(place)
        raise
    return place


def make(path: Path) -> None:
    """Create the folder and its parents, accessible to this user only."""
    for folder in [*reversed(path.parents), path]:
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)


def read(place: int, name: str) -> bytes | None:
    """The content of a file in an open folder; ``None`` if it is not a regular file.

    Raises ``Untrusted`` if others can have written it, or another ``OSError``.
    """
    # do not wait for a pipe or follow a link
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(name, flags, dir_fd=place)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            return None
        _check(found, name)
        with os.fdopen(file, "rb", closefd=False) as stream:
            return stream.read()
    finally:
        os.close(file)


def write(place: int, name: str, content: bytes) -> None:
    """Write a file into an open folder atomically."""
    temporary = f".{name}.{secrets.token_hex(8)}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(temporary, flags, 0o600, dir_fd=place)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(file)
        os.replace(temporary, name, src_dir_fd=place, dst_dir_fd=place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=place)
        raise


def _resolved(path: Path) -> str:
    """The path without links, after checking each folder and link on it."""
    left, here, links = list(reversed(path.parts[1:])), "/", 0
    _check(os.lstat(here), here, on_the_way=True)
    while left:
        part = left.pop()
        if part == "..":
            here = os.path.dirname(here)
            continue
        there = os.path.join(here, part)
        found = os.lstat(there)
        if not stat.S_ISLNK(found.st_mode):
            if left:
                _check(found, there, on_the_way=True)
            here = there
            continue
        _check(found, there)
        links += 1
        if links > _LINKS:
            raise Untrusted(f"{path} has too many links")
        target = os.readlink(there)
        here = "/" if target.startswith("/") else here
        left += [part for part in reversed(target.split("/")) if part not in ("", ".")]
    return here


def _check(found: os.stat_result, name: str, *, on_the_way: bool = False) -> None:
    """Raise ``Untrusted`` if anyone but this user and root can write it."""
    if found.st_uid not in (0, os.geteuid()):
        raise Untrusted(f"{name} belongs to another user (uid {found.st_uid})")
    is_open = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not stat.S_ISLNK(found.st_mode)
    if is_open and not (on_the_way and found.st_mode & stat.S_ISVTX):
        raise Untrusted(f"others can write {name} (mode {stat.S_IMODE(found.st_mode):o})")
