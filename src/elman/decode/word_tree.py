"""A lexicon as a tree: words that begin with the same symbols share nodes.

The search for words (``word_beam.py``) walks down the tree, a symbol at a time.  Several words may
have the same symbols, as homophones have the same phonemes, and a word several rows of symbols.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64

from elman.errors import OptionError

#: the number of every word that is not in the lexicon
UNKNOWN_WORD = -1
ROOT = 0


class WordTree:
    """The tree of the rows of symbols of all words.

    ``spellings`` are pairs: the number of a word, and its symbols, from 1 to ``symbols - 1``;
    symbol 0 is the blank of CTC.  In an ``open`` tree all other rows of symbols are a word too,
    ``UNKNOWN_WORD``.

    ``child[node, symbol]`` is the next node.  What leaves the tree ends in node ``outside``.  The
    words that may end at a node are ``words[first[node] : first[node + 1]]``.

    Raises ``OptionError`` if a word has no symbols or one that does not exist.

    >>> tree = WordTree([(0, [1, 2]), (1, [1]), (2, [1, 2])], 3)
    >>> node = tree.child[tree.child[ROOT, 1], 2]
    >>> tree.words[tree.first[node] : tree.first[node + 1]].tolist()
    [0, 2]
    """

    def __init__(
        self, spellings: Sequence[tuple[int, Sequence[int]]], symbols: int, *, open: bool = False
    ) -> None:
        self.open = open
        lengths = np.array([len(row) for _, row in spellings], np.int64)
        flat = np.array([symbol for _, row in spellings for symbol in row], np.int64)
        if len(lengths) and not lengths.min():
            raise OptionError("WordTree: a word has no symbols; leave it out.")
        if len(flat) and not 0 < flat.min() <= flat.max() < symbols:
            raise OptionError(
                f"WordTree: the symbols of words must be from 1 to {symbols - 1}, but one is "
                f"{flat.min() if flat.min() < 1 else flat.max()}."
            )
        starts = np.cumsum(lengths) - lengths
        node = np.zeros(len(lengths), np.int64)  # where each row is, symbol after symbol
        parents, last, self.size = [], [], 1
        for depth in range(int(lengths.max(initial=0))):
            longer = np.flatnonzero(lengths > depth)
            keys, place = np.unique(
                node[longer] * symbols + flat[starts[longer] + depth], return_inverse=True
            )
            parents.append(keys // symbols)
            last.append(keys % symbols)
            node[longer] = self.size + place
            self.size += len(keys)
        self.outside = self.size
        self.child = np.full((self.size + 1, symbols), self.outside, np.int32)
        #: the nodes of each depth with their parents, from the root down
        self._levels: list[tuple[int, Int64[np.ndarray, " node"]]] = []
        first = 1
        for above, symbol in zip(parents, last, strict=True):
            self.child[above, symbol] = np.arange(first, first + len(above))
            self._levels.append((first, above))
            first += len(above)
        self._set_words(np.array([word for word, _ in spellings], np.int64), node)

    def _set_words(self, words: Int64[np.ndarray, " row"], node: Int64[np.ndarray, " row"]) -> None:
        pairs = np.unique(np.stack([node, words]), axis=1)
        if self.open:
            wordless = np.setdiff1d(np.arange(1, self.size + 1), pairs[0])
            unknown = np.stack([wordless, np.full(len(wordless), UNKNOWN_WORD)])
            pairs = np.concatenate([pairs, unknown], axis=1)
            pairs = pairs[:, np.argsort(pairs[0], kind="stable")]
        self.words = pairs[1]
        self.first = np.searchsorted(pairs[0], np.arange(self.size + 2))

    def best_below(self, scores: Float64[np.ndarray, " word"]) -> Float64[np.ndarray, " node"]:
        """The best score of the words at and below each node; -inf for ``outside``."""
        best = np.full(self.size + 1, -np.inf)
        owners = np.repeat(np.arange(self.size + 1), np.diff(self.first))
        known = self.words != UNKNOWN_WORD
        np.maximum.at(best, owners[known], scores[self.words[known]])
        for first, above in reversed(self._levels):
            np.maximum.at(best, above, best[first : first + len(above)])
        return best
