"""Reads FASTA files: whole, with all letters checked, or in parts from disk.

``fasta_rows`` reads a file and reports all faults with their lines.  ``Region`` is a sequence that
may be larger than memory; pyfaidx reads parts of it from disk.  ``bases.py`` defines the letters.
"""

from __future__ import annotations

import codecs
import gzip
import itertools
import re
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from elman.data.faults import Fault, Place, Row
from elman.data.sources import why_not_a_file
from elman.errors import DataError
from elman.extras import extra
from elman.tasks.dna.bases import STANDS_FOR

ENDINGS = (".fa", ".fasta", ".fna", ".fas", ".ffn")
#: suffixes of annotations, which may contain sequences
ANNOTATION_ENDINGS = (".gff3", ".gff", ".gtf")
#: suffixes of GenBank files, which contain both (``genbank.py``)
ENDINGS_GENBANK = (".gb", ".gbk", ".gbff", ".genbank")
#: size in bytes from which on a file is read in parts
_LARGE = 64_000_000

_FOREIGN = re.compile(f"[^{''.join(STANDS_FOR)}U]", re.IGNORECASE)


@dataclass(frozen=True)
class Sequence:
    """A name and its bases, unchanged from the file."""

    name: str
    bases: str

    def __len__(self) -> int:
        return len(self.bases)

    def part(self, start: int, end: int) -> str:
        """The bases from ``start`` to ``end`` (exclusive)."""
        return self.bases[start:end]


class Bases(Protocol):
    """A sequence in memory or on disk."""

    @property
    def name(self) -> str: ...
    def __len__(self) -> int: ...
    def part(self, start: int, end: int) -> str:
        """The bases from ``start`` to ``end`` (exclusive)."""


def is_fasta(path: Path) -> bool:
    """Whether a file name has a FASTA suffix, compressed or not."""
    return Path(path.name.removesuffix(".gz")).suffix.lower() in ENDINGS


def is_annotation(path: Path) -> bool:
    """Whether a file name has a GFF3 or GTF suffix, compressed or not."""
    return Path(path.name.removesuffix(".gz")).suffix.lower() in ANNOTATION_ENDINGS


def text_of(path: Path) -> IO[str]:
    """Opens a text file, gzip-compressed or not, and skips a byte order mark.

    Bytes that are not UTF-8 become escapes such as \\xe9, so that names stay distinct.  Raises
    ``OSError`` with an explanation if the path is not a file.
    """
    reason = why_not_a_file(path)
    if reason is not None:
        raise OSError(reason)
    with path.open("rb") as stream:
        head = stream.read(3)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise OSError("the file is UTF-16; save it as UTF-8.")
    opened: Any = gzip.open if head.startswith(b"\x1f\x8b") else open
    lines: IO[str] = opened(path, "rt", encoding="utf-8-sig", errors="backslashreplace")
    return lines


def cannot_be_read(error: Exception) -> str:
    """The message for an error of ``text_of`` or of reading its lines."""
    if type(error) is OSError and error.errno is None:
        return str(error)
    reason = getattr(error, "strerror", None) or error
    return f"the file cannot be read ({reason}); copy it again, or check its permissions."


def fasta_rows(path: Path) -> Iterator[Row[Sequence] | Fault]:
    """Yields the sequences and faults of a file, with their lines.

    In a GFF3 file, the sequences follow the line ``##FASTA``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "x.fa"
    ...     _ = path.write_text(">one first\\nACGT\\nacgtn\\n>two\\nAC-T\\n")
    ...     first, second = fasta_rows(path)
    >>> first.value
    Sequence(name='one', bases='ACGTacgtn')
    >>> second.message
    'the sequence "two" has "-"; valid letters are ACGT and RYSWKMBDHVN (IUPAC).'
    """
    try:
        with text_of(path) as lines:
            numbered: Iterable[tuple[int, str]] = enumerate(lines, 1)
            if is_annotation(path):
                numbered = itertools.dropwhile(lambda each: not begins_fasta(each[1]), numbered)
            yield from _sequences(path, numbered)
    except (OSError, EOFError, zlib.error) as error:
        yield Fault(Place(path), cannot_be_read(error))


def begins_fasta(line: str) -> bool:
    """Whether the sequences of a GFF3 file start at this line.

    Comments may start with the same letters.

    >>> begins_fasta("##FASTA\\r\\n"), begins_fasta("##FASTAQMLK")
    (True, False)
    """
    return line.rstrip() == "##FASTA" or line.startswith(">")


