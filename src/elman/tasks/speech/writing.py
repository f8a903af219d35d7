"""Writes the symbols of a search as words, whole or while they arrive.

Letters spell their words.  Phonemes leave open which of several homophones was said: ``Homophones``
takes the most likely words of the language model, by the words before and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from elman.tasks.speech.ngram_trie import NGramTrie
from elman.tasks.speech.ngrams import END
from elman.tasks.speech.phonemes import Phonemes
from elman.tasks.speech.transcripts import Pieces

#: choices of homophones that are kept after each word
_WIDTH = 32


class Writer(Protocol):
    """Writes symbols as words."""

    def words(self, symbols: Sequence[int]) -> list[str]:
        """The words of the symbols of a sentence."""

    def settled(self, symbols: Sequence[int]) -> list[str]:
        """The words that stay whatever symbols follow."""


class Spelling:
    """Writes letters and subwords."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces

    def words(self, symbols: Sequence[int]) -> list[str]:
        """The words of the symbols."""
        return self._pieces.decode(symbols).split()

    def settled(self, symbols: Sequence[int]) -> list[str]:
        """The words but the last, which may continue."""
        return self._pieces.decode(symbols).rpartition(" ")[0].split()


class _Choice(NamedTuple):
    """Words, their log probability and the context after them."""

    score: float
    words: tuple[str, ...]
    context: int


class Homophones:
    """Writes phonemes: of the words with the same pronunciation, the most likely ones.

    >>> from elman.tasks.speech.ngrams import train_ngrams
    >>> ngrams = NGramTrie.of(train_ngrams([["two", "cats"], ["come", "to"]], 2))
    >>> cats, come, two = ("K", "AE", "T", "S"), ("K", "AH", "M"), ("T", "UW")
    >>> said = Phonemes.of({"cats": (cats,), "come": (come,), "two": (two,), "to": (two,)})
    >>> writer = Homophones(said, ngrams)
    >>> writer.words(said.encode("to cats")), writer.words(said.encode("come two"))
    (['two', 'cats'], ['come', 'to'])
    """

    def __init__(self, phonemes: Phonemes, ngrams: NGramTrie) -> None:
        self._phonemes, self._ngrams = phonemes, ngrams

    def words(self, symbols: Sequence[int]) -> list[str]:
        """The most likely words with these pronunciations."""
        choices = self._choices(self._phonemes.grouped(symbols))
        ends = [choice.score + self._ngrams.score(choice.context, END) for choice in choices]
        return list(choices[int(np.argmax(ends))].words)

    def settled(self, symbols: Sequence[int]) -> list[str]:
        """The words but the last that all choices which are still kept begin with."""
        groups = self._phonemes.grouped(symbols)
        if not symbols or symbols[-1] != self._phonemes.space:
            groups = groups[:-1]
        first, *others = [choice.words for choice in self._choices(groups)]
        same = 0
        while same < len(first) and all([other[same] == first[same] for other in others]):
            same += 1
        return list(first[:same])

    def _choices(self, groups: Sequence[tuple[int, ...]]) -> list[_Choice]:
        """The most likely choices of words, the best first; each ends in another context."""
        choices = [_Choice(0.0, (), self._ngrams.start)]
        for group in groups:
            found = self._phonemes.homophones(group)
            words = [word for word in found if self._ngrams.known(word)] or found[:1]
            numbers = [self._ngrams.numbers.get(word, self._ngrams.unknown) for word in words]
            contexts = np.repeat([choice.context for choice in choices], len(words))
            likely, after = self._ngrams.extend(contexts, np.tile(numbers, len(choices)))
            longer = [(choice, word) for choice in choices for word in words]
            best: dict[int, _Choice] = {}
            for (choice, word), more, context in zip(
                longer, likely.tolist(), after.tolist(), strict=True
            ):
                score = choice.score + more
                if context not in best or best[context].score < score:
                    best[context] = _Choice(score, (*choice.words, word), context)
            choices = sorted(best.values(), key=lambda choice: -choice.score)[:_WIDTH]
        return choices
