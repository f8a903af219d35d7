"""Language model fusion: an n-gram model of words or characters scores the texts of the search.

CTC over letters or phonemes and a model of words are searched together by ``WordBeam``
(``lexicon.py``).
``TextFusion`` connects all other models to the searches of ``decode/``.  A word model scores each
word at its end.  An unknown word costs a fixed amount per letter, so that names can still be
written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from elman.decode.word_beam import WordModel
from elman.tasks.speech.arpa import parse_arpa, read_arpa, write_arpa
from elman.tasks.speech.lexicon import LETTER, Lexicon
from elman.tasks.speech.ngram_trie import EMPTY, NGramTrie
from elman.tasks.speech.ngrams import END, NEVER, UNKNOWN, NGrams, train_ngrams
from elman.tasks.speech.packed_trie import packed, unpacked
from elman.tasks.speech.phonemes import Phonemes
from elman.tasks.speech.transcripts import Pieces

Unit = Literal["words", "characters"]
#: the token for the space in character models
SPACE = "▁"


@dataclass(frozen=True, eq=False)
class Language:
    """An n-gram model and its token type."""

    ngrams: NGramTrie
    unit: Unit
    _lexicons: dict[Pieces, Lexicon] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, ngrams: NGrams, unit: Unit) -> Language:
        """The language of a model."""
        return cls(NGramTrie.of(ngrams), unit)

    @classmethod
    def read(cls, path: Path) -> Language:
        """Reads an ARPA file; it is a character model if every token is one character."""
        ngrams = read_arpa(path)
        tokens = [token for (token,) in ngrams.tables[0] if not token.startswith("<")]
        return cls.of(ngrams, "characters" if all([len(t) == 1 for t in tokens]) else "words")

    @classmethod
    def parse(cls, text: str, unit: Unit, path: Path) -> Language:
        """Parses the text of an ARPA file."""
        return cls.of(parse_arpa(text, path), unit)

    def to_arpa(self) -> str:
        """The model as ARPA text."""
        return write_arpa(self.ngrams.to_ngrams(), digits=3)

    def is_of_words_in(self, pieces: Pieces) -> bool:
        """Whether it is a model of words, and these are phonemes, or letters and a space."""
        letters = all([len(piece) == 1 for piece in pieces.pieces])
        return self.unit == "words" and (
            isinstance(pieces, Phonemes) or (letters and pieces.pieces.count(" ") == 1)
        )

    def word_model(self, pieces: Pieces, weight: float, bonus: float) -> WordModel:
        """What ``WordBeam`` needs to search words in these letters or phonemes.

        The lexicon is made once.
        """
        if pieces not in self._lexicons:
            self._lexicons[pieces] = self._lexicon(pieces)
        return self._lexicons[pieces].word_model(weight=weight, bonus=bonus)

    def _lexicon(self, pieces: Pieces) -> Lexicon:
        if isinstance(pieces, Phonemes):
            return Lexicon.pronounced(self.ngrams, pieces.pronunciations, len(pieces), pieces.space)
        return Lexicon.spelled(self.ngrams, pieces.pieces)


def train_language(texts: Iterable[str], unit: Unit, order: int, most: int) -> Language:
    """Trains a model with at most ``most`` n-grams.

    Prunes the least informative n-grams and backs off to shorter ones.  At most a fifth of the
    n-grams are unigrams.  A model of words expects unknown ones.  Its numbers are those that a run
    folder keeps (``packed_trie.py``).
    """
    sentences = [tokens_of(text, unit) for text in texts]
    ngrams = train_ngrams(
        sentences, order, vocabulary=most // 5, most=most, expect_unknown=unit == "words"
    )
    return Language(unpacked(packed(NGramTrie.of(ngrams))), unit)


def tokens_of(text: str, unit: Unit) -> Sequence[str]:
    """Splits a text into tokens."""
    return text.split() if unit == "words" else list(text.replace(" ", SPACE))


class TextState(NamedTuple):
    """State of the language model after a text: its context and the unfinished word.

    ``ahead`` is the look-ahead score already added for the unfinished word.
    """

    context: int
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
        return self.language.ngrams.score(EMPTY, UNKNOWN)

    @cached_property
    def _beginnings(self) -> dict[str, float]:
        best: dict[str, float] = {}
        ngrams = self.language.ngrams
        for word, likely in zip(ngrams.words, ngrams.log_probs[1:].tolist(), strict=False):
            for end in range(1, len(word) + 1):
                if best.get(word[:end], NEVER) < likely:
                    best[word[:end]] = likely
        return best
