r"""A text file as one string, or the faults that make it unreadable.

Every text format is read here first, so that a missing file, an empty one and bytes that are not
UTF-8 give the same messages everywhere.  The readers of the formats interpret the text.
"""

import codecs
import re
from pathlib import Path

from elman.data.excerpts import excerpt_of
from elman.data.faults import Fault, Note, Place
from elman.data.sources import why_not_a_file
from elman.errors import DataError

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_GZIP = b"\x1f\x8b"
# the look-behinds avoid testing a run of carriage returns at each of its positions
_LONE_RETURN = re.compile(r"(?<!\r)\r++(?!\n)")
_LINE_END = re.compile(r"(?<!\r)\r*+\n")


def read_plain_text(path: Path) -> tuple[str, list[Fault]]:
    """The text of a UTF-8 file without its byte order mark, and its faults.

    Line ends are unchanged, except that carriage returns become line feeds if the file has no
    others.  There is a fault for a file that is missing, unreadable, empty or a folder (the text is
    then empty), and one for each line that is not UTF-8 or holds a zero byte (the text has U+FFFD
    there).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.txt"
    ...     _ = path.write_bytes(b"fine\\ncaf\\xe9\\n")
    ...     text, faults = read_plain_text(path)
    >>> text, faults[0].place.line
    ('fine\\ncaf�\\n', 2)
    """
    excerpt = excerpt_of(path)
    reason = why_not_a_file(path) if excerpt is None else None
    if reason is not None:
        return "", [Fault(Place(path), reason)]
    try:
        content = path.read_bytes() if excerpt is None else excerpt.content
    except OSError as error:
        why = error.strerror or str(error)
        return "", [Fault(Place(path), f"the file cannot be read ({why}); check its permissions.")]
    if content.startswith(_UTF_16):
        return "", [Fault(Place(path), "the file is UTF-16; save it as UTF-8.")]
    if content.startswith(_GZIP):
        return "", [Fault(Place(path), "the file is compressed with gzip; unpack it first.")]
    content = content.removeprefix(codecs.BOM_UTF8)
    if b"\n" not in content:  # from a Mac before 2001
        content = content.replace(b"\r", b"\n")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("utf-8", errors="replace"), _undecodable_lines(path, content)
    if not text.strip():
        return "", [Fault(Place(path), "the file is empty; give one with at least one example.")]
    return text, _undecodable_lines(path, content) if "\0" in text else []


def lines_of(text: str) -> list[str]:
    """The lines of a text, which end with a line feed, alone or after carriage returns.

    Nothing else ends a line, as in tools that count lines.  ``str.splitlines`` would also split at
    form feeds, U+0085 and U+2028, which occur inside sentences, and so misalign two parallel files.

    >>> lines_of("one\\r\\ntwo\\x0b\\u2028 still\\r two\\n\\nfour\\n")
    ['one', 'two\\x0b\\u2028 still\\r two', '', 'four']
    """
    lines = _LINE_END.split(text)
    return lines[:-1] if not lines[-1] else lines


def line_end_notes(path: Path, text: str) -> list[Note]:
    """A note about carriage returns that do not end a line, if there are any.

    >>> [note.message for note in line_end_notes(Path("a.txt"), "one\\ntwo\\rthree\\n")]
    ['a carriage return within the line is read as a space (1 in the file).']
    """
    found = _LONE_RETURN.search(text)
    if found is None:
        return []
    line = text.count("\n", 0, found.start()) + 1
    count = len(_LONE_RETURN.findall(text))
    message = f"a carriage return within the line is read as a space ({count} in the file)."
    return [Note(Place(path, line), message)]


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, including blank ones, so that answers and lines correspond.

    Raises ``DataError`` if the file cannot be read or is empty.
    """
    text, faults = read_plain_text(path)
    for fault in faults:
        raise DataError(str(fault))
    return lines_of(text)


def _undecodable_lines(path: Path, content: bytes) -> list[Fault]:
    faults = []
    for line, piece in enumerate(content.split(b"\n"), start=1):
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
