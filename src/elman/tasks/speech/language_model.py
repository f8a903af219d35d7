"""Language model fusion: an n-gram model of words or characters scores the texts of the search.

``TextFusion`` connects it to the searches of ``decode/``.  A word model scores each word at
its end.  An unknown word costs a fixed amount per letter, so that names can still be written.
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
#: the token for the space in character models
SPACE = "▁"
#: log probability of each letter of an unknown word
LETTER = -math.log(30)


@dataclass(frozen=True)
class Language:
    """An n-gram model and its token type."""

    ngrams: NGrams
    unit: Unit

    @classmethod
    def read(cls, path: Path) -> Language:
        """Reads an ARPA file; it is a character model if every token is one character."""
        ngrams = read_arpa(path)
        tokens = [token for (token,) in ngrams.tables[0] if not token.startswith("<")]
        return cls(ngrams, "characters" if all([len(t) == 1 for t in tokens]) else "words")

    @classmethod
    def parse(cls, text: str, unit: Unit, path: Path) -> Language:
        """Parses the text of an ARPA file."""
        return cls(parse_arpa(text, path), unit)

    def to_arpa(self) -> str:
        """The model as ARPA text."""
        return write_arpa(self.ngrams, digits=3)


def train_language(texts: Iterable[str], unit: Unit, order: int, most: int) -> Language:
    """Trains a model with at most ``most`` n-grams.

    Prunes the least informative n-grams and backs off to shorter ones.  At most a fifth of the
    n-grams are unigrams.  A model of words expects unknown ones.
    """
    sentences = [tokens_of(text, unit) for text in texts]
    ngrams = train_ngrams(
        sentences, order, vocabulary=most // 5, most=most, expect_unknown=unit == "words"
    )
    return Language(ngrams, unit)


def tokens_of(text: str, unit: Unit) -> Sequence[str]:
    """Splits a text into tokens."""
    return text.split() if unit == "words" else list(text.replace(" ", SPACE))


class TextState(NamedTuple):
    """State of the language model after a text: its context and the unfinished word.

    ``ahead`` is the look-ahead score already added for the unfinished word.
    """

    context: Token
    word: str
    ahead: float


@dataclass(frozen=True)
class TextFusion:
    """Adds ``weight`` times the log probability of the text, and ``bonus`` for each token.

    The bonus offsets the cost of each further token, which would make texts too short.  An
    unfinished word scores as the most frequent word with this prefix, or as an unknown word if
    there is none; otherwise the search would delay the ends of words (language model look-ahead,
    Steinbiss et al. 1994).  ``pieces[k - 1]`` is the text of symbol k; symbol 0 is the CTC blank.
    """

    language: Language
    pieces: Sequence[str]
    weight: float
    bonus: float

    @property
    def start(self) -> TextState:
        """The state of the empty text."""
        return TextState(self.language.ngrams.start, "", 0.0)

    def extend(self, state: TextState, symbol: int) -> tuple[TextState, float]:
        """The state after one more symbol, and the score it adds."""
        score = 0.0
        for character in self.pieces[symbol - 1]:
            state, more = self._character(state, character)
            score += more
        return state, score

    def finish(self, state: TextState) -> float:
        """The score of the last word and of the end of the sentence."""
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
        """The log probability of the most frequent word with this prefix."""
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
