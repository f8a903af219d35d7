"""Which columns of a CoNLL file hold the words and their tags.

The word is in the first column and the tag in the last (CoNLL-2003), unless the first column
numbers the words of each sentence, as in GermEval's files and CoNLL-U: then the word is in the
second.  A last column that holds no tags, as in Universal NER, is passed over.  A user who knows
better names the columns.  Lines and sentences are ``conll.py``'s.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from elman.errors import OptionError
from elman.tasks.ner.tag_schemes import shape_fault

# 7, a range such as 7-8 (one word in the text, two in the grammar), and 7.1 (a word left unsaid)
_NUMBER = re.compile(r"[0-9]{1,9}(?:[-.][0-9]{1,9})?")
# of the sentences or lines that decide: files may have mistakes
_MOST = 0.9

Cells = list[str]


@dataclass(frozen=True)
class Columns:
    """``token`` and ``tag`` count from 1; a ``tag`` of 0 is the last column of each line."""

    token: int
    tag: int
    numbered: bool
    notes: tuple[str, ...] = ()

    def word_of(self, cells: Cells) -> str | None:
        """The word of a line; None for a line that holds none by itself."""
        return cells[self.token - 1] if len(cells) >= self.token else None

    def tag_of(self, cells: Cells) -> str | None:
        """The tag of a line; None where the line has too few columns."""
        place = self.tag or len(cells)
        there = place <= len(cells) and (self.tag != 0 or place > self.token)
        return cells[place - 1] if there else None


def choose_columns(
    sentences: Sequence[Sequence[Cells]], *, tagged: bool, token: int = 0, tag: int = 0
) -> Columns:
    """The columns of a file, from its sentences as lines of cells; 0 is to be found out.

    >>> choose_columns([[["1", "Ada", "B-PER"], ["2", "left", "O"]]], tagged=True).token
    2
    >>> choose_columns([[["Ada", "NNP", "B-PER"], ["left", "VBD", "O"]]], tagged=True).token
    1

    Raises ``OptionError`` for a column below 0, or one that holds both.
    """
    for name, column in (("token_column", token), ("tag_column", tag)):
        if column < 0:
            raise OptionError(f"{name} is {column}; columns count from 1, and 0 finds it.")
    numbered = _is_numbered(sentences, tagged)
    notes = []
    found = token or (2 if numbered else 1)
    if tagged and tag == found:
        raise OptionError(f"token_column and tag_column are both {tag}; name two columns.")
    if numbered and not token:
        notes.append("the first column numbers the words, which are read from the second")
    if tagged and not tag:
        lines = [cells for sentence in sentences for cells in sentence]
        tag, others = _tag_column(lines, found)
        if tag:
            notes.append(f"the last column holds no tags, which are read from column {tag}")
        if others and numbered:
            columns = ", ".join(map(str, others))
            notes.append(
                f"column {columns} looks like tags, too, and is not read; --tag-column chooses"
            )
    return Columns(found, tag, numbered, tuple(notes))


def _is_numbered(sentences: Sequence[Sequence[Cells]], tagged: bool) -> bool:
    """Whether the first column counts the words of nearly every sentence."""
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
    """The column of the tags, 0 for each line's last; and others that look like it."""
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
    """Whether a line of a numbered file is no word: a range of them, or one left unsaid."""
    return "-" in cells[0] or "." in cells[0]


def number_fault(cells: Cells) -> str | None:
    """What is wrong with the number that begins a line of a numbered file."""
    if _NUMBER.fullmatch(cells[0]):
        return None
    return (
        f'the line begins with "{cells[0]}", but the first column of the file numbers the words; '
        "correct it, or name the column of the words with --token-column."
    )
