"""CoNLL columns: a word a line, its tag in the last column, an empty line after each sentence.

The first column is the word, the last one the tag; what lies between is not read.  Columns are
apart by a tab, or by blanks in lines without a tab.  Tags may be in any scheme of
``tag_schemes.py``, which is recognised from the whole file, and are always returned as BIO.
``report.py`` counts what such a file holds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from elman.data.faults import Fault, Place, Row, values_or_error
from elman.data.plain_text import read_plain_text
from elman.tasks.ner.tag_schemes import Scheme, illegal_tags, recognise_scheme, shape_fault, to_bio

# \s and str.splitlines would break words at U+00A0, U+0085 or U+2028, which tweets do hold.
_LINE_END = re.compile(r"\r\n|\n|\r")
_BLANKS = re.compile(r"[ \t]+")


@dataclass(frozen=True)
class TaggedSentence:
    """The words of a sentence and, unless it was read without, their tags in BIO.

    A word may be empty: real files hold lines with a tag only, where a sign was lost.
    """

    tokens: tuple[str, ...]
    tags: tuple[str, ...] | None


def read_conll(path: Path, *, tagged: bool = True) -> list[TaggedSentence]:
    """Every sentence of a file in CoNLL columns (Tjong Kim Sang and De Meulder 2003).

    ``tagged=False`` reads the words alone, from a file with or without tags.  Lines that start
    with ``-DOCSTART-``, and comments such as ``# id = 7``, are passed over; ``#tag`` is a word.

    Raises ``DataError``, with the file and the line, for a file that is missing, empty or not
    UTF-8, a word without a tag, a tag of no scheme, and tags that break their scheme.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "train.conll"
    ...     _ = path.write_text("Harry I-PER\\nPotter I-PER\\nsmiled O\\n")
    ...     read_conll(path)
    [TaggedSentence(tokens=('Harry', 'Potter', 'smiled'), tags=('B-PER', 'I-PER', 'O'))]
    """
    rows, _ = conll_rows(path, tagged=tagged)
    return values_or_error(rows)


def conll_rows(
    path: Path, *, tagged: bool
) -> tuple[list[Row[TaggedSentence] | Fault], Scheme | None]:
    """Sentences and faults in the order of the file, and the scheme that its tags are in."""
    text, faults = read_plain_text(path)
    if not text:
        return [*faults], None
    sentences = list(_sentences(path, text, tagged))
    if not sentences:
        message = (
            "there is no sentence in the file; give a word a line, its tag in the last column."
        )
        return [*faults, Fault(Place(path), message)], None
    # The rules of a scheme are about neighbours: a sentence that lost a tag is not held to them.
    whole = [sentence for sentence in sentences if not sentence.faults]
    scheme = recognise_scheme(sentence.tags for sentence in whole) if tagged else None
    items: list[Row[TaggedSentence] | Fault] = [*faults]
    for sentence in sentences:
        if scheme is not None and not sentence.faults:
            sentence.faults.extend(
                Fault(Place(path, sentence.lines[position]), message)
                for position, message in illegal_tags(sentence.tags, scheme)
            )
        if sentence.faults:
            items.extend(sentence.faults)
            continue
        tags = None if scheme is None else to_bio(sentence.tags, scheme)
        place = Place(path, sentence.lines[0])
        items.append(Row(place, TaggedSentence(tuple(sentence.tokens), tags)))
    return items, scheme


@dataclass
class _Sentence:
    lines: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def _sentences(path: Path, text: str, tagged: bool) -> Iterator[_Sentence]:
    sentence = _Sentence()
    for number, line in enumerate(_LINE_END.split(text), start=1):
        ends = not line.strip() or line.startswith("-DOCSTART-")
        if ends and sentence.lines:
            yield sentence
            sentence = _Sentence()
        if ends or _is_comment(line):
            continue
        token, *others = _columns(line)
        sentence.lines.append(number)
        sentence.tokens.append(token)
        if not tagged:
            continue
        tag = others[-1] if others else ""
        fault = shape_fault(tag) if others else _no_tag(token)
        if fault is not None:
            sentence.faults.append(Fault(Place(path, number), fault))
        sentence.tags.append(tag)
    if sentence.lines:
        yield sentence


def _columns(line: str) -> list[str]:
    line = line.rstrip(" \t")
    if "\t" in line:  # a word may then be empty or hold a blank
        return [column.strip(" ") for column in line.split("\t")]
    return _BLANKS.split(line.lstrip(" "))


def _is_comment(line: str) -> bool:
    """``# id = 7`` is one; ``#tag O``, ``# O`` and ``#`` are words of a text."""
    if not line.startswith("# ") or "\t" in line:
        return False
    columns = _columns(line)
    return len(columns) > 1 and shape_fault(columns[-1]) is not None


def _no_tag(token: str) -> str:
    return (
        f'"{token}" has no tag; a line is a word, a tab or blanks, and its tag, such as "O" or '
        '"B-PER".'
    )
