"""Decodes the output of CTC: greedy decoding, prefix beam search, alignment.

CTC (Graves et al. 2006) predicts at each step the probabilities of all symbols and of a blank,
symbol 0.  A path becomes a text by merging repetitions and removing blanks.  ``best_path`` takes
the best path.  ``PrefixBeam`` sums over all paths of a text (Hannun et al. 2014), can add a
language model, and works on streams.  ``align`` finds the time of each symbol.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from elman.errors import OptionError

BLANK = 0
_NEVER = -math.inf
#: steps between removals of prefixes that left the beam
_PRUNE_EVERY = 32


def best_path(
    log_probs: Float[Tensor, "time batch symbol"], lengths: Int64[Tensor, " batch"]
) -> list[list[int]]:
    """Greedy decoding: the best path of each row, merged.

    >>> import torch
    >>> steps = torch.tensor([[1, 1, 0, 1, 2]]).T
    >>> best_path(torch.nn.functional.one_hot(steps, 3).float(), torch.tensor([5]))
    [[1, 1, 2]]
    """
    best = log_probs.argmax(-1)
    return [
        merge(column[:length].tolist())
        for column, length in zip(best.T, lengths.tolist(), strict=True)
    ]


def merge(path: Sequence[int], last: int = BLANK) -> list[int]:
    """Merges repetitions and removes blanks from a path that follows the symbol ``last``."""
    found = []
    for symbol in path:
        if symbol not in (last, BLANK):
            found.append(symbol)
        last = symbol
    return found


class Fusion(Protocol):
    """A language model, or another scorer, of growing texts.

    States may have any type; scores are added to log probabilities.
    """

    @property
    def start(self) -> Any:
        """The state of the empty text."""

    def extend(self, state: Any, symbol: int) -> tuple[Any, float]:
        """The state after one more symbol, and the score it adds."""

    def finish(self, state: Any) -> float:
        """The score that the end of the text adds."""


class _Prefix:
    """A text as a node of a prefix tree: its last symbol and the text before it."""

    __slots__ = ("children", "depth", "parent", "score", "state", "symbol")

    def __init__(self, parent: _Prefix | None, symbol: int, state: Any, score: float) -> None:
        self.parent = parent
        self.symbol = symbol
        self.state = state
        self.score = score  # of the fusion only
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.children: dict[int, _Prefix] = {}


class PrefixBeam:
    """Prefix beam search for the most likely text, for steps that arrive over time.

    Keeps ``width`` texts after each step.  Skips symbols with a log probability of ``least`` or
    less at a step.  With an unlimited width, ``least`` of -inf and no fusion, ``best`` is exact.

    >>> import torch
    >>> steps = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log().numpy()
    >>> beam = PrefixBeam(8)
    >>> beam.advance(steps)
    >>> beam.best()  # the best path is two blanks, but more paths say 1
    [1]
    """

    def __init__(self, width: int, *, fusion: Fusion | None = None, least: float = -9.0) -> None:
        if width < 1:
            raise OptionError(f"PrefixBeam: width is {width}; it must be 1 or more.")
        self._width, self._fusion, self._least = width, fusion, least
        self._root = _Prefix(None, BLANK, None if fusion is None else fusion.start, 0.0)
        #: per text, the log probability of its paths that end in a blank, and of the others
        self._beams: dict[_Prefix, tuple[float, float]] = {self._root: (0.0, _NEVER)}
        self._settled: list[int] = []
        self._steps = 0

    def advance(self, log_probs: Float[np.ndarray, "time symbol"]) -> None:
        """Processes more steps."""
        for row in log_probs:
            tried = [s for s in np.flatnonzero(row > self._least).tolist() if s != BLANK]
            self._step(row.tolist(), tried)
            self._steps += 1
            if self._steps % _PRUNE_EVERY == 0:
                self._prune()

    def _step(self, row: list[float], tried: list[int]) -> None:
        new: dict[_Prefix, list[float]] = {}
        for prefix, (blank, other) in self._beams.items():
            total = _add(blank, other)
            own = new.setdefault(prefix, [_NEVER, _NEVER])
            own[0] = _add(own[0], total + row[BLANK])
            if prefix.symbol != BLANK:
                own[1] = _add(own[1], other + row[prefix.symbol])
            for symbol in tried:
                child = prefix.children.get(symbol)
                if child is None:
                    child = self._child(prefix, symbol)
                so_far = blank if symbol == prefix.symbol else total
                if so_far > _NEVER:
                    its = new.setdefault(child, [_NEVER, _NEVER])
                    its[1] = _add(its[1], so_far + row[symbol])
        ranked = sorted(new, key=lambda p: _add(*new[p]) + p.score, reverse=True)
        self._beams = {p: (new[p][0], new[p][1]) for p in ranked[: self._width]}

    def _child(self, prefix: _Prefix, symbol: int) -> _Prefix:
        state, score = None, prefix.score
        if self._fusion is not None:
            state, more = self._fusion.extend(prefix.state, symbol)
            score += more
        child = prefix.children[symbol] = _Prefix(prefix, symbol, state, score)
        return child

    def best(self, *, ended: bool = True) -> list[int]:
        """The symbols of the best text so far; ``ended`` adds the score of the end of the text."""

        def score(prefix: _Prefix) -> float:
            end = self._fusion.finish(prefix.state) if self._fusion and ended else 0.0
            return _add(*self._beams[prefix]) + prefix.score + end

        return self._settled + self._below(max(self._beams, key=score))

    def stable(self) -> list[int]:
        """The common prefix of all texts of the beam, which will not change any more."""
        return self._settled + self._below(self._common())

    def _below(self, prefix: _Prefix) -> list[int]:
        symbols = []
        while prefix is not self._root:
            symbols.append(prefix.symbol)
            assert prefix.parent is not None
            prefix = prefix.parent
        return symbols[::-1]

    def _common(self) -> _Prefix:
        """The longest common prefix of the beam."""
        alive = set(self._beams)
        while len(alive) > 1:
            deepest = max([prefix.depth for prefix in alive])
            # move only the deepest up, so as not to pass the common prefix
            alive = {p.parent if p.depth == deepest and p.parent else p for p in alive}
        return alive.pop()

    def _prune(self) -> None:
        """Makes the common prefix final and removes texts that left the beam."""
        common = self._common()
        self._settled += self._below(common)
        self._root, common.parent = common, None
        alive = {common}
        for prefix in self._beams:
            while prefix not in alive:
                alive.add(prefix)
                assert prefix.parent is not None
                prefix = prefix.parent
        for prefix in alive:
            prefix.children = {s: c for s, c in prefix.children.items() if c in alive}


def _add(a: float, b: float) -> float:
    """log(e^a + e^b)."""
    if a < b:
        a, b = b, a
    if b == _NEVER:
        return a
    return a + math.log1p(math.exp(b - a))


def prefix_beam(
    log_probs: Float[np.ndarray, "time symbol"],
    width: int,
    *,
    fusion: Fusion | None = None,
    least: float = -9.0,
) -> list[int]:
    """Finds the most likely text of all steps; see ``PrefixBeam``."""
    beam = PrefixBeam(width, fusion=fusion, least=least)
    beam.advance(log_probs)
    return beam.best()


def align(
    log_probs: Float[np.ndarray, "time symbol"], symbols: Sequence[int]
) -> list[tuple[int, int]]:
    """The (start, end) steps of each symbol on the best path of these symbols; end is exclusive.

    Raises ``OptionError`` if there are too few steps for the symbols.

    >>> steps = np.log([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.1, 0.1, 0.8]])
    >>> align(steps, [1, 2])
    [(0, 1), (2, 4)]
    """
    if not symbols:
        return []
    states = [BLANK]
    for symbol in symbols:
        states += [symbol, BLANK]
    labels = np.array(states)
    skip = np.zeros(len(labels), bool)  # may skip the blank before a different symbol
    skip[2:] = (labels[2:] != BLANK) & (labels[2:] != labels[:-2])
    score = np.full(len(labels), _NEVER)
    score[:2] = log_probs[0, labels[:2]] if len(log_probs) else _NEVER
    back = np.zeros((len(log_probs), len(labels)), np.int8)
    for t in range(1, len(log_probs)):
        one = np.concatenate([[_NEVER], score[:-1]])
        two = np.where(skip, np.concatenate([[_NEVER, _NEVER], score[:-2]]), _NEVER)
        ways = np.stack([score, one, two])
        back[t] = ways.argmax(0)
        score = ways.max(0) + log_probs[t, labels]
    state = len(labels) - 1 if score[-1] >= score[-2] else len(labels) - 2
    if score[state] == _NEVER:
        raise OptionError(f"align: {len(symbols)} symbols do not fit into {len(log_probs)} steps.")
    spans: list[list[int]] = [[-1, -1] for _ in symbols]
    for t in range(len(log_probs) - 1, -1, -1):
        if labels[state] != BLANK:
            span = spans[state // 2]
            span[0], span[1] = t, span[1] if span[1] >= 0 else t + 1
        state -= int(back[t, state])
    return [(start, end) for start, end in spans]
