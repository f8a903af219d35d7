"""The lexicon of a search for words, scored by an n-gram model.

``Lexicon.spelled`` is for models whose symbols are letters: all words of the language model in
their spelling, and all other words.  ``Lexicon.pronounced`` is for models whose symbols are
phonemes, with a pronunciation dictionary.  ``Lexicon.word_model`` makes what ``WordBeam`` needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from elman.decode.word_beam import Floats, Integers, WordModel
from elman.decode.word_tree import WordTree
from elman.tasks.speech.ngram_trie import NO_WORD, NGramTrie
from elman.tasks.speech.ngrams import END, NEVER

#: log probability of each letter of an unknown word
LETTER = -math.log(30)


class TrieWords:
    """An n-gram model of the words of a lexicon; see ``WordLanguage``.

    A word that the model does not know scores as ``<unk>`` and ``letter`` for each letter.
    """

    def __init__(self, trie: NGramTrie, texts: Sequence[str], letter: float = LETTER) -> None:
        self._trie = trie
        numbers = [trie.numbers.get(text, NO_WORD) for text in texts]
        known = np.array([*numbers, NO_WORD])
        self._numbers = np.where(known == NO_WORD, trie.unknown, known)
        costs = np.array([letter * len(text) for text in texts] + [0.0])
        self._costs = np.where(known == NO_WORD, costs, 0.0)

    @property
    def start(self) -> int:
        """The context of the empty text."""
        return self._trie.start

    def unigrams(self) -> Floats:
        """The log probability of each word without context, and of an unknown word, the last."""
        likely = self._trie.log_probs[1 + self._numbers].astype(np.float64)
        return np.where(self._numbers == NO_WORD, NEVER, likely) + self._costs

    def extend(self, contexts: Integers, words: Integers) -> tuple[Floats, Integers]:
        """The log probability of a word after each context, and the contexts after it."""
        likely, after = self._trie.extend(contexts, self._numbers[words])
        return likely + self._costs[words], after

    def finish(self, contexts: Integers) -> Floats:
        """The log probability of the end of the text after each context."""
        end = np.full(len(contexts), self._trie.numbers.get(END, NO_WORD))
        return self._trie.extend(contexts, end)[0]


@dataclass(frozen=True, eq=False)
class Lexicon:
    """The words of a search, in the symbols of a model, and the language model that scores them.

    ``texts[k]`` is word k.
    """

    tree: WordTree
    texts: tuple[str, ...]
    language: TrieWords
    space: int

    @classmethod
    def spelled(cls, trie: NGramTrie, pieces: Sequence[str]) -> Lexicon:
        """The words of a language model in letters, and all other words.

        ``pieces[k - 1]`` is the letter of symbol k; one of them must be a space.
        """
        symbol = {letter: k for k, letter in enumerate(pieces, 1)}
        texts = tuple([w for w in trie.words if not w.startswith("<") and set(w) <= symbol.keys()])
        spellings = [(k, [symbol[letter] for letter in text]) for k, text in enumerate(texts)]
        tree = WordTree(spellings, 1 + len(pieces), open=True)
        return cls(tree, texts, TrieWords(trie, texts), symbol[" "])

    @classmethod
    def pronounced(
        cls,
        trie: NGramTrie,
        dictionary: Mapping[str, Sequence[Sequence[int]]],
        symbols: int,
        space: int,
    ) -> Lexicon:
        """The words of a dictionary, which has the rows of symbols of each.

        ``symbols`` is the number of symbols with the blank.  Words that are not in the dictionary
        are impossible.
        """
        texts = tuple(dictionary)
        spellings = [(k, row) for k, text in enumerate(texts) for row in dictionary[text]]
        return cls(WordTree(spellings, symbols), texts, TrieWords(trie, texts), space)

    def word_model(self, *, weight: float, bonus: float, optional_space: bool = False) -> WordModel:
        """What ``WordBeam`` needs to search these words."""
        return WordModel(
            self.tree,
            self.language,
            space=self.space,
            weight=weight,
            bonus=bonus,
            letter=LETTER,
            optional_space=optional_space,
        )
