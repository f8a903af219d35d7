"""An n-gram language model as a trie in arrays, which answers for many contexts at once.

A node is an n-gram; its children are the n-grams that continue it.  The nodes are numbered by
their length, then by their parent, then by their last word, so that one binary search finds a child
(Heafield 2011).  A context is an integer: the node of its longest end that the model tells apart
from shorter ones, so that texts that the model continues alike share a context.  ``packed_trie.py``
stores it; ``ngrams.py`` trains.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, Float64, Int64

from elman.tasks.speech.ngrams import BEGIN, NEVER, UNKNOWN, NGrams, Token

#: the context that says nothing, the root of the trie
EMPTY = 0
#: the number of a word that is unknown to a model without ``<unk>``
NO_WORD = -1


class NGramTrie:
    """The n-grams of a model as arrays; words and contexts are numbers.

    ``words[k]`` is the text of word k.  Node 0 is the root, node ``1 + k`` the unigram of word k.
    ``sizes[n - 1]`` is the number of n-grams; ``counts[node]`` the number of children, for all
    nodes but the longest; ``last[node - 1]`` the last word of a node.  ``log_probs`` and
    ``backoffs`` (natural) are those of all nodes, 0 for the root.

    >>> from elman.tasks.speech.ngrams import train_ngrams
    >>> model = train_ngrams([["a", "b"], ["a", "b"], ["a", "c"]], 2)
    >>> trie = NGramTrie.of(model)
    >>> context = trie.after(trie.start, "a")
    >>> abs(trie.score(context, "b") - model.score(("a",), "b")) < 1e-6
    True
    """

    def __init__(
        self,
        words: Sequence[str],
        sizes: Sequence[int],
        counts: Int64[np.ndarray, " context"],
        last: Int64[np.ndarray, " ngram"],
        log_probs: Float32[np.ndarray, " node"],
        backoffs: Float32[np.ndarray, " node"],
    ) -> None:
        self.words = tuple(words)
        self.sizes = tuple(sizes)
        self.counts, self.last = counts, last
        self.log_probs, self.backoffs = log_probs, backoffs
        parents = np.repeat(np.arange(len(counts)), counts)
        #: the parent and last word of each node of two words and more, as one number; sorted
        keys = (parents * len(self.words) + last)[len(self.words) :]
        self._keys = np.append(keys, np.iinfo(np.int64).max)
        useful = backoffs != 0
        useful[: len(counts)] |= counts > 0
        self._useful = useful
        self._chains = self._context_chains(parents)
        #: the first child of each context
        self._first = np.concatenate([[0], np.cumsum(counts)]) + 1
        self._memo: dict[tuple[int, str], tuple[float, int]] = {}

    @classmethod
    def of(cls, model: NGrams) -> NGramTrie:
        """The trie of a model; the most likely words have the smallest numbers."""
        unigrams = model.tables[0]
        words = sorted([word for (word,) in unigrams], key=lambda w: (-unigrams[(w,)][0], w))
        number = {word: k for k, word in enumerate(words)}
        tables = _with_prefixes(model)
        sizes, counts, last, log_probs, backoffs = [], [], [], [0.0], [0.0]
        nodes: dict[Token, int] = {(): 0}
        for n, table in enumerate(tables, 1):
            keyed = sorted([(nodes[gram[:-1]], number[gram[-1]], gram) for gram in table])
            sizes.append(len(keyed))
            begin = 0 if n == 1 else sum(sizes[: n - 2]) + 1
            parents = np.array([parent for parent, _, _ in keyed], np.int64)
            counts.append(np.bincount(parents - begin, minlength=1 if n == 1 else sizes[n - 2]))
            last += [word for _, word, _ in keyed]
            log_probs += [table[gram][0] for _, _, gram in keyed]
            backoffs += [table[gram][1] if n < len(tables) else 0.0 for _, _, gram in keyed]
            first = sum(sizes[:-1]) + 1
            nodes = {gram: k for k, (_, _, gram) in enumerate(keyed, first)}
        return cls(
            words,
            sizes,
            np.concatenate(counts),
            np.array(last, np.int64),
            np.array(log_probs, np.float32),
            np.array(backoffs, np.float32),
        )

    @property
    def order(self) -> int:
        """The maximum n-gram length."""
        return len(self.sizes)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each word."""
        return {word: k for k, word in enumerate(self.words)}

    @cached_property
    def unknown(self) -> int:
        """The number of ``<unk>``, or ``NO_WORD``."""
        return self.numbers.get(UNKNOWN, NO_WORD)

    @cached_property
    def start(self) -> int:
        """The context at the start of a sentence."""
        return self.after(EMPTY, BEGIN) if BEGIN in self.numbers else EMPTY

    def known(self, token: str) -> bool:
        """Whether the token is in the vocabulary."""
        return token in self.numbers

    def score(self, context: int, token: str) -> float:
        """The log probability of a token after a context.

        An unknown token counts as ``<unk>``, or as impossible (``NEVER``) if the model has no
        ``<unk>``.
        """
        return self._step(context, token)[0]

    def after(self, context: int, token: str) -> int:
        """The context after one more token."""
        return self._step(context, token)[1]

    def _step(self, context: int, token: str) -> tuple[float, int]:
        found = self._memo.get((context, token))
        if found is None:
            word = self.numbers.get(token, self.unknown)
            found = self._memo[context, token] = self._extend_one(context, word)
        return found

    def _extend_one(self, context: int, word: int) -> tuple[float, int]:
        """``extend`` for one text, which is faster without arrays."""
        likely, backoff = None, 0.0
        for at in (*self._chains[context].tolist(), EMPTY):
            node = self._child_of(at, word)
            if node and likely is None:
                likely = backoff + float(self.log_probs[node])
            if node and self._useful[node]:
                return likely or 0.0, node
            backoff += float(self.backoffs[at])
        return backoff + NEVER if likely is None else likely, EMPTY

    def _child_of(self, node: int, word: int) -> int:
        if word == NO_WORD:
            return 0
        if node == EMPTY:
            return 1 + word
        first, after = self._first[node : node + 2].tolist()
        child = bisect_left(self.last, word, first - 1, after - 1) + 1
        return child if child < after and self.last[child - 1] == word else 0

    def extend(
        self, contexts: Int64[np.ndarray, " text"], words: Int64[np.ndarray, " text"]
    ) -> tuple[Float64[np.ndarray, " text"], Int64[np.ndarray, " text"]]:
        """The log probability of a word after each context, and the contexts after it."""
        chains, every = self._chains[contexts], np.arange(len(words))
        # a column per context, from the longest; the last is the root, whose children are all words
        nodes = np.empty((len(words), self.order), np.int64)
        nodes[:, :-1] = self._child(chains, words[:, None])
        nodes[:, -1] = words + 1
        nodes[words == NO_WORD] = 0
        found = nodes > 0
        scores = np.zeros((len(words), self.order))
        np.cumsum(self.backoffs[chains], axis=1, out=scores[:, 1:])
        longest = found.argmax(1)
        node = nodes[every, longest]
        likely = scores[every, longest] + self.log_probs[node]
        unknown = node == 0
        if unknown.any():
            likely[unknown] = scores[unknown, -1] + NEVER
        useful = found & self._useful[nodes]
        return likely, nodes[every, useful.argmax(1)] * useful.any(1)

    def _child(self, nodes: np.ndarray, words: np.ndarray) -> np.ndarray:
        """The child of each node but the root for a word, or 0."""
        keys = nodes * len(self.words) + words
        places = self._keys.searchsorted(keys)
        return np.where(self._keys[places] == keys, places + (1 + len(self.words)), 0)

    def _context_chains(
        self, parents: Int64[np.ndarray, " ngram"]
    ) -> Int64[np.ndarray, "context length"]:
        """Each context, then its longest proper end that is a useful context, and so on."""
        chains = np.zeros((len(self.counts), self.order - 1), np.int64)
        chains[:, :1] = np.arange(len(self.counts))[:, None]
        first = 1 + self.sizes[0]
        for size in self.sizes[1:-1]:
            nodes = np.arange(first, first + size)
            # the ends of a context are the ends of its parent and its last word
            shorter = chains[parents[nodes - 1], 1:]
            word = self.last[nodes - 1]
            ends = np.zeros((size, self.order - 1), np.int64)
            ends[:, :-1] = self._child(shorter, word[:, None])
            ends[:, -1] = word + 1
            ends[~self._useful[ends]] = 0
            which = (ends > 0).argmax(1)
            end = ends[np.arange(size), which]
            chains[nodes, 1:] = chains[end, :-1]
            first += size
        return chains

    def grams(self) -> list[tuple[Token, ...]]:
        """The n-grams as texts, by their length, in the order of the nodes."""
        parents = np.repeat(np.arange(len(self.counts)), self.counts).tolist()
        last = self.last.tolist()
        texts: list[Token] = [()]
        for parent, word in zip(parents, last, strict=True):
            texts.append((*texts[parent], self.words[word]))
        ends = np.cumsum([1, *self.sizes]).tolist()
        return [tuple(texts[a:b]) for a, b in pairwise(ends)]

    def to_ngrams(self) -> NGrams:
        """The model as tables of texts."""
        numbers = zip(self.log_probs.tolist()[1:], self.backoffs.tolist()[1:], strict=True)
        return NGrams(tuple([dict(zip(grams, numbers, strict=False)) for grams in self.grams()]))


def _with_prefixes(model: NGrams) -> list[dict[Token, tuple[float, float]]]:
    """The tables with the beginning of each n-gram, which files of other tools may lack.

    A missing beginning gets the probability that the model computes for it.  An n-gram with a word
    that is not in the vocabulary is never asked for and is left out.
    """
    unigrams = model.tables[0]
    tables = [dict(unigrams)]
    for table in model.tables[1:]:
        tables.append(
            {gram: v for gram, v in table.items() if all([(w,) in unigrams for w in gram])}
        )
    for n in range(len(tables) - 1, 1, -1):
        for gram in tables[n]:
            if gram[:-1] not in tables[n - 1]:
                tables[n - 1][gram[:-1]] = (model.score(gram[:-2], gram[-2]), 0.0)
    return tables
