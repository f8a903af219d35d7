"""What a transcriber's texts are weighed with: an n-gram model of words or of characters.

``TextFusion`` joins it to the search of ``decode/ctc.py``, in pieces of text as they are found.
A word model speaks when a word has ended; a word that it does not know costs something for each
of its letters, so that names can still be written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from elman.tasks.speech.arpa import parse_arpa, read_arpa, write_arpa
from elman.tasks.speech.ngrams import END, NEVER, UNKNOWN, NGrams, Token, train_ngrams

Unit = Literal["words", "characters"]
#: how the blank between words is written where characters are the tokens
SPACE = "▁"
#: log probability of each letter of a word that a word model does not know
LETTER = -math.log(30)


@dataclass(frozen=True)
class Language:
    """An n-gram model and what its tokens are."""

    ngrams: NGrams
    unit: Unit

    @classmethod
    def read(cls, path: Path) -> Language:
        """From an ARPA file; where every token is one character, they are characters."""
        ngrams = read_arpa(path)
        tokens = [token for (token,) in ngrams.tables[0] if not token.startswith("<")]
        return cls(ngrams, "characters" if all([len(t) == 1 for t in tokens]) else "words")

    @classmethod
    def parse(cls, text: str, unit: Unit, path: Path) -> Language:
        """From the text of an ARPA file."""
        return cls(parse_arpa(text, path), unit)

    def to_arpa(self) -> str:
        """The model as ARPA text."""
        return write_arpa(self.ngrams, digits=3)


def learn_language(texts: Iterable[str], unit: Unit, order: int, most: int) -> Language:
    """A model of texts that has at most ``most`` n-grams.

    Those that are there least often are left out first, and their probability is estimated from
    shorter ones; words are a fifth of all at most.
    """
    sentences = [tokens_of(text, unit) for text in texts]
    return Language(train_ngrams(sentences, order, vocabulary=most // 5, most=most), unit)


def tokens_of(text: str, unit: Unit) -> Sequence[str]:
    """A text as a model's tokens."""
    return text.split() if unit == "words" else list(text.replace(" ", SPACE))


class TextState(NamedTuple):
    """What a language model remembers of a text: its context, and the word that has begun.

    ``ahead`` is what has been added for that word before it has ended.
    """

    context: Token
    word: str
    ahead: float


@dataclass(frozen=True)
class TextFusion:
    """Adds ``weight`` times the log probability of the text, and ``bonus`` for each token.

    The bonus makes up for the cost of every further token, without which texts would be too
    short.  A word that has begun counts as the most frequent word that begins so, or as unknown
    where none does, until it has ended: else the search would put off the ends of words (language
    model look-ahead, Steinbiss et al. 1994).  ``pieces`` are the texts of symbols, symbol 0 being
    the blank of CTC.
    """

    language: Language
    pieces: Sequence[str]
    weight: float
    bonus: float

    @property
    def start(self) -> TextState:
        """Nothing has been said."""
        return TextState(self.language.ngrams.start, "", 0.0)

    def extend(self, state: TextState, symbol: int) -> tuple[TextState, float]:
        """One more piece of text."""
        score = 0.0
        for character in self.pieces[symbol - 1]:
            state, more = self._character(state, character)
            score += more
        return state, score

    def finish(self, state: TextState) -> float:
        """The last word, and the end of the sentence."""
        ngrams, score = self.language.ngrams, 0.0
        if state.word:
            state, score = self._token(state, state.word)
        return score + self.weight * ngrams.score(state.context, END)

    def _character(self, state: TextState, character: str) -> tuple[TextState, float]:
        if self.language.unit == "characters":
            return self._token(state, SPACE if character == " " else character)
        if character != " ":
            word = state.word + character
            ahead = self.weight * self._ahead(word)
            return TextState(state.context, word, ahead), ahead - state.ahead
        return self._token(state, state.word) if state.word else (state, 0.0)

    def _token(self, state: TextState, token: str) -> tuple[TextState, float]:
        ngrams = self.language.ngrams
        likely = ngrams.score(state.context, token)
        if self.language.unit == "words" and not ngrams.known(token):
            likely += LETTER * len(token)
        score = self.weight * likely + self.bonus - state.ahead
        return TextState(ngrams.after(state.context, token), "", 0.0), score

    def _ahead(self, word: str) -> float:
        """The log probability of the likeliest word that begins so."""
        found = self._beginnings.get(word)
        return self._unknown + LETTER * len(word) if found is None else found

    @cached_property
    def _unknown(self) -> float:
        return self.language.ngrams.score((), UNKNOWN)

    @cached_property
    def _beginnings(self) -> dict[str, float]:
        best: dict[str, float] = {}
        for (word,), (likely, _) in self.language.ngrams.tables[0].items():
            for end in range(1, len(word) + 1):
                if best.get(word[:end], NEVER) < likely:
                    best[word[:end]] = likely
        return best
