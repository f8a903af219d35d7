"""Splits speech into sentences at its pauses, while it arrives.

A pause is a number of steps in a row at which the blank, or a space, is the most likely symbol.
Each sentence is searched by itself, so a recording of any length needs the memory of its longest
sentence.  ``SentenceSearch`` is for CTC; ``transducer_sentences.py`` derives that for transducers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from elman.decode.ctc import align, merge
from elman.decode.prefixes import BLANK


class Search(Protocol):
    """An incremental search for symbols, such as ``PrefixBeam``."""

    def advance(self, log_probs: np.ndarray) -> None:
        """Processes more steps: log probabilities (time, symbols)."""

    def best(self, *, ended: bool = True) -> list[int]:
        """The best symbols so far."""

    def stable(self) -> list[int]:
        """The symbols that will not change any more."""


class GreedySearch:
    """Greedy decoding, step by step; found symbols never change."""

    def __init__(self) -> None:
        self._found: list[int] = []
        self._last = BLANK

    def advance(self, log_probs: np.ndarray) -> None:
        """Processes more steps: log probabilities (time, symbols)."""
        path = log_probs.argmax(1).tolist()
        self._found += merge(path, self._last)
        self._last = path[-1] if path else self._last

    def best(self, *, ended: bool = True) -> list[int]:
        """The symbols so far."""
        return self._found

    def stable(self) -> list[int]:
        """The symbols so far."""
        return self._found


@dataclass(frozen=True, eq=False)
class SpokenSentence:
    """The symbols of a sentence, which begins at step ``start``.

    ``spans`` are the (first, last) steps of each symbol from there, the last excluded, and
    ``log_probs`` its log probabilities.
    """

    start: int
    symbols: list[int]
    spans: list[tuple[int, int]]
    log_probs: list[float]


class SentenceSearch:
    """Searches one sentence after the other; ``pause`` steps of silence end a sentence.

    ``silent`` are the symbols of silence.  With ``pause`` 0, everything is one sentence.  The
    result does not depend on how the steps are divided among calls of ``advance``.

    >>> steps = np.log(np.eye(3)[[1, 0, 0, 2]] + 1e-9)
    >>> search = SentenceSearch(GreedySearch, pause=2)
    >>> search.advance(steps)
    >>> search.finish()
    >>> [(sentence.start, sentence.symbols) for sentence in search.sentences]
    [(0, [1]), (3, [2])]
    """

    def __init__(
        self, new_search: Callable[[], Search], pause: int, silent: Collection[int] = (BLANK,)
    ) -> None:
        self.sentences: list[SpokenSentence] = []
        self._new_search, self._pause, self._silences = new_search, pause, silent
        self._next = 0  # the number of steps so far
        self._begin()

    def _begin(self) -> None:
        self._search = self._new_search()
        self._rows: list[np.ndarray] = []
        self._spoken, self._silent = False, 0
        self._searched = 0  # the rows that the search has processed

    def advance(self, log_probs: np.ndarray) -> None:
        """Processes more steps: log probabilities (time, symbols)."""
        for row in log_probs:
            self._rows.append(row)
            self._next += 1
            if not self._is_silent(row):
                self._spoken, self._silent = True, 0
                continue
            self._silent += 1
            if self._pause and not self._spoken:
                del self._rows[: -self._pause]  # silence before a sentence
            elif self._pause and self._silent >= self._pause:
                self._end()
        if self._spoken:
            self._catch_up()

    def finish(self) -> None:
        """Ends the last sentence."""
        if self._rows:
            self._end()

    def best(self) -> list[int]:
        """The best symbols of the sentence that is being spoken."""
        return self._search.best(ended=False)

    def stable(self) -> list[int]:
        """The symbols of the sentence that is being spoken which will not change any more."""
        return self._search.stable()

    def _catch_up(self) -> None:
        if self._searched < len(self._rows):
            self._search.advance(np.stack(self._rows[self._searched :]))
            self._searched = len(self._rows)

    def _end(self) -> None:
        self._catch_up()
        sentence = self._spoken_sentence(self._next - len(self._rows), np.stack(self._rows))
        if sentence.symbols:
            self.sentences.append(sentence)
        self._begin()

    def _is_silent(self, row: np.ndarray) -> bool:
        """Whether nothing is said at the next step of a sentence."""
        return int(row.argmax()) in self._silences

    def _spoken_sentence(self, start: int, rows: np.ndarray) -> SpokenSentence:
        """The sentence that has ended."""
        symbols = list(self._search.best())
        spans = align(rows, symbols)
        log_probs = [
            float(rows[first:last, symbol].max())
            for symbol, (first, last) in zip(symbols, spans, strict=True)
        ]
        return SpokenSentence(start, symbols, spans, log_probs)
