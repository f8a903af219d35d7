"""Text files as consecutive sections, which can be split into training and validation data.

A section ends at the end of a line where possible, so that no word is cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elman.data.faults import Fault, Note, Place, Row
from elman.data.folders import files_below
from elman.data.plain_text import line_end_notes, read_plain_text
from elman.data.sources import is_folder
from elman.errors import DataError
from elman.stages import counted

#: the suffixes of text files in a folder
SUFFIXES = (".txt", ".text", ".md", ".rst")
#: a file is split into about so many sections, each of this many characters
_SECTIONS, _SHORTEST, _LONGEST = 20, 200, 20_000
_LINE_ENDS = re.compile(r"\r+\n")


@dataclass(frozen=True)
class Section:
    """A part of a text: section ``number`` of the file ``source``.

    ``first`` and ``last`` say whether the text starts and ends with it.
    """

    text: str
    source: str = ""
    number: int = 0
    first: bool = True
    last: bool = True

    def __len__(self) -> int:
        return len(self.text)

    def is_followed_by(self, other: Section) -> bool:
        """Whether ``other`` is the next section of the same text."""
        return other.source == self.source and other.number == self.number + 1 and not self.last


def section_rows(path: Path) -> Iterator[Row[Section] | Fault | Note]:
    """The sections of a text file, or of each text file in a folder and its subfolders."""
    if not is_folder(path):
        yield from _sections_of_file(path)
        return
    try:
        files = files_below(path)
    except DataError as error:
        yield Fault(Place(path), str(error).removeprefix(f"{path}: "))
        return
    texts = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not texts:
        yield Fault(
            Place(path),
            f"the folder has no text files ({', '.join(SUFFIXES)}); name a file or another folder.",
        )
    elif len(texts) < len(files):
        others = len(files) - len(texts)
        yield Note(
            Place(path),
            f"{others} file{'s' if others > 1 else ''} without the suffix of a text file "
            f"({', '.join(SUFFIXES)}) {'are' if others > 1 else 'is'} left out.",
        )
    for file in counted(texts, f"reading the texts of {path.name}"):
        yield from _sections_of_file(file)


def _sections_of_file(path: Path) -> Iterator[Row[Section] | Fault | Note]:
    text, faults = read_plain_text(path)
    yield from faults
    if faults or not text:
        return
    yield from line_end_notes(path, text)
    text = _LINE_ENDS.sub("\n", text).replace("\r", " ")
    ends = list(_ends(text))
    start, line = 0, 1
    for number, end in enumerate(counted(ends, f"reading {path.name}")):
        part = text[start:end]
        section = Section(part, str(path), number, number == 0, number == len(ends) - 1)
        yield Row(Place(path, line), section)
        start, line = end, line + part.count("\n")


def _ends(text: str) -> Iterator[int]:
    """Where each section ends."""
    size = min(max(len(text) // _SECTIONS, _SHORTEST), _LONGEST)
    start = 0
    while len(text) - start > size + size // 2:
        # the last end of a line, else the last space, in the second half of the section
        middle, end = start + size // 2, start + size
        at = text.rfind("\n", middle, end)
        if at < 0:
            at = text.rfind(" ", middle, end)
        start = end if at < 0 else at + 1
        yield start
    if start < len(text):
        yield len(text)
