"""Tag schemes, which encode spans as one tag per word.

BIO (also called IOB2) starts every span with "B-".  IOB1 uses "B-" only if a span directly follows
another of its type.  BIOES also marks the last word of a span and spans of one word; BILOU and
BMES are BIOES with other letters.  ``conll.py`` reads all of them and converts them to BIO.
``elman.decode.viterbi`` predicts tags.
"""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from elman.errors import DataError


class Scheme(Enum):
    """A tag scheme.  For example, "[Ada Lovelace] [Babbage]", two spans of one type, is

    BIO   B I B  (Ramshaw and Marcus 1995; Tjong Kim Sang and Veenstra 1999)
    IOB1  I I B
    BIOES B E S  (also with L and U, or M, E and W)
    """

    BIO = "BIO"
    IOB1 = "IOB1"
    BIOES = "BIOES"


@dataclass(frozen=True, order=True)
class Span:
    """Words ``start`` to ``end`` (exclusive) of a sentence, with a type."""

    start: int
    end: int
    type: str


# BILOU (L, U) and BMES (M, and W for S) use other letters than BIOES.
_LETTERS = {
    "O": "O",
    "B": "B",
    "I": "I",
    "M": "I",
    "E": "E",
    "L": "E",
    "S": "S",
    "U": "S",
    "W": "S",
}
_SHAPE = re.compile(r"O|[BIMELSUW]-\S.*")


@functools.lru_cache(maxsize=4096)
def shape_fault(tag: str) -> str | None:
    """Why ``tag`` is not valid in any scheme, or None.

    >>> shape_fault("B-creative-work")
    >>> shape_fault("PERSON")
    'the tag "PERSON" is not "O" or a tag such as "B-PER" or "I-PER"; the tag is the last column.'
    """
    if _SHAPE.fullmatch(tag):
        return None
    if re.fullmatch("[BIMELSUW]-?", tag):
        return f'the tag "{tag}" has no type; add one, such as "{tag[0]}-NAME".'
    return (
        f'the tag "{tag}" is not "O" or a tag such as "B-PER" or "I-PER"; '
        "the tag is the last column."
    )


def recognise_scheme(sentences: Iterable[Sequence[str]]) -> Scheme:
    """The scheme that the tags of a file violate least.

    All tags must be well formed (`shape_fault`).  If all schemes fit, as for a file with only "O",
    it is BIO.  A file with few or no "B-" tags is IOB1 rather than a BIO file with many errors.

    >>> recognise_scheme([["O", "I-PER", "I-PER", "B-PER"]])
    <Scheme.IOB1: 'IOB1'>
    """
    neighbours: Counter[tuple[str, str]] = Counter()
    for tags in sentences:
        neighbours.update(pairwise(("", *tags, "")))
    broken = {
        scheme: sum(
            count
            for (previous, tag), count in neighbours.items()
            if _broken_rule(scheme, previous, tag) is not None
        )
        for scheme in Scheme
    }
    if broken[Scheme.BIO] == 0:
        return Scheme.BIO
    # A "B-" after "O" is strong evidence against IOB1: the file is BIO, even with an error.
    broken[Scheme.IOB1] *= 10
    # In a tie, prefer BIOES: its letters do not occur by accident.
    return min((Scheme.BIOES, Scheme.BIO, Scheme.IOB1), key=lambda scheme: broken[scheme])


def illegal_tags(tags: Sequence[str], scheme: Scheme) -> Iterator[tuple[int, str]]:
    """Yields the position of each tag that violates the scheme, and an explanation.

    >>> list(illegal_tags(["O", "I-PER"], Scheme.BIO))
    [(1, 'the tag "I-PER" follows "O"; a span starts with "B-".')]
    """
    last = len(tags) - 1
    for position, (previous, tag) in enumerate(pairwise(("", *tags, ""))):
        message = _broken_rule(scheme, previous, tag)
        if message is not None:
            yield min(position, last), message


