"""Splits a text into pieces that a model translates well, and joins their translations.

Models learn from sentences of a few words.  A longer text is translated by its sentences, and a
very long sentence by its clauses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

#: a text of at most this many words is not split, and no piece has more than ``LONGEST`` words
WHOLE, LONGEST = 10, 40

_END = re.compile(r"[.?!…]+[\"'»”)\]]*(?=\s)|[。！？]+(?=.)")
_CLAUSE = re.compile(r"[,;:](?=\s)|\s(?=[-–—]\s)")


def pieces(
    text: str, abbreviations: frozenset[str] = frozenset(), longest: int = LONGEST
) -> list[str]:
    """The pieces of a text, in order; a text of at most ``WHOLE`` words is one piece.

    A sentence does not end after one of the ``abbreviations``, after a single letter, or before a
    small letter.

    >>> pieces("Je viens. " * 3)
    ['Je viens. Je viens. Je viens.']
    >>> text = "Le Dr. A. Blanc est venu ici hier soir. " * 4
    >>> [len(each.split()) for each in pieces(text, frozenset({"dr"}))]
    [9, 9, 9, 9]
    >>> [len(each.split()) for each in pieces("il vient ici, " * 30)]
    [39, 39, 12]
    """
    most = min(longest, LONGEST)
    if len(text.split()) <= min(WHOLE, most):
        return [text.strip()] if text.strip() else [text]
    found = _sentences(text, abbreviations)
    return [clause for sentence in found for clause in _clauses(sentence, most)]


def joined(sources: Sequence[str], answers: Sequence[str], words: frozenset[str]) -> str:
    """The translation of a text from those of its pieces.

    After a piece that ends within a sentence, a full stop that the source lacks is removed, and a
    word goes on in lower case if it is one of the ``words``, which are lower-case.

    >>> joined(["il lit, puis", "il dort."], ["He reads, then.", "He sleeps."], frozenset(["he"]))
    'He reads, then he sleeps.'
    """
    text = ""
    within = False
    for source, answer in zip(sources, answers, strict=True):
        if within and answer[:1].isupper():
            first = re.split(r"[\s']", answer, maxsplit=1)[0].strip(",.;:!?")
            if first != "I" and first.lower() in words:
                answer = answer[0].lower() + answer[1:]
        within = source is not sources[-1] and source[-1:] not in ".?!…\"'»”)。！？"
        if within:
            answer = answer.rstrip(".")
            if source[-1:] in ",;:" and answer[-1:] not in ",;:":
                answer += source[-1]
        text = f"{text} {answer}" if text else answer
    return text


def _sentences(text: str, abbreviations: frozenset[str]) -> list[str]:
    found, start = [], 0
    for end in _END.finditer(text):
        last = re.split(r"[\s'’(\"«“]", text[start : end.start()])[-1]
        following = text[end.end() :].lstrip(" \t\n«“\"'([-–—¿¡")
        if end[0] == "." and (len(last) == 1 or last.lower() in abbreviations):
            continue
        if following[:1].islower():
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]


def _clauses(sentence: str, most: int) -> list[str]:
    """A sentence in parts of at most ``most`` words, cut after signs where it has any."""
    words = sentence.split()
    parts = []
    while len(words) > most:
        text = " ".join(words[:most])
        ends = [each.end() for each in _CLAUSE.finditer(text)]
        last = text[: ends[-1]] if ends else text
        count = len(last.split())
        if 2 * count < most:
            count = most
        parts.append(" ".join(words[:count]))
        words = words[count:]
    return [*parts, " ".join(words)]
