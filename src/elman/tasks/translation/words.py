"""The words of both languages that occur in the training pairs.

Sources: which words the model can know, which of them are names, and how a word is spelled with its
accents.  Targets: the words that an answer may consist of (``spelling.py``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from elman.data.vocabulary import Vocabulary
from elman.data.words import without_accents

#: letters, also joined by apostrophes and hyphens
WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
#: a word without hyphens; it ends in an apostrophe in "boys'"
PART = re.compile(r"[^\W\d_]+(?:'[^\W\d_]*)*")
#: a word is a slip of the keyboard if it is this many times as frequent with an accent
_COMMONER = 20
#: names that are always copied are learned as words if they occur this often
_OFTEN = 5


@dataclass(frozen=True)
class KnownWords:
    """The words of the training sources, most frequent first, and of the training targets.

    A source word is capitalised if it mostly is so within sentences, as names are.

    >>> words = KnownWords.of([("Le chat de Tom est très beau.", "Tom's cat is very nice.")])
    >>> words.knows("CHAT"), words.knows("tres"), words.spelled("tres"), words.is_name("Tom")
    (True, False, 'très', False)
    >>> words.target
    ("Tom's", 'cat', 'is', 'nice', 'very')
    """

    source: tuple[str, ...] = ()
    target: tuple[str, ...] = ()

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> KnownWords:
        """The words of pairs of sentences."""
        counts: Counter[str] = Counter()
        capitals: Counter[str] = Counter()
        copied: Counter[str] = Counter()
        targets: Counter[str] = Counter()
        for source, target in pairs:
            theirs = set(PART.findall(target))
            targets.update(theirs)
            theirs |= {word.partition("'")[0] for word in theirs}
            for found in PART.finditer(source):
                word = found[0].rstrip("'")
                counts[word.lower()] += 1
                if word[0].isupper() and within_a_sentence(source, found.start()):
                    capitals[word.lower()] += 1
                    copied[word.lower()] += word in theirs
        kept = _without_slips(counts)
        found_words = []
        for word, count in sorted(kept.items(), key=lambda item: (-item[1], item[0])):
            if 2 * capitals[word] <= count:
                found_words.append(word)
            elif count >= _OFTEN or copied[word] < count:
                found_words.append(word.capitalize())
        return cls(tuple(found_words), tuple(sorted(targets)))

    def with_those_of(self, other: KnownWords) -> KnownWords:
        """The words of both, in the order of ``other``, for a model that is trained further."""
        source = tuple(dict.fromkeys([*other.source, *self.source]))
        return KnownWords(source, tuple(sorted({*self.target, *other.target})))

    def knows(self, word: str) -> bool:
        """Whether a source word, or each part of a compound, occurs in the training sources."""
        low = word.lower()
        parts = PART.findall(low.replace("-", " "))
        return all(part.rstrip("'") in self._lower for part in parts)

    def is_name(self, word: str) -> bool:
        """Whether each part of a source word is known as a name."""
        return all(part.capitalize() in self._names for part in word.split("-"))

    def spelled(self, word: str) -> str:
        """A source word in lower case, with the accents of the most frequent word, if unknown."""
        low = word.lower()
        if low.rstrip("'") in self._lower:
            return low
        return self._accented.get(without_accents(low), low)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The source words in lower case."""
        return Vocabulary(list(dict.fromkeys([word.lower() for word in self.source])))

    @cached_property
    def _lower(self) -> frozenset[str]:
        return frozenset([word.lower() for word in self.source])

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset([word for word in self.source if word[0].isupper()])

    @cached_property
    def _accented(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for word in self.source:
            found.setdefault(without_accents(word.lower()), word.lower())
        return found


def within_a_sentence(text: str, place: int) -> bool:
    """Whether a word that begins at ``place`` follows another word of the same sentence.

    >>> [within_a_sentence("Oui. Tom dort.", place) for place in (0, 5, 9)]
    [False, False, True]
    """
    before = text[:place].rstrip(" \"'«»“”([-–—")
    return bool(before) and before[-1] not in ".?!…:"


def _without_slips(counts: Mapping[str, int]) -> dict[str, int]:
    """The words without those that miss the accents of a much more frequent word."""
    best: dict[str, int] = {}
    for word, count in counts.items():
        plain = without_accents(word)
        best[plain] = max(best.get(plain, 0), count)
    return {
        word: count
        for word, count in counts.items()
        if word != without_accents(word) or best[word] < _COMMONER * count
    }
