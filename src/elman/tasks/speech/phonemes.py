"""Transcripts as phonemes, by a pronouncing dictionary.

A phoneme sounds much the same in all words, where English pronounces many letters in several ways.
In training, a word that the dictionary lacks is the phoneme ``SPN``, spoken noise; it cannot be
written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from elman.data.plain_text import read_lines
from elman.errors import DataError
from elman.tasks.speech.compression import deflated, inflated
from elman.tasks.speech.transcripts import Pieces, plain

#: the phoneme of words that are not in the dictionary
NOISE = "SPN"
SPACE = " "
#: maximum size of a dictionary in bytes before compression
_LARGEST = 2**28

#: the pronunciations of each word, the usual one first
Dictionary = Mapping[str, tuple[tuple[str, ...], ...]]


def read_dictionary(path: Path) -> Dictionary:
    """Reads a dictionary in the format of CMUdict: a word and its phonemes per line.

    ``WORD(2)`` begins a further pronunciation, ``;;;`` and ``#`` a comment.  The digits of stressed
    vowels are left out.  Raises ``DataError`` with file and line for a word without phonemes.
    """
    found: dict[str, tuple[tuple[str, ...], ...]] = {}
    for number, line in enumerate(read_lines(path), 1):
        word, *phonemes = re.split(r"\s#\s|;;;", line)[0].split() or [""]
        word = plain(re.sub(r"\(\d+\)$", "", word))
        if not word:
            continue
        if not phonemes:
            raise DataError(
                f"{path}, line {number}: {word!r} has no phonemes; write a word and its phonemes "
                "on each line, such as: hello HH AH L OW"
            )
        said = tuple([re.sub(r"\d$", "", phoneme) for phoneme in phonemes])
        found[word] = tuple(dict.fromkeys([*found.get(word, ()), said]))
    if not found:
        raise DataError(f"{path} has no words; write a word and its phonemes on each line.")
    return found


@dataclass(frozen=True, eq=False)
class Phonemes(Pieces):
    """The phonemes of a dictionary and the space between words, as the symbols of a transcriber.

    >>> phonemes = Phonemes.of({"two": (("T", "UW"),), "too": (("T", "UW"),)})
    >>> phonemes.pieces
    (' ', 'SPN', 'T', 'UW')
    >>> phonemes.encode("two eyes"), phonemes.decode([3, 4, 1, 4])
    ([3, 4, 1, 2], 'two uw')
    """

    dictionary: Dictionary = field(default_factory=dict)

    @classmethod
    def of(cls, dictionary: Dictionary) -> Phonemes:
        """The phonemes that the dictionary uses."""
        used = {each for ways in dictionary.values() for said in ways for each in said}
        return cls((SPACE, NOISE, *sorted(used - {NOISE})), dictionary=dictionary)

    def encode(self, text: str) -> list[int]:
        """The phonemes of a text; those of each word are its first pronunciation."""
        words = [self.pronunciations.get(word) for word in text.split()]
        symbols: list[int] = []
        for ways in words:
            symbols += [self.space, *(ways[0] if ways else (self._numbers[NOISE],))]
        return symbols[1:]

    def decode(self, symbols: Sequence[int]) -> str:
        """The first words of the dictionary with these pronunciations; or else the phonemes."""
        return " ".join([self.homophones(group)[0] for group in self.grouped(symbols)])

    def grouped(self, symbols: Sequence[int]) -> list[tuple[int, ...]]:
        """The phonemes of each word."""
        groups: list[list[int]] = [[]]
        for symbol in symbols:
            if symbol == self.space:
                groups.append([])
            else:
                groups[-1].append(symbol)
        return [tuple(group) for group in groups if group]

    def homophones(self, group: tuple[int, ...]) -> tuple[str, ...]:
        """The words with this pronunciation; if there are none, the names of the phonemes."""
        found = self._words.get(group)
        return found or ("-".join([self.pieces[k - 1].lower() for k in group]),)

    def only(self, words: Iterable[str]) -> Phonemes:
        """The same phonemes with a dictionary of these words only."""
        kept = {word: self.dictionary[word] for word in words if word in self.dictionary}
        return Phonemes(self.pieces, dictionary=kept)

    @cached_property
    def space(self) -> int:
        """The symbol of the space."""
        return self._numbers[SPACE]

    @cached_property
    def pronunciations(self) -> dict[str, list[list[int]]]:
        """The dictionary in symbols."""
        return {
            word: [[self._numbers[each] for each in said] for said in ways]
            for word, ways in self.dictionary.items()
        }

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {piece: k for k, piece in enumerate(self.pieces, 1)}

    @cached_property
    def _words(self) -> dict[tuple[int, ...], tuple[str, ...]]:
        found: dict[tuple[int, ...], list[str]] = {}
        for word, ways in self.pronunciations.items():
            for said in ways:
                found.setdefault(tuple(said), []).append(word)
        return {said: tuple(words) for said, words in found.items()}


def packed_dictionary(dictionary: Dictionary) -> bytes:
    """The dictionary in bytes, a word with a pronunciation per line."""
    lines = [f"{word} {' '.join(said)}" for word, ways in dictionary.items() for said in ways]
    return deflated("\n".join(lines).encode())


def unpacked_dictionary(data: bytes) -> Dictionary:
    """The dictionary of ``packed_dictionary``; ``ValueError`` if the bytes are damaged."""
    text = inflated(data, "a dictionary", _LARGEST).decode()
    found: dict[str, tuple[tuple[str, ...], ...]] = {}
    for line in text.split("\n"):
        word, *said = line.split(" ")
        if not word or not said:
            raise ValueError("a dictionary with a word without phonemes")
        found[word] = (*found.get(word, ()), tuple(said))
    return found
