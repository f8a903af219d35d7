"""Atomic writes: a file is written completely or not at all.

Data go to a temporary file in the same folder, which replaces the target only when every byte is
on disk.  A kill, a crash or a full disk leaves the old file as it was.  The formats of the files
are defined elsewhere: see ``training/run_folder.py``.
"""

import errno
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from elman.errors import RunError

#: flags to open a file that must not exist yet
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


#: bytes of a folder's path: the system allows 4,096, and its files have names, too
_LONGEST_NAME = 3800


def write_whole(path: Path, content: bytes | str) -> None:
    """Write ``content`` to ``path`` (text as UTF-8), or leave ``path`` exactly as it was.

    A new file gets the permissions that the umask allows; an existing file keeps its own.  A
    symbolic link is followed; a device or a pipe is written to directly.  Raises ``RunError`` if
    the disk is full or the folder cannot be written to.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "card.md"
    ...     write_whole(path, "first")
    ...     write_whole(path, "second")
    ...     path.read_text()
    'second'
    """
    write_all({path: content})


def write_all(contents: Mapping[Path, bytes | str]) -> None:
    """Write files that belong together: every byte is on disk before the first is replaced.

    Each is written as ``write_whole`` does.
    """
    prepared: list[tuple[Path, Path]] = []
    try:
        for path, content in contents.items():
            data = content.encode("utf-8") if isinstance(content, str) else content
            with _explained(path):
                if (made := _prepare(path, data)) is not None:
                    prepared.append(made)
        for temporary, target in prepared:
            with _explained(target):
                os.replace(temporary, target)
    finally:
        for temporary, _ in prepared:
            temporary.unlink(missing_ok=True)


def _prepare(path: Path, data: bytes) -> tuple[Path, Path] | None:
    """The data in a temporary file beside the target; None if they could be written at once."""
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if target.exists() and not target.is_file():
        target.write_bytes(data)
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    # a name has at most 255 bytes, and a character at most four
    temporary = target.parent / f".{target.name[:50]}.{secrets.token_hex(6)}.part"
    try:
        with os.fdopen(os.open(temporary, _NEW, 0o666), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if target.is_file():
            os.chmod(temporary, target.stat().st_mode & 0o777)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary, target


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Errors of the system as a ``RunError`` that says what to do."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: an invalid file name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        blocking = next((each for each in path.parents if os.path.isfile(each)), None)
        if isinstance(error, IsADirectoryError):
            said = f"{path}: this is a folder, and a file should be written here; remove it or "
            raise RunError(said + "choose another name.") from error
        if blocking is not None:
            raise RunError(f"{blocking}: this is a file; name a folder.") from error
        raise RunError(
            f"{path}: could not be written ({reason}); the previous file is untouched. "
            "Free some space or choose another folder."
        ) from error


def refuse_name(folder: Path) -> None:
    """Raise ``RunError`` for a folder name under which its files could not be opened again."""
    try:
        str(folder).encode("utf-8")
        long = next((part for part in folder.parts if len(os.fsencode(part)) > 255), None)
    except UnicodeEncodeError:
        shown = os.fsencode(folder).decode("utf-8", "replace")
        raise RunError(f"{shown}: the name is not UTF-8 text; choose another folder.") from None
    if long is not None:
        raise RunError(f"{long[:40]}...: the name is longer than 255 bytes; choose another folder.")
    if len(os.fsencode(folder)) > _LONGEST_NAME:
        shown = f"{str(folder)[:40]}..."
        raise RunError(
            f"{shown}: the path is longer than the system allows; choose another folder."
        )
    if "\0" in str(folder):
        raise RunError(f"{folder!r}: the name holds a zero byte; choose another folder.")
