"""Detects the columns of words and tags in a CoNLL file.

The word is in the first column and the tag in the last (CoNLL-2003).  If the first column has word
numbers, as in GermEval and CoNLL-U, the word is in the second.  Last columns without tags, as in
Universal NER, are ignored.  Users can also name the columns.  ``conll.py`` reads the lines.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from elman.errors import OptionError
from elman.tasks.ner.tag_schemes import shape_fault

# 7, a range such as 7-8 (a contraction of two words), and 7.1 (an empty node of CoNLL-U)
_NUMBER = re.compile(r"[0-9]{1,9}(?:[-.][0-9]{1,9})?")
# fraction of sentences or lines that must agree, because files have errors
_MOST = 0.9

Cells = list[str]


@dataclass(frozen=True)
class Columns:
    """Columns from 1; a ``tag`` of 0 is the last column of each line."""

    token: int
    tag: int
    numbered: bool
    notes: tuple[str, ...] = ()

    def word_of(self, cells: Cells) -> str | None:
        """The word of a line, or None if the line has too few columns."""
        return cells[self.token - 1] if len(cells) >= self.token else None

    def tag_of(self, cells: Cells) -> str | None:
        """The tag of a line, or None if the line has too few columns."""
        place = self.tag or len(cells)
        there = place <= len(cells) and (self.tag != 0 or place > self.token)
        return cells[place - 1] if there else None


def choose_columns(
    sentences: Sequence[Sequence[Cells]], *, tagged: bool, token: int = 0, tag: int = 0
) -> Columns:
    """Chooses the columns of a file from its sentences (lists of cells); 0 means detect.

    >>> choose_columns([[["1", "Ada", "B-PER"], ["2", "left", "O"]]], tagged=True).token
    2
    >>> choose_columns([[["Ada", "NNP", "B-PER"], ["left", "VBD", "O"]]], tagged=True).token
    1

    Raises ``OptionError`` if a column is negative or both columns are the same.
    """
    for name, column in (("token_column", token), ("tag_column", tag)):
        if column < 0:
            raise OptionError(f"{name} is {column}; columns count from 1; 0 detects the column.")
    numbered = _is_numbered(sentences, tagged)
    notes = []
    found = token or (2 if numbered else 1)
    if tagged and tag == found:
        raise OptionError(f"token_column and tag_column are both {tag}; choose two columns.")
    if numbered and not token:
        notes.append("the first column has word numbers; the words are read from the second")
    if tagged and not tag:
        lines = [cells for sentence in sentences for cells in sentence]
        tag, others = _tag_column(lines, found)
        if tag:
            notes.append(f"the last column has no tags; the tags are read from column {tag}")
        if others and numbered:
            columns = ", ".join(map(str, others))
            notes.append(
                f"column {columns} also looks like tags and is ignored; choose with --tag-column"
            )
    return Columns(found, tag, numbered, tuple(notes))


def _is_numbered(sentences: Sequence[Sequence[Cells]], tagged: bool) -> bool:
    """Whether the first column numbers the words in nearly every sentence."""
    counted = total = 0
    for sentence in sentences:
        numbers = [cells[0] for cells in sentence if not cells[0].startswith("#")]
        plain = [number for number in numbers if number.isascii() and number.isdecimal()]
        others = [number for number in numbers if not _NUMBER.fullmatch(number)]
        first = 0 if plain[:1] == ["0"] else 1
        expected = [str(k) for k in range(first, first + len(plain))]
        counted += bool(plain) and plain == expected and not others
        total += bool(numbers)
    if not total or counted < _MOST * total:
        return False
    width = max(len(cells) for sentence in sentences for cells in sentence)
    if width < (3 if tagged else 2):
        return False
    second = [cells[1] for sentence in sentences for cells in sentence if len(cells) > 1]
    return width > 2 or any(shape_fault(cell) is not None for cell in second)


def _tag_column(lines: Sequence[Cells], token: int) -> tuple[int, list[int]]:
    """The column of the tags (0: the last of each line), and others that look like tags."""
    width = max(len(cells) for cells in lines)
    alike = [
        column
        for column in range(token + 1, width + 1)
        if _tags(cells[column - 1] for cells in lines if len(cells) >= column)
    ]
    if not alike or _tags(cells[-1] for cells in lines if len(cells) > token):
        return 0, [column for column in alike if column < width]
    return alike[-1], alike[:-1]


def _tags(cells: Iterable[str]) -> bool:
    shapes = [shape_fault(cell) is None for cell in cells]
    return bool(shapes) and sum(shapes) >= _MOST * len(shapes)


def skips(cells: Cells) -> bool:
    """Whether a line of a numbered file is not a word: a range such as 7-8 or an empty node 7.1."""
    return "-" in cells[0] or "." in cells[0]


def number_fault(cells: Cells) -> str | None:
    """The fault of the word number of a line in a numbered file, or None."""
    if _NUMBER.fullmatch(cells[0]):
        return None
    return (
        f'the line starts with "{cells[0]}", but the first column of the file has word numbers; '
        "correct it, or choose the column of the words with --token-column."
    )
