"""Placeholders: names, numbers, dates and times, which are copied rather than translated.

In training, what both sides of a pair have in common is replaced by the same character on both
sides.  In prediction it is replaced in the source and put back in the translation.  Placeholders
are control characters: each is one byte, so every byte-level vocabulary has them, and no text that
was normalised (``parallel.tidy``) contains them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from elman.tasks.translation.words import WORD, KnownWords, within_a_sentence

#: the placeholders of each kind
CHARACTERS: Mapping[str, str] = MappingProxyType(
    {
        "name": "\x01\x02\x03\x04\x05\x06",
        "number": "\x07\x08\x0e\x0f\x10\x11",
        "date": "\x12\x13",
        "time": "\x14\x15",
        "ordinal": "\x16\x17",
    }
)
PLACEHOLDER = re.compile(f"[{''.join(CHARACTERS.values())}]")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S*[\w/]|[\w.+-]+@[\w-]+\.[\w.-]*\w|[@#]\w+")


@dataclass(frozen=True)
class Span:
    """A part of a source that is copied: its kind, its place, and how the target writes it.

    ``forms`` are patterns of all forms in training targets, and ``answer`` is the one to write.
    """

    kind: str
    start: int
    end: int
    answer: str
    forms: tuple[str, ...] = ()


#: finds the numbers, dates and times of a text
FindSpans = Callable[[str], list[Span]]

_NUMBER = re.compile(r"(?<![\w.,:/-])\d+(?:[.,:/-]\d+)*(?! ?\d)(?:%|\b)")


def plain_numbers(text: str) -> list[Span]:
    """Numbers, which are copied as they are; also dates and times in digits.

    >>> [span.answer for span in plain_numbers("Das kostet 3,50 am 3.4.2021.")]
    ['3,50', '3.4.2021']
    """
    return [
        Span("number", each.start(), each.end(), each[0], (re.escape(each[0]),))
        for each in _NUMBER.finditer(text)
    ]


def addresses(text: str) -> list[Span]:
    """Web and mail addresses, and words with @ and #."""
    return [Span("name", each.start(), each.end(), each[0]) for each in _ADDRESS.finditer(text)]


#: patterns of titles before a name, and what the target writes
Titled = Sequence[tuple[re.Pattern[str], str]]


def names(
    text: str,
    words: KnownWords,
    titles: frozenset[str],
    capitals: bool,
    titled: Titled = (),
) -> list[Span]:
    """The names that the training sources do not have.

    A name is an unknown word with a capital letter, together with the capitalised names beside it
    that are not ``titles``.  In a text in ``capitals`` it is any unknown word.  The title before a
    name, if it is one of ``titled``, is copied with it.

    >>> known = KnownWords(("le", "livre", "de", "est", "ici", "Marie", "Mme"))
    >>> text = "Le livre de Marie Delacroix est ici."
    >>> [span.answer for span in names(text, known, frozenset(), False)]
    ['Marie Delacroix']
    """
    found = list(WORD.finditer(text))
    unknown, joins = [], []
    for each in found:
        word = each[0]
        # a compound name has capitals in all parts, but "Asseyez-vous" has one
        upper = all(part[:1].isupper() for part in word.split("-"))
        strange = upper and not words.knows(word) and word.lower() not in titles
        if strange:
            strange = any(not words.knows(words.spelled(part)) for part in word.split("-"))
        unknown.append(strange and len(word) > 1)
        named = upper and (strange or words.is_name(word)) and word.lower() not in titles
        joins.append(named and not capitals)
    spans = []
    k = 0
    while k < len(found):
        last = k
        while (
            joins[k]
            and last + 1 < len(found)
            and joins[last + 1]
            and text[found[last].end() : found[last + 1].start()] == " "
        ):
            last += 1
        if any(unknown[k : last + 1]):
            start, end = found[k].start(), found[last].end()
            answer = text[start:end]
            for pattern, title in titled:
                if (before := pattern.search(text[:start])) is not None:
                    start, answer = before.start(), f"{title} {answer}"
                    break
            spans.append(Span("name", start, end, answer))
        k = last + 1
    return spans


def common_names(source: str, target: str, words: KnownWords) -> list[Span]:
    """Names that both sides of a training pair write alike, once each.

    >>> known = KnownWords(("Tom", "est", "avec"))
    >>> found = common_names("Tom est avec Ann Lee.", "Tom's with Ann Lee.", known)
    >>> [span.answer for span in found]
    ['Tom', 'Ann Lee']
    """
    theirs = {each[0]: each.start() for each in _NAME.finditer(target)}
    counted = [each[0] for each in _NAME.finditer(target)]
    spans: list[Span] = []
    found = [each[0] for each in _NAME.finditer(source)]
    for each in _NAME.finditer(source):
        word = each[0]
        if word not in theirs or counted.count(word) > 1 or found.count(word) > 1:
            continue
        if not (within_a_sentence(source, each.start()) or words.is_name(word)):
            continue
        last = spans[-1] if spans else None
        if last is not None and source[last.end : each.start()] == " ":
            both = f"{last.answer} {word}"
            if both in target:
                spans[-1] = Span("name", last.start, each.end(), both, (re.escape(both),))
                continue
        spans.append(Span("name", each.start(), each.end(), word, (re.escape(word),)))
    return spans


_NAME = re.compile(r"\b[^\W\d_a-zß-ÿ][^\W\d_]+(?:-[^\W\d_]+)*")


def without_overlaps(spans: Sequence[Span]) -> list[Span]:
    """Spans in order; of two that overlap, the one that is earlier in ``spans`` remains."""
    kept: list[Span] = []
    for span in spans:
        if all(span.end <= other.start or span.start >= other.end for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda span: span.start)


def replaced(
    text: str, spans: Sequence[Span], order: Mapping[str, str]
) -> tuple[str, dict[str, str]]:
    """The text with placeholders, taken from ``order`` by kind, and the answer of each.

    Spans for which no placeholder is left remain.

    >>> span = Span("number", 5, 8, "1,5")
    >>> replaced("Nimm 1,5 Liter.", [span], CHARACTERS)
    ('Nimm \\x07 Liter.', {'\\x07': '1,5'})
    """
    left = {kind: list(signs) for kind, signs in order.items()}
    pieces, answers, end = [], {}, 0
    for span in spans:
        if not left[span.kind]:
            continue
        sign = left[span.kind].pop(0)
        pieces += [text[end : span.start], sign]
        answers[sign] = span.answer
        end = span.end
    return "".join([*pieces, text[end:]]), answers


def restored(text: str, answers: Mapping[str, str]) -> str:
    """The text with the answers in place of the placeholders.

    >>> restored("Take \\x07 litres, \\x08.", {"\\x07": "1.5"})
    'Take 1.5 litres, .'
    """
    return PLACEHOLDER.sub(lambda found: answers.get(found[0], ""), text)
