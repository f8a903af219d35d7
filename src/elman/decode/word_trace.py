"""How the texts of a search for words came about: records that lead back to the start.

A record is a symbol, the record before it, and the word that ended before the symbol, if any.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

#: no word ends before the symbol of a record
NO_WORD = -2
_START = 0


class FoundWord(NamedTuple):
    """A word of an answer and its symbols, without spaces.

    ``word`` is ``UNKNOWN_WORD`` if it is not in the lexicon.
    """

    word: int
    symbols: tuple[int, ...]


class WordTrace:
    """The records of a search; ``space`` separates words and belongs to none."""

    def __init__(self, space: int) -> None:
        self._space = space
        self._parent = np.full(1024, -1)
        self._symbol = np.zeros(1024, np.int64)
        self._word = np.full(1024, NO_WORD)
        self._size = 1
        self._settled: list[tuple[int, int]] = []  # symbols and words before the first record

    def add(
        self,
        parents: Int64[np.ndarray, " text"],
        symbols: Int64[np.ndarray, " text"],
        words: Int64[np.ndarray, " text"],
    ) -> Int64[np.ndarray, " text"]:
        """Adds records; returns their numbers."""
        first, self._size = self._size, self._size + len(parents)
        while self._size > len(self._parent):
            for name in ("_parent", "_symbol", "_word"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros_like(old)]))
        self._parent[first : self._size] = parents
        self._symbol[first : self._size] = symbols
        self._word[first : self._size] = words
        return np.arange(first, self._size)

    def symbols(self, record: int, *, unfinished: bool = True) -> list[int]:
        """The symbols from the start to a record, with or without those of an unfinished word."""
        path = self._path(record)
        if not unfinished:
            ends = [k for k, (_, word) in enumerate(path) if word != NO_WORD]
            path = path[: ends[-1]] if ends else []
        return [symbol for symbol, _ in path]

    def words(self, record: int, last: int = NO_WORD) -> list[FoundWord]:
        """The words that ended before a record or, the word ``last``, at it."""
        found: list[FoundWord] = []
        letters: list[int] = []
        for symbol, word in self._path(record):
            if word != NO_WORD:
                found.append(FoundWord(word, tuple(letters)))
                letters = []
            if symbol != self._space:
                letters.append(symbol)
        if last != NO_WORD:
            found.append(FoundWord(last, tuple(letters)))
        return found

    def common(self, records: Int64[np.ndarray, " text"]) -> int:
        """The last record that all of these lead back to."""
        # a record is older than those that follow it: the newest is before none of the others
        alive = {-record for record in records.tolist()}
        heap = list(alive)
        heapq.heapify(heap)
        while len(heap) > 1:
            newest = -heapq.heappop(heap)
            parent = -int(self._parent[newest])
            if parent not in alive:
                alive.add(parent)
                heapq.heappush(heap, parent)
        return int(-heap[0])

    def prune(self, records: Int64[np.ndarray, " text"]) -> Int64[np.ndarray, " text"]:
        """Forgets what these records do not need; returns their new numbers."""
        common = self.common(records)
        self._settled = self._path(common)
        needed = np.zeros(self._size, bool)
        needed[common] = True
        front = np.unique(records)
        while len(front := front[~needed[front]]):
            needed[front] = True
            front = np.unique(self._parent[front])
        number = np.cumsum(needed) - 1
        kept = np.flatnonzero(needed)
        self._parent[: len(kept)] = np.where(kept == common, -1, number[self._parent[kept]])
        self._symbol[: len(kept)] = self._symbol[kept]
        self._word[: len(kept)] = self._word[kept]
        self._size = len(kept)
        return np.asarray(number[records])

    def _path(self, record: int) -> list[tuple[int, int]]:
        """The symbols, and the words that ended before them, from the start to a record."""
        found = []
        while record != _START:
            found.append((int(self._symbol[record]), int(self._word[record])))
            record = int(self._parent[record])
        return self._settled + found[::-1]
