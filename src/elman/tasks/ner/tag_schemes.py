"""Tag schemes: how tags, one a word, write down spans.

BIO (also called IOB2) opens every span with "B-"; IOB1 opens one with "B-" only where it touches
another of its type; BIOES also marks the last word of a span, and a span of one word.  BILOU and
BMES are BIOES in other letters.  Files are read in each of them (``conll.py``); everything inside
Elman is BIO.  Nothing here predicts tags: see ``elman.decode.viterbi`` for that.
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
    """A way to write spans as tags.  "[Ada Lovelace] [Babbage]" of one type is

    BIO   B I B  (Ramshaw and Marcus 1995; Tjong Kim Sang and Veenstra 1999)
    IOB1  I I B
    BIOES B E S  (also with L and U, or M, E and W)
    """

    BIO = "BIO"
    IOB1 = "IOB1"
    BIOES = "BIOES"


@dataclass(frozen=True, order=True)
class Span:
    """Words ``start`` to ``end`` (exclusive) of a sentence are one thing of a type."""

    start: int
    end: int
    type: str


# The letters of BILOU (L, U) and BMES (M, and W for S) mean what those of BIOES mean.
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
    """Why ``tag`` is a tag of no scheme at all; None if it is one.

    >>> shape_fault("B-creative-work")
    >>> shape_fault("PERSON")
    'the tag "PERSON" is neither "O" nor of a form such as "B-PER" or "I-PER"; the tag is the last \
column.'
    """
    if _SHAPE.fullmatch(tag):
        return None
    if re.fullmatch("[BIMELSUW]-?", tag):
        return f'the tag "{tag}" names no type; write one, such as "{tag[0]}-NAME".'
    return (
        f'the tag "{tag}" is neither "O" nor of a form such as "B-PER" or "I-PER"; '
        "the tag is the last column."
    )


def recognise_scheme(sentences: Iterable[Sequence[str]]) -> Scheme:
    """The scheme of a whole file: the one that its tags keep to, or break least.

    Every tag has a proper shape (`shape_fault`).  Where all fit, as in a file of "O" only, it is
    BIO.  A file with few or no "B-" tags is IOB1 rather than a BIO file full of mistakes.

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
    # A "B-" after "O" all but rules IOB1 out: such a file is BIO, even if one tag of it is wrong.
    broken[Scheme.IOB1] *= 10
    # Of equals BIOES is first: nobody writes its letters by accident.
    return min((Scheme.BIOES, Scheme.BIO, Scheme.IOB1), key=lambda scheme: broken[scheme])


def illegal_tags(tags: Sequence[str], scheme: Scheme) -> Iterator[tuple[int, str]]:
    """The position of each tag that breaks the scheme, and the sentence that says why.

    >>> list(illegal_tags(["O", "I-PER"], Scheme.BIO))
    [(1, 'the tag "I-PER" follows "O"; a span starts with "B-".')]
    """
    last = len(tags) - 1
    for position, (previous, tag) in enumerate(pairwise(("", *tags, ""))):
        message = _broken_rule(scheme, previous, tag)
        if message is not None:
            yield min(position, last), message


def to_bio(tags: Sequence[str], scheme: Scheme) -> tuple[str, ...]:
    """The same spans in BIO.

    Raises ``DataError`` for a tag that the scheme does not know or allow in its place.

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
            letter = "B"  # only IOB1 comes here
        bio.append(f"{letter}-{type}" if type else "O")
        previous_type = type
    return tuple(bio)


def spans_of(tags: Sequence[str]) -> list[Span]:
    """The spans of a sentence in BIO, from left to right.

    Predicted tags may break the rules: an "I-" that nothing opened opens a span, as in the
    conlleval script of CoNLL-2000 and in seqeval.  Raises ``DataError`` for a tag that is not
    of BIO.

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
    """Every tag that BIO has for these types: "O" first, then two for each type in its order.

    >>> bio_tags(["LOC", "PER"])
    ('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER')
    """
    return ("O", *(f"{letter}-{type}" for type in types for letter in "BI"))


def _parts(tag: str) -> tuple[str, str]:
    letter, _, type = tag.partition("-")
    return _LETTERS[letter], type


@functools.lru_cache(maxsize=4096)
def _broken_rule(scheme: Scheme, previous: str, tag: str) -> str | None:
    """The sentence for ``tag`` directly after ``previous``; "" stands for either end."""
    before, before_type = _parts(previous) if previous else ("O", "")
    letter, type = _parts(tag) if tag else ("O", "")
    # BIO has no letters but its own, and those of BILOU and BMES are other ways to write BIOES
    written = tag[:1] or "O"
    if scheme is not Scheme.BIOES:
        letter = written
    after = f'follows "{previous}"' if previous else "starts the sentence"
    continues = before in ("B", "I") and before_type == type
    if letter not in scheme.value:  # the letters of a scheme are its name
        return (
            f'the tag "{tag}" is not of {scheme.value}, the scheme of the rest of the file; '
            "write all tags in one scheme."
        )
    if scheme is Scheme.BIO and letter == "I" and not continues:
        return f'the tag "{tag}" {after}; a span starts with "B-".'
    if scheme is Scheme.IOB1 and letter == "B" and not continues:
        return (
            f'the tag "{tag}" {after}; in IOB1, the scheme of the rest of the file, '
            'a span starts with "I-" unless it touches another of its type.'
        )
    if scheme is Scheme.BIOES:
        if letter in ("I", "E") and before not in ("B", "I"):
            return f'the tag "{tag}" {after}; a span starts with "B-" or is one "S-".'
        if before in ("B", "I") and not (letter in ("I", "E") and continues):
            then = f'"{tag}" follows' if tag else "the sentence ends"
            return (
                f'{then} while the span of "{previous}" is open; '
                f'in BIOES, the scheme of the rest of the file, a span ends with "E-".'
            )
    return None
