"""Reads CoNLL files: one word with its tag per line, an empty line after each sentence.

Columns are separated by tabs, or by spaces in lines without tabs; ``columns.py`` chooses which to
read.  Tags may be in any scheme of ``tag_schemes.py``; the scheme is recognised from the whole
file, and tags are always returned as BIO.  ``report.py`` checks files.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from elman.data.faults import Fault, Note, Place, Row, values_or_error
from elman.data.plain_text import line_end_notes, lines_of, read_plain_text
from elman.stages import counted
from elman.tasks.ner.columns import Cells, Columns, choose_columns, number_fault, skips
from elman.tasks.ner.tag_schemes import Scheme, illegal_tags, recognise_scheme, shape_fault, to_bio

#: a file of fewer lines may be a CoNLL file in which every tag is missing
_FEW = 10

# \\s would split words at U+00A0, U+0085 or U+2028, which occur in tweets.
_BLANKS = re.compile(r"[ \t]+")


@dataclass(frozen=True)
class TaggedSentence:
    """The words of a sentence and, if they were read, their tags in BIO.

    A word may be empty: real files have lines with a tag but no word.
    """

    tokens: tuple[str, ...]
    tags: tuple[str, ...] | None


@dataclass(frozen=True)
class ConllFile:
    """The contents of a file in order, the scheme of its tags, and the columns that were read."""

    items: list[Row[TaggedSentence] | Fault | Note]
    scheme: Scheme | None = None
    columns: Columns | None = None


def read_conll(
    path: Path, *, tagged: bool = True, token_column: int = 0, tag_column: int = 0
) -> list[TaggedSentence]:
    """Reads the sentences of a CoNLL file (Tjong Kim Sang and De Meulder 2003).

    ``tagged=False`` reads only the words, from a file with or without tags.  Columns count from 1;
    0 detects them: the word is in the first column, or in the second if the first has word numbers,
    and the tag is in the last column with tags.  In a file with word numbers, ranges such as
    ``1-2`` and empty nodes such as ``3.1`` are skipped.  Lines that start with ``-DOCSTART-`` and
    comments such as ``# id = 7`` are also skipped; ``#tag`` is a word.

    Raises ``DataError``, with the file and the line, for a file that is missing, empty or not
    UTF-8, a word without a tag, an invalid tag, and a tag that violates the scheme of the file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "train.conll"
    ...     _ = path.write_text("Harry I-PER\\nPotter I-PER\\nsmiled O\\n")
    ...     read_conll(path)
    [TaggedSentence(tokens=('Harry', 'Potter', 'smiled'), tags=('B-PER', 'I-PER', 'O'))]
    """
    return values_or_error(
        conll_rows(path, tagged=tagged, token_column=token_column, tag_column=tag_column).items
    )


def conll_rows(
    path: Path, *, tagged: bool, token_column: int = 0, tag_column: int = 0
) -> ConllFile:
    """The sentences, faults and notes of a file; the arguments are those of `read_conll`."""
    text, faults = read_plain_text(path)
    if not text:
        return ConllFile([*faults])
    items: list[Row[TaggedSentence] | Fault | Note] = [*faults, *line_end_notes(path, text)]
    blocks = list(_blocks(text))
    if not blocks:
        message = (
            "the file has no sentences; write one word per line, with its tag in the last column."
        )
        return ConllFile([*items, Fault(Place(path), message)])
    lines = [cells for block in blocks for _, cells in block]
    if tagged and not tag_column and len(lines) >= _FEW and not _any_tag(lines):
        message = (
            'this is not a CoNLL file: none of its lines ends in a tag, such as "O" or "B-PER"; '
            "write one word per line, with its tag in the last column, and an empty line after "
            "each sentence."
        )
        return ConllFile([*items, Fault(Place(path), message)])
    columns = choose_columns(
        [[cells for _, cells in block] for block in blocks],
        tagged=tagged,
        token=token_column,
        tag=tag_column,
    )
    if columns.notes:
        items.append(Note(Place(path), "; ".join(columns.notes) + "."))
    damaged = {fault.place.line for fault in faults}
    found = [
        _sentence(path, block, columns, tagged) for block in counted(blocks, f"reading {path.name}")
    ]
    sentences = [each for each in found if each.lines]
    # Schemes have rules for neighbouring tags, so they are not applied if a tag is missing.
    whole = [sentence for sentence in sentences if not sentence.faults]
    scheme = recognise_scheme(sentence.tags for sentence in whole) if tagged else None
    for sentence in sentences:
        if scheme is not None and not sentence.faults:
            sentence.faults.extend(
                Fault(Place(path, sentence.lines[position]), message)
                for position, message in illegal_tags(sentence.tags, scheme)
            )
        if sentence.faults:
            items.extend(sentence.faults)
        elif damaged.isdisjoint(sentence.lines):
            tags = None if scheme is None else to_bio(sentence.tags, scheme)
            place = Place(path, sentence.lines[0])
            items.append(Row(place, TaggedSentence(tuple(sentence.tokens), tags)))
    return ConllFile(items, scheme, columns)


def _any_tag(lines: Sequence[Cells]) -> bool:
    """Whether any cell after the first of a line looks like a tag."""
    return any([shape_fault(cell) is None for cells in lines for cell in cells[1:]])


@dataclass
class _Sentence:
    lines: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def _blocks(text: str) -> Iterator[list[tuple[int, Cells]]]:
    """Yields the lines of each sentence as (line number, cells)."""
    block: list[tuple[int, Cells]] = []
    for number, line in enumerate(lines_of(text), start=1):
        ends = not line.strip() or line.startswith("-DOCSTART-")
        if ends and block:
            yield block
            block = []
        if not ends and not _is_comment(line):
            block.append((number, _cells(line)))
    if block:
        yield block


def _sentence(
    path: Path, block: Sequence[tuple[int, Cells]], columns: Columns, tagged: bool
) -> _Sentence:
    sentence = _Sentence()
    for number, cells in block:
        if columns.numbered and (cells[0].startswith("#") or skips(cells)):
            continue
        token = columns.word_of(cells)
        tag = columns.tag_of(cells)
        fault = number_fault(cells) if columns.numbered else None
        if token is None:
            fault = fault or f"the line has no column {columns.token}, which has the word; add it."
        elif tagged:
            fault = fault or (_no_tag(token, columns) if tag is None else shape_fault(tag))
        if fault is not None:
            sentence.faults.append(Fault(Place(path, number), fault))
        sentence.lines.append(number)
        sentence.tokens.append(token or "")
        sentence.tags.append(tag or "")
    return sentence


def _cells(line: str) -> Cells:
    line = line.replace("\r", " ").rstrip(" \t")
    if "\t" in line:  # then words may be empty or contain spaces
        return [column.strip(" ") for column in line.split("\t")]
    return _BLANKS.split(line.lstrip(" "))


def _is_comment(line: str) -> bool:
    """``# id = 7`` is a comment; ``#tag O``, ``# O`` and ``#`` are words."""
    if not line.startswith("# ") or "\t" in line:
        return False
    columns = _cells(line)
    return len(columns) > 1 and shape_fault(columns[-1]) is not None


def _no_tag(token: str, columns: Columns) -> str:
    if columns.tag:
        return f'"{token}" has no column {columns.tag}, which has the tag; add it.'
    return (
        f'"{token}" has no tag; a line is a word, a tab or spaces, and a tag, such as "O" or '
        '"B-PER".'
    )
