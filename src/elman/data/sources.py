"""Which files a data argument names, and what kind of file a path is.

A path may not exist, be a folder instead of a file, be an endless pipe, or be longer than the
system allows.  Each case gives a clear message here instead of an exception of the system.
"""

import errno
import stat
from pathlib import Path
from typing import Literal

Kind = Literal["file", "folder", "missing", "pipe"]


def data_files(path: Path) -> list[Path]:
    """The files that a path names: itself, or two files separated by a comma.

    >>> [str(each) for each in data_files(Path("d/train.fr,train.en"))]
    ['d/train.fr', 'd/train.en']
    """
    first, comma, second = str(path).partition(",")
    if not comma or exists(path):
        return [path]
    beside = Path(first).parent / second
    return [Path(first), Path(second) if exists(Path(second)) else beside]


def exists(path: Path) -> bool:
    """Whether the path exists; False for an invalid name."""
    return kind_of(path) != "missing"


def is_folder(path: Path) -> bool:
    """Whether the path is a folder; False for an invalid name."""
    return kind_of(path) == "folder"


def kind_of(path: Path) -> Kind:
    """The kind of a path; "pipe" is anything that is neither a file nor a folder.

    >>> kind_of(Path("a" * 5000)), kind_of(Path("/"))
    ('missing', 'folder')
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # ValueError: a zero byte in the name
        return "missing"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "pipe"


def why_not_a_file(path: Path) -> str | None:
    """Why a path cannot be read as a file; None if it can.

    Pipes are refused because a data file is read more than once, and opening a pipe may block.

    >>> why_not_a_file(Path("no-such.csv"))
    'there is no such file; check its name and folder.'
    """
    try:
        mode = path.stat().st_mode
    except ValueError:
        return "a file name cannot hold a zero byte; check it."
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return "the name is longer than the system allows; check it."
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return "there is no such file; check its name and folder."
        return f"the file cannot be read ({error.strerror}); check its permissions."
    if stat.S_ISDIR(mode):
        return "this is a folder, but a file is expected; name a file."
    if not stat.S_ISREG(mode):
        return "this is a pipe or a device, not a file; save its content to a file first."
    return None
