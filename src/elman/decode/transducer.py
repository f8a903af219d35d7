"""Decodes recurrent transducers (Graves 2012): greedy decoding and beam search, also of streams.

At each step a transducer emits symbols until it chooses the blank, symbol 0.  The probability of a
symbol depends on all symbols before it, by the prediction network, which runs once for each symbol
of each text.  ``GreedyTransducer`` takes the best choice each time.  ``TransducerBeam`` sums over
all alignments of a text and can add a language model.  Both know at which step a symbol came, and
process encoder outputs that arrive over time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from elman.decode.prefixes import BLANK, Fusion, Prefix, PrefixSearch, log_add
from elman.errors import OptionError

State = tuple[Tensor, ...]


class TransducerNetwork(Protocol):
    """The networks behind the encoder, as those of ``models.Transducer``."""

    def predict(
        self, symbols: Int64[Tensor, " batch"], state: State | None
    ) -> tuple[Float[Tensor, "batch joint"], State]:
        """The prediction after one more symbol, and the state (layer, batch, hidden) there.

        Symbol 0 without a state is the start.
        """

    def joint(
        self, encoded: Float[Tensor, "batch joint"], predicted: Float[Tensor, "batch joint"]
    ) -> Float[Tensor, "batch symbol"]:
        """The log probability of each symbol."""


@dataclass(frozen=True)
class Emitted:
    """The symbols of a row, the step at which each was emitted, and its log probability there."""

    symbols: list[int]
    steps: list[int]
    log_probs: list[float]


def greedy_transducer(
    network: TransducerNetwork,
    encoded: Float[Tensor, "time batch joint"],
    lengths: Int64[Tensor, " batch"],
    *,
    max_symbols: int = 10,
) -> list[Emitted]:
    """Greedy decoding of each row; see ``GreedyTransducer``."""
    search = GreedyTransducer(network, encoded.shape[1], max_symbols=max_symbols)
    search.advance(encoded, lengths)
    return search.emitted


class GreedyTransducer:
    """Greedy decoding: the best symbol again and again, until it is the blank, at each step.

    Moves on to the next step after ``max_symbols`` symbols at one.  Call it without gradients.

    >>> import elman, torch
    >>> from elman.models import Transducer
    >>> gru = elman.cells.gru
    >>> model = Transducer(elman.Recurrent(gru, 120, 16), elman.Recurrent(gru, 8, 8), 28)
    >>> with torch.no_grad():
    ...     encoded, lengths = model(torch.randn(100, 2, 40), torch.tensor([100, 50]))
    ...     search = GreedyTransducer(model, 2)
    ...     search.advance(encoded, lengths)
    >>> len(search.emitted), len(search.emitted[0].symbols) == len(search.emitted[0].steps)
    (2, True)
    """

    def __init__(self, network: TransducerNetwork, rows: int = 1, *, max_symbols: int = 10) -> None:
        _check_max_symbols("GreedyTransducer", max_symbols)
        self.emitted = [Emitted([], [], []) for _ in range(rows)]
        self._network, self._max_symbols = network, max_symbols
        self._predicted: Tensor | None = None
        self._state: State = ()
        self._time = 0

    def advance(
        self,
        encoded: Float[Tensor, "time batch joint"],
        lengths: Int64[Tensor, " batch"] | None = None,
    ) -> None:
        """Processes more steps of all rows, of which the first ``lengths`` count."""
        rows = len(self.emitted)
        counts = [len(encoded)] * rows if lengths is None else lengths.tolist()
        if self._predicted is None and rows:
            start = torch.full((rows,), BLANK, device=encoded.device)
            self._predicted, self._state = self._network.predict(start, None)
        for t, step in enumerate(encoded):
            self._step(step, [row for row in range(rows) if t < counts[row]])
            self._time += 1

    def _step(self, encoded: Tensor, going: list[int]) -> None:
        for _ in range(self._max_symbols):
            if not going:
                return
            assert self._predicted is not None
            rows = torch.tensor(going, device=encoded.device)
            scores, best = self._network.joint(encoded[rows], self._predicted[rows]).max(-1)
            found = zip(going, best.tolist(), scores.tolist(), strict=True)
            going = []
            for row, symbol, score in found:
                if symbol != BLANK:
                    going.append(row)
                    self.emitted[row].symbols.append(symbol)
                    self.emitted[row].steps.append(self._time)
                    self.emitted[row].log_probs.append(score)
            if going:
                self._read(going)

    def _read(self, going: list[int]) -> None:
        """Runs the prediction network on the last symbols of these rows."""
        assert self._predicted is not None
        rows = torch.tensor(going, device=self._predicted.device)
        state = tuple([each.index_select(1, rows) for each in self._state])
        symbols = torch.tensor([self.emitted[row].symbols[-1] for row in going])
        predicted, after = self._network.predict(symbols.to(rows.device), state)
        self._predicted = self._predicted.index_copy(0, rows, predicted)
        pairs = zip(self._state, after, strict=True)
        self._state = tuple([old.index_copy(1, rows, new) for old, new in pairs])


class _Paths(NamedTuple):
    """What a search knows about the alignments of a text.

    ``total`` is the log probability of all, ``best`` that of the best, and ``link`` the steps and
    log probabilities of its symbols, the last one first: (step, score, (step before, ...)).
    """

    total: float
    best: float
    link: Any


class _Text(Prefix):
    """A text with what the prediction network says after it, once that is computed."""

    __slots__ = ("predicted", "recurrent")

    def __init__(self, parent: Prefix | None, symbol: int, state: Any, score: float) -> None:
        super().__init__(parent, symbol, state, score)
        self.predicted: Tensor | None = None
        self.recurrent: State = ()


class TransducerBeam(PrefixSearch[_Paths]):
    """Beam search for the most likely text, for encoder outputs that arrive over time.

    The search is time-synchronous (Saon, Tüske and Audhkhasi 2020): within a step, texts of the
    beam grow by up to ``max_symbols`` symbols, and the probabilities of equal texts are added.
    Keeps ``width`` texts after each step.  Skips symbols with a log probability of ``least`` or
    less.  With an unlimited width, ``least`` of -inf and no fusion, ``best`` is exact among the
    alignments of at most ``max_symbols`` symbols a step.

    The texts of a beam are computed together, each once.  Call it without gradients.

    >>> import elman, torch
    >>> from elman.models import Transducer
    >>> gru = elman.cells.gru
    >>> model = Transducer(elman.Recurrent(gru, 120, 16), elman.Recurrent(gru, 8, 8), 28)
    >>> with torch.no_grad():
    ...     encoded, _ = model(torch.randn(60, 1, 40), torch.tensor([60]))
    ...     beam = TransducerBeam(model, 4)
    ...     beam.advance(encoded[:, 0])
    >>> len(beam.best()) == len(beam.emitted().steps)
    True
    """

    def __init__(
        self,
        network: TransducerNetwork,
        width: int,
        *,
        fusion: Fusion | None = None,
        max_symbols: int = 10,
        least: float = -9.0,
    ) -> None:
        _check_max_symbols("TransducerBeam", max_symbols)
        root = _Text(None, BLANK, None if fusion is None else fusion.start, 0.0)
        super().__init__(root, _Paths(0.0, 0.0, None), width, fusion)
        self._network, self._max_symbols, self._least = network, max_symbols, least

    def advance(self, encoded: Float[Tensor, "time joint"]) -> None:
        """Processes more steps."""
        for step in encoded:
            self._step(step)

    def emitted(self, *, ended: bool = True) -> Emitted:
        """The best text so far with the steps of its symbols on its best alignment.

        ``ended`` adds the score of the end of the text.
        """
        best = self._best(ended=ended)
        steps, log_probs, link = [], [], self._beams[best].link
        while link is not None:
            step, score, link = link
            steps.append(step)
            log_probs.append(score)
        return Emitted(self._settled + self._below(best), steps[::-1], log_probs[::-1])

    def _total(self, paths: _Paths) -> float:
        return paths.total

    def _step(self, encoded: Tensor) -> None:
        here: Mapping[Prefix, _Paths] = self._beams
        scores: dict[Prefix, list[float]] = {}
        done: dict[Prefix, _Paths] = {}
        for emitted in range(self._max_symbols + 1):
            self._score(encoded, here, scores)
            for text, paths in here.items():
                _merge(done, text, _moved(paths, scores[text][BLANK]))
            if emitted == self._max_symbols:
                break
            here = self._grown(here, scores, done)
            if not here:
                break
        self._keep(done)

    def _grown(
        self,
        here: Mapping[Prefix, _Paths],
        scores: Mapping[Prefix, Sequence[float]],
        done: Mapping[Prefix, _Paths],
    ) -> dict[Prefix, _Paths]:
        """The best texts with one more symbol at this step."""
        found: dict[Prefix, _Paths] = {}
        for text, paths in here.items():
            for symbol, score in enumerate(scores[text]):
                if score > self._least and symbol != BLANK:
                    found[self._child(text, symbol)] = _moved(paths, score, self._steps)
        found = self._widest(found)
        if len(done) < self._width:
            return found
        # a text that is behind all of the beam already would not enter it by a blank
        floor = sorted([paths.total + text.score for text, paths in done.items()])[-self._width]
        return {text: paths for text, paths in found.items() if paths.total + text.score > floor}

    def _score(
        self, encoded: Tensor, texts: Mapping[Prefix, _Paths], scores: dict[Prefix, list[float]]
    ) -> None:
        """Adds the log probabilities of all symbols after the texts that have none yet."""
        new = [text for text in texts if text not in scores and isinstance(text, _Text)]
        if not new:
            return
        self._predict([text for text in new if text.predicted is None])
        predicted = torch.stack([t.predicted for t in new if t.predicted is not None])
        rows = self._network.joint(encoded.expand(len(new), -1), predicted).tolist()
        scores.update(zip(new, rows, strict=True))

    def _predict(self, texts: Sequence[_Text]) -> None:
        """Runs the prediction network for these texts; those before them have been computed."""
        if not texts:
            return
        parents = [text.parent for text in texts if isinstance(text.parent, _Text)]
        state = None
        if parents:
            each = zip(*[parent.recurrent for parent in parents], strict=True)
            state = tuple([torch.stack(states, 1) for states in each])
        symbols = torch.tensor([text.symbol for text in texts])
        predicted, after = self._network.predict(symbols, state)
        for row, text in enumerate(texts):
            text.predicted = predicted[row]
            text.recurrent = tuple([states[:, row] for states in after])


def transducer_beam(
    network: TransducerNetwork,
    encoded: Float[Tensor, "time joint"],
    width: int,
    *,
    fusion: Fusion | None = None,
    max_symbols: int = 10,
    least: float = -9.0,
) -> Emitted:
    """Finds the most likely text of all steps; see ``TransducerBeam``."""
    beam = TransducerBeam(network, width, fusion=fusion, max_symbols=max_symbols, least=least)
    beam.advance(encoded)
    return beam.emitted()


def _moved(paths: _Paths, score: float, step: int | None = None) -> _Paths:
    """The paths after one more move: a blank, or a symbol at a step."""
    link = paths.link if step is None else (step, score, paths.link)
    return _Paths(paths.total + score, paths.best + score, link)


def _merge(found: dict[Prefix, _Paths], text: Prefix, paths: _Paths) -> None:
    """Adds further paths of a text."""
    others = found.get(text)
    if others is not None:
        best = max(paths, others, key=lambda each: each.best)
        paths = best._replace(total=log_add(paths.total, others.total))
    found[text] = paths


def _check_max_symbols(title: str, max_symbols: int) -> None:
    if max_symbols < 1:
        raise OptionError(f"{title}: max_symbols is {max_symbols}; it must be 1 or more.")