def to_bio(tags: Sequence[str], scheme: Scheme) -> tuple[str, ...]:
    """Converts tags to BIO.

    Raises ``DataError`` for a tag that violates the scheme.

    >>> to_bio(["I-PER", "I-PER", "B-PER", "I-LOC", "O"], Scheme.IOB1)
    ('B-PER', 'I-PER', 'B-PER', 'B-LOC', 'O')
    >>> to_bio(["B-PER", "E-PER", "S-LOC"], Scheme.BIOES)
    ('B-PER', 'I-PER', 'B-LOC')
    """
    for position, message in illegal_tags(tags, scheme):
        raise DataError(f"tag {position + 1} of {len(tags)}: {message}")
    if scheme is Scheme.BIO:
        return tuple(tags)
    bio = []
    previous_type = ""
    for tag in tags:
        letter, type = _parts(tag)
        if letter in "ES":
            letter = "I" if letter == "E" else "B"
        elif letter == "I" and type != previous_type:
            letter = "B"  # only in IOB1
        bio.append(f"{letter}-{type}" if type else "O")
        previous_type = type
    return tuple(bio)


def spans_of(tags: Sequence[str]) -> list[Span]:
    """The spans of BIO tags, from left to right.

    Accepts invalid predicted tags: an "I-" without "B-" starts a span, as in the conlleval script
    of CoNLL-2000 and in seqeval.  Raises ``DataError`` for a tag that is not a BIO tag.

    >>> spans_of(["O", "B-PER", "I-PER", "O", "B-LOC"])
    [Span(start=1, end=3, type='PER'), Span(start=4, end=5, type='LOC')]
    """
    spans: list[Span] = []
    start, open_type = 0, ""
    for position, tag in enumerate((*tags, "O")):
        letter, dash, type = tag.partition("-")
        if tag != "O" and not (letter in ("B", "I") and dash and type):
            raise DataError(
                f'tag {position + 1} of {len(tags)}: "{tag}" is not "O", "B-TYPE" or "I-TYPE"; '
                "convert the tags with to_bio first."
            )
        if open_type and (letter != "I" or type != open_type):
            spans.append(Span(start, position, open_type))
            open_type = ""
        if type and not open_type:
            start, open_type = position, type
    return spans


def bio_tags(types: Iterable[str]) -> tuple[str, ...]:
    """All BIO tags of the given types: "O", then two per type, in order.

    >>> bio_tags(["LOC", "PER"])
    ('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER')
    """
    return ("O", *(f"{letter}-{type}" for type in types for letter in "BI"))


def _parts(tag: str) -> tuple[str, str]:
    letter, _, type = tag.partition("-")
    return _LETTERS[letter], type


@functools.lru_cache(maxsize=4096)
def _broken_rule(scheme: Scheme, previous: str, tag: str) -> str | None:
    """The rule that ``tag`` violates after ``previous``, or None; "" is the start or end."""
    before, before_type = _parts(previous) if previous else ("O", "")
    letter, type = _parts(tag) if tag else ("O", "")
    # only BIOES accepts the letters of BILOU and BMES
    written = tag[:1] or "O"
    if scheme is not Scheme.BIOES:
        letter = written
    after = f'follows "{previous}"' if previous else "starts the sentence"
    continues = before in ("B", "I") and before_type == type
    if letter not in scheme.value:  # the letters of a scheme are its name
        return (
            f'the tag "{tag}" is not valid in {scheme.value}, the scheme of the rest of the file; '
            "use one scheme for all tags."
        )
    if scheme is Scheme.BIO and letter == "I" and not continues:
        return f'the tag "{tag}" {after}; a span starts with "B-".'
    if scheme is Scheme.IOB1 and letter == "B" and not continues:
        return (
            f'the tag "{tag}" {after}; in IOB1, the scheme of the rest of the file, '
            'a span starts with "I-" unless it follows another of its type.'
        )
    if scheme is Scheme.BIOES:
        if letter in ("I", "E") and before not in ("B", "I"):
            return f'the tag "{tag}" {after}; a span starts with "B-" or is a single "S-".'
        if before in ("B", "I") and not (letter in ("I", "E") and continues):
            then = f'"{tag}" follows' if tag else "the sentence ends"
            return (
                f'{then} while the span of "{previous}" is open; '
                f'in BIOES, the scheme of the rest of the file, a span ends with "E-".'
            )
    return None
