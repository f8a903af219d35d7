"""Reads sentence pairs: a table ``source TAB target``, or two files aligned line by line.

Two files are given as ``train.fr,train.en``; the second is in the folder of the first.  ``tidy``
normalises the spelling and punctuation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from elman.data.faults import Fault, Note, Place, Row
from elman.data.plain_text import line_end_notes, lines_of, read_plain_text
from elman.data.sources import data_files, is_folder
from elman.data.tables import is_quoted, table_records
from elman.stages import counted


@dataclass(frozen=True)
class SentencePair:
    """A sentence and its translation, unchanged from the file."""

    source: str
    target: str


Item = Row[SentencePair] | Fault | Note


def pair_rows(path: Path) -> list[Item]:
    """The pairs, faults and notes of a table or of two files, in file order.

    Skips lines with both sides empty, and the third column (attribution) of Tatoeba and Anki
    tables.
    """
    files = data_files(path)
    if len(files) == 1:
        if is_folder(path):
            place = Place(path)
            return [Fault(place, "this is a folder; give a table, or two files such as a.fr,a.en.")]
        return _table_rows(path)
    return _aligned_rows(files[0], files[1])


def _table_rows(path: Path) -> list[Item]:
    text, faults = read_plain_text(path)
    if not text:
        return list(faults)
    items: list[Item] = [*faults, *line_end_notes(path, text)]
    wrong = {fault.place.line for fault in faults}
    written: list[Place] = []
    rows = _columns(path, text, items)
    for place, columns in counted(rows, f"reading {path.name}", text.count("\n")):
        while len(columns) > 2 and not columns[-1].strip():
            columns = columns[:-1]
        if len(columns) == 3 and _ATTRIBUTION.search(columns[2]):
            written.append(place)
            columns = columns[:2]
        if place.line in wrong or not any(column.strip() for column in columns):
            continue
        if place.line == 1 and _HEADER.fullmatch("\t".join(columns)):
            items.append(Note(place, "this line is a header and is skipped."))
        elif len(columns) != 2:
            items.append(
                Fault(
                    place,
                    f"there {'is 1 column' if len(columns) == 1 else f'are {len(columns)} columns'}"
                    "; a line must be a source, one tab, and a target.",
                )
            )
        else:
            items.append(_pair(place, columns[0], columns[1]))
    if written:
        message = f"the third column, an attribution, is ignored ({len(written)} in the file)."
        items.append(Note(written[0], message))
    return _sorted(items)


_ATTRIBUTION = re.compile(r"\bCC[- ](?:BY|0)|\battribution\b|\btatoeba\b", re.IGNORECASE)
_HEADER = re.compile(r"(?:source|src)\t(?:target|tgt|trg)", re.IGNORECASE)


def _columns(path: Path, text: str, items: list[Item]) -> Iterator[tuple[Place, list[str]]]:
    """Yields the columns of each line; appends notes and faults to ``items``.

    Whole sentences may be quoted, so double quotes enclose fields only if the file also has
    doubled quotes.
    """
    quoted, notes = is_quoted(path, text, doubled=True)
    if not quoted:
        for number, line in enumerate(lines_of(text), 1):
            yield Place(path, number), line.split("\t")
        return
    items += notes
    for record in table_records(path, text, "\t", quoted=True):
        if isinstance(record, Fault):
            items.append(record)
        else:
            yield record.place, record.value


def _aligned_rows(first: Path, second: Path) -> list[Item]:
    sides = [read_plain_text(path) for path in (first, second)]
    faults = [fault for _, found in sides for fault in found]
    if any(not text for text, _ in sides):
        return list(faults)
    sources, targets = [lines_of(text) for text, _ in sides]
    items: list[Item] = list(faults)
    for path, (text, _) in zip((first, second), sides, strict=True):
        items += line_end_notes(path, text)
    if len(sources) != len(targets):
        items.append(
            Fault(
                Place(second),
                f"it has {len(targets)} lines, but {first.name} has {len(sources)}; each line "
                "must be the translation of the same line there.",
            )
        )
        return items
    wrong = {fault.place.line for fault in faults}
    for number, (source, target) in enumerate(zip(sources, targets, strict=True), 1):
        if number not in wrong and (source.strip() or target.strip()):
            items.append(_pair(Place(first, number), source, target))
    return _sorted(items)


def _pair(place: Place, source: str, target: str) -> Item:
    for side, text in (("source", source), ("target", target)):
        if not text.strip():
            return Fault(place, f"the {side} is empty; add it or remove the line.")
    source, target = [side.replace("\r", " ").strip() for side in (source, target)]
    return Row(place, SentencePair(source, target))


def _sorted(items: list[Item]) -> list[Item]:
    return sorted(items, key=lambda item: item.place.line or 0)


_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "\u200b": None, "\u00ad": None})
#: characters that no text shows; placeholders.py uses some of them
_CONTROL = dict.fromkeys([*range(0x09), *range(0x0E, 0x1C), *range(0x7F, 0x85), *range(0x86, 0xA0)])
_BEFORE_SIGN = re.compile(r" +([?!;:»])")
_AFTER_QUOTE = re.compile(r"« +")
_ELISION = re.compile(r"\b([cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu)'(?=\w)", re.IGNORECASE)


def tidy(text: str) -> str:
    """Normalises to NFC, single spaces and plain apostrophes, without invisible characters.

    >>> tidy("J’ai  dit\\u00a0: e\\u0301te\\u0301")
    "J'ai dit : été"
    """
    composed = unicodedata.normalize("NFC", text).translate(_APOSTROPHES | _CONTROL)
    return " ".join(composed.split())


def tidy_source(text: str) -> str:
    """``tidy``, and also removes spaces around French punctuation and separates elided words.

    The source is never shown, so it can be normalised further: a space before a question mark does
    not change the translation.

    >>> tidy_source("L’homme qu'il voit !"), tidy_source("Voulez-vous chanter ?")
    ("L' homme qu' il voit!", 'Voulez-vous chanter?')
    """
    signs = _AFTER_QUOTE.sub("«", _BEFORE_SIGN.sub(r"\1", tidy(text)))
    return _ELISION.sub(r"\1' ", signs)


def folded(text: str) -> str:
    """The letters and digits of a text in lower case, to compare sentences.

    A text without letters and digits is only tidied.

    >>> folded("Va !") == folded("va.")
    True
    """
    return "".join([c for c in tidy(text).casefold() if c.isalnum()]) or tidy(text)


def groups(pairs: Sequence[SentencePair]) -> list[int]:
    """The group of each pair; pairs that share a sentence, on either side, have the same group.

    A split must not separate a group.  Sentences are equal if their letters and digits are.
    Groups are numbered from 0 in the order of the pairs.

    >>> groups([SentencePair("Va !", "Go."), SentencePair("Oui.", "Yes."),
    ...         SentencePair("Allez !", "Go!"), SentencePair("va", "Go on.")])
    [0, 1, 0, 0]
    """
    parent: dict[tuple[int, str], tuple[int, str]] = {}

    def root(key: tuple[int, str]) -> tuple[int, str]:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    keys = [((0, folded(pair.source)), (1, folded(pair.target))) for pair in pairs]
    for source, target in keys:
        parent[root(target)] = root(source)
    number: dict[tuple[int, str], int] = {}
    return [number.setdefault(root(source), len(number)) for source, _ in keys]


def absurd_ratio(pair: SentencePair) -> bool:
    """Whether one side is implausibly long compared with the other.

    >>> absurd_ratio(SentencePair("Oui.", "Yes, and I will tell you all about it tomorrow."))
    True
    """
    short, long = sorted([len(pair.source), len(pair.target)])
    return long > 20 + 3 * short
