"""Folders and files that nobody but this user and root can have written.

Code that is read from disk and run must not come from another user.  So a file is trusted if it and
every folder and link on the way to it belong to this user or to root and can be written by nobody
else.  A folder with the sticky bit, such as /tmp, may be on the way: others cannot replace what is
not theirs.  Descriptors, not names, are checked and read, so that nothing can be exchanged between
a check and its use.  For POSIX systems; access control lists are not looked at.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

_LINKS = 40  # as Linux follows


class Untrusted(OSError):
    """Why a file or a folder is not trusted, as the end of a sentence."""


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
    """Make the folder and those on the way to it, for this user alone."""
    for folder in [*reversed(path.parents), path]:
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)


def read(place: int, name: str) -> bytes | None:
    """What the file in an open folder holds; ``None`` for what is not a file.

    Raises ``Untrusted`` if others can have written it, or another ``OSError``.
    """
    # a pipe would be waited for, and a link lead elsewhere
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
    """Write a file into an open folder, whole or not at all."""
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
    """The path without links, each folder and link on the way checked."""
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
    """Raise ``Untrusted`` if others than this user and root can write it."""
    if found.st_uid not in (0, os.geteuid()):
        raise Untrusted(f"{name} belongs to another user (uid {found.st_uid})")
    is_open = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not stat.S_ISLNK(found.st_mode)
    if is_open and not (on_the_way and found.st_mode & stat.S_ISVTX):
        raise Untrusted(f"others can write {name} (mode {stat.S_IMODE(found.st_mode):o})")
