"""Which files a data argument names, and what lies at a path.

A path may name nothing at all, a folder where a file is meant, a pipe that never ends, or be
longer than the system allows: each is a sentence here and never an exception of the system.
"""

import errno
import stat
from pathlib import Path
from typing import Literal

Kind = Literal["file", "folder", "missing", "pipe"]


def data_files(path: Path) -> list[Path]:
    """The files that a path names: itself, or the two with a comma between them.

    >>> [str(each) for each in data_files(Path("d/train.fr,train.en"))]
    ['d/train.fr', 'd/train.en']
    """
    first, comma, second = str(path).partition(",")
    if not comma or exists(path):
        return [path]
    beside = Path(first).parent / second
    return [Path(first), Path(second) if exists(Path(second)) else beside]


def exists(path: Path) -> bool:
    """Whether something is there; False for a name that no file system can have."""
    return kind_of(path) != "missing"


def is_folder(path: Path) -> bool:
    """Whether a folder is there; False for a name that no file system can have."""
    return kind_of(path) == "folder"


def kind_of(path: Path) -> Kind:
    """What is at a path; "pipe" is whatever is neither a file nor a folder.

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
    """The sentence for a path that is no file which can be read; None if it is one.

    Pipes are refused because a data file is read more than once, and opening one may wait forever.

    >>> why_not_a_file(Path("no-such.csv"))
    'there is no such file; check its name and folder.'
    """
    try:
        mode = path.stat().st_mode
    except ValueError:
        return "a name cannot hold a zero byte; check it."
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return "the name is longer than the system allows; check it."
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return "there is no such file; check its name and folder."
        return f"the file cannot be read ({error.strerror}); check its rights."
    if stat.S_ISDIR(mode):
        return "this is a folder, and one file was expected; name a file."
    if not stat.S_ISREG(mode):
        return "this is a pipe or a device, not a file; save its content into a file first."
    return None