def holds_sequences(path: Path) -> bool:
    """Whether a GFF3 file contains sequences."""
    try:
        with text_of(path) as lines:
            return any(begins_fasta(line) for line in lines)
    except (OSError, EOFError, zlib.error):
        return False


def _shown(sign: str) -> str:
    return sign if sign.isprintable() else f"U+{ord(sign):04X}"


def _sequences(path: Path, lines: Iterable[tuple[int, str]]) -> Iterator[Row[Sequence] | Fault]:
    name, first_line, bad = None, 0, False
    parts: list[str] = []
    seen: dict[str, int] = {}

    def done() -> Iterator[Row[Sequence] | Fault]:
        if name is not None and not bad:
            if any(parts):
                yield Row(Place(path, first_line), Sequence(name, "".join(parts)))
            else:
                yield Fault(
                    Place(path, first_line),
                    f'the sequence "{name}" has no bases; remove this line.',
                )

    for number, raw in lines:
        line = raw.strip()
        if line == "##FASTA" and name is None:
            continue
        if line.startswith(">"):
            yield from done()
            words = line[1:].split()
            name, first_line, bad, parts = words[0] if words else "", number, False, []
            if not name:
                bad = True
                yield Fault(Place(path, number), 'the name after ">" is missing; add one.')
            elif name in seen:
                bad = True
                yield Fault(
                    Place(path, number),
                    f'the name "{name}" was already used on line {seen[name]}; names must be '
                    "unique.",
                )
            seen.setdefault(name, number)
        elif line and name is None:
            yield Fault(
                Place(path, number),
                'there are bases before the first name; a FASTA file must start with ">" and a '
                "name.",
            )
            return
        elif line and not line.startswith(";"):
            foreign = _FOREIGN.search(line)
            if foreign and not bad:
                bad = True
                yield Fault(
                    Place(path, number),
                    f'the sequence "{name}" has "{_shown(foreign.group())}"; valid letters are '
                    "ACGT and RYSWKMBDHVN (IUPAC).",
                )
            parts.append(line)
    yield from done()
    if name is None:
        yield Fault(Place(path), 'the file has no sequences; write ">", a name, and bases.')


class Region:
    """A sequence of a FASTA file on disk; ``part`` reads bases from it."""

    def __init__(self, file: Any, name: str) -> None:
        self._record, self.name = file[name], name

    def __len__(self) -> int:
        return len(self._record)

    def part(self, start: int, end: int) -> str:
        """The bases from ``start`` to ``end``; ``DataError`` for an invalid letter."""
        bases = str(self._record[start:end])
        foreign = _FOREIGN.search(bases)
        if foreign:
            raise DataError(
                f'sequence "{self.name}", base {start + foreign.start() + 1}: '
                f'"{_shown(foreign.group())}" is not a base; valid letters are ACGT and '
                "RYSWKMBDHVN (IUPAC)."
            )
        return bases


def _stays_on_disk(path: Path, large: int) -> bool:
    """Whether pyfaidx should read a file: it is large and uncompressed FASTA."""
    if is_annotation(path) or why_not_a_file(path) is not None or path.stat().st_size <= large:
        return False
    with path.open("rb") as stream:
        return stream.read(1) in (b">", b";")


def open_fasta(path: Path, *, large: int = _LARGE) -> list[Bases]:
    """Opens the sequences of a file; with more than ``large`` bytes, without reading them.

    Raises ``DataError`` if the file cannot be read.
    """
    if not _stays_on_disk(path, large):
        found: list[Bases] = []
        for row in fasta_rows(path):
            if isinstance(row, Fault):
                raise DataError(str(row))
            found.append(row.value)
        return found
    with extra("dna", f"{path}: reading a file of this size"):
        import pyfaidx
    # the index is temporary, because the folder of a genome is often read-only
    folder = tempfile.mkdtemp(prefix="elman-fasta-")
    try:
        file = pyfaidx.Fasta(str(path), indexname=str(Path(folder) / "index.fai"))
    except (pyfaidx.FastaIndexingError, pyfaidx.IndexNotFoundError, ValueError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise DataError(
            f"{path}: the file cannot be read in parts ({error}); all lines of a sequence must "
            "have the same length, and names must be unique."
        ) from error
    weakref.finalize(file, shutil.rmtree, folder, ignore_errors=True)
    return [Region(file, name) for name in file.keys()]  # noqa: SIM118 - not a dict
