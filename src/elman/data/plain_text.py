"""A text file as one string, or the faults that keep it from being one.

Every text format starts here, so that a missing file, an empty one and bytes that
are not UTF-8 get the same sentences everywhere.  What the text means is for the readers
beside it and those of the tasks.
"""

import codecs
from pathlib import Path

from elman.data.faults import Fault, Place

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_plain_text(path: Path) -> tuple[str, list[Fault]]:
    """The text of a UTF-8 file without its byte order mark, and what is wrong with it.

    Line ends are left as they are.  There is a fault for a file that is missing, unreadable, empty
    or a folder (the text is then empty), and one for each line that is not UTF-8 or holds a zero
    byte (its text then has U+FFFD there).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.txt"
    ...     _ = path.write_bytes(b"fine\\ncaf\\xe9\\n")
    ...     text, faults = read_plain_text(path)
    >>> text, faults[0].place.line
    ('fine\\ncaf�\\n', 2)
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return "", [Fault(Place(path), "there is no such file; check its name and folder.")]
    except IsADirectoryError:
        return "", [Fault(Place(path), "this is a folder, and one file was expected; name a file.")]
    except OSError as error:
        reason = error.strerror or str(error)
        return "", [Fault(Place(path), f"the file cannot be read ({reason}); check its rights.")]
    if content.startswith(_UTF_16):
        return "", [Fault(Place(path), "the file is UTF-16; save it as UTF-8.")]
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("utf-8", errors="replace"), _undecodable_lines(path, content)
    if not text.strip():
        return "", [Fault(Place(path), "the file is empty; give one with at least one example.")]
    return text, _undecodable_lines(path, content) if "\0" in text else []


def _undecodable_lines(path: Path, content: bytes) -> list[Fault]:
    faults = []
    # bytes.splitlines knows \n, \r and \r\n, and no others: the line ends of every editor
    for line, piece in enumerate(content.splitlines(), start=1):
        try:
            zero = piece.decode("utf-8").find("\0")
        except UnicodeDecodeError as error:
            faults.append(
                Fault(
                    Place(path, line),
                    f"byte {error.start + 1} of the line, 0x{piece[error.start]:02x}, is not "
                    "UTF-8; save the file as UTF-8.",
                )
            )
        else:
            if zero >= 0:
                faults.append(
                    Fault(
                        Place(path, line),
                        f"byte {zero + 1} of the line is zero, so this is not a text file in "
                        "UTF-8; save it as UTF-8.",
                    )
                )
    return faults
