"""Splits speech into sentences for a transducer; ``sentences.py`` does it for CTC.

The rows of a stream are the outputs of the encoder.  What a transducer says at a step depends on
the symbols before, so greedy decoding beside the search tells where nothing is said.  Each sentence
begins without symbols before it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

import numpy as np
import torch

from elman.decode import Emitted, GreedyTransducer, TransducerBeam
from elman.decode.prefixes import BLANK, Fusion
from elman.decode.transducer import TransducerNetwork
from elman.tasks.speech.sentences import Search, SentenceSearch, SpokenSentence


class TransducerSearch(Search, Protocol):
    """An incremental search that knows when a symbol was emitted."""

    def emitted(self) -> Emitted:
        """The best symbols with their steps."""


class GreedyTransducerSearch:
    """Greedy decoding of a stream; found symbols never change."""

    def __init__(self, network: TransducerNetwork) -> None:
        self._greedy = GreedyTransducer(network)

    def advance(self, rows: np.ndarray) -> None:
        """Processes more steps: outputs of the encoder (time, joint)."""
        with torch.no_grad():
            self._greedy.advance(torch.from_numpy(rows)[:, None])

    def best(self, *, ended: bool = True) -> list[int]:
        """The symbols so far."""
        return self.emitted().symbols

    def stable(self) -> list[int]:
        """The symbols so far."""
        return self.emitted().symbols

    def emitted(self) -> Emitted:
        """The symbols so far with their steps."""
        return self._greedy.emitted[0]


class BeamTransducerSearch:
    """Beam search of a stream."""

    def __init__(self, network: TransducerNetwork, width: int, fusion: Fusion | None) -> None:
        self._beam = TransducerBeam(network, width, fusion=fusion)

    def advance(self, rows: np.ndarray) -> None:
        """Processes more steps: outputs of the encoder (time, joint)."""
        with torch.no_grad():
            self._beam.advance(torch.from_numpy(rows))

    def best(self, *, ended: bool = True) -> list[int]:
        """The best symbols so far."""
        return self._beam.best(ended=ended)

    def stable(self) -> list[int]:
        """The symbols that will not change any more."""
        return self._beam.stable()

    def emitted(self) -> Emitted:
        """The best symbols with their steps."""
        return self._beam.emitted()


class TransducerSentences(SentenceSearch):
    """Searches one sentence after the other; ``pause`` steps of silence end a sentence.

    Takes outputs of the encoder (time, joint), in pieces of any size.
    """

    _search: TransducerSearch

    def __init__(
        self,
        network: TransducerNetwork,
        new_search: Callable[[], TransducerSearch],
        pause: int,
        silent: Collection[int] = (BLANK,),
    ) -> None:
        self._network = network
        super().__init__(new_search, pause, silent)

    def _begin(self) -> None:
        super()._begin()
        self._greedy = GreedyTransducerSearch(self._network)

    def _is_silent(self, row: np.ndarray) -> bool:
        before = len(self._greedy.best())
        self._greedy.advance(row[None])
        return all([symbol in self._silences for symbol in self._greedy.best()[before:]])

    def _spoken_sentence(self, start: int, rows: np.ndarray) -> SpokenSentence:
        found = self._search.emitted()
        spans = [(step, step + 1) for step in found.steps]
        return SpokenSentence(start, list(found.symbols), spans, list(found.log_probs))
