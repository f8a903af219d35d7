"""Searches over growing texts: what those of CTC and of transducers have in common.

A text is a node of a prefix tree.  A search keeps the best texts after each step in a beam, may add
a language model (``Fusion``), and settles what all texts of the beam begin with.  ``ctc.py`` and
``transducer.py`` say how a step extends the texts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

from elman.errors import OptionError

BLANK = 0
#: the log probability of what cannot be
NEVER = -math.inf
#: steps between removals of prefixes that left the beam
_PRUNE_EVERY = 32

#: what a search knows about the paths of a text
Paths = TypeVar("Paths")


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


class Prefix:
    """A text as a node of a prefix tree: its last symbol and the text before it.

    ``state`` and ``score`` are those of the fusion.
    """

    __slots__ = ("children", "depth", "parent", "score", "state", "symbol")

    def __init__(self, parent: Prefix | None, symbol: int, state: Any, score: float) -> None:
        self.parent = parent
        self.symbol = symbol
        self.state = state
        self.score = score
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.children: dict[int, Prefix] = {}


class PrefixSearch(Generic[Paths]):
    """The beam of a search for the most likely text, for steps that arrive over time."""

    def __init__(self, root: Prefix, paths: Paths, width: int, fusion: Fusion | None) -> None:
        if width < 1:
            raise OptionError(f"{type(self).__name__}: width is {width}; it must be 1 or more.")
        self._width, self._fusion = width, fusion
        self._root = root
        self._beams: dict[Prefix, Paths] = {root: paths}
        self._settled: list[int] = []
        self._steps = 0

    def _total(self, paths: Paths) -> float:
        """The log probability of all paths of a text."""
        raise NotImplementedError

    def best(self, *, ended: bool = True) -> list[int]:
        """The symbols of the best text so far; ``ended`` adds the score of the end of the text."""
        return self._settled + self._below(self._best(ended=ended))

    def stable(self) -> list[int]:
        """The common prefix of all texts of the beam, which will not change any more."""
        return self._settled + self._below(self._common())

    def _best(self, *, ended: bool) -> Prefix:
        def score(prefix: Prefix) -> float:
            end = self._fusion.finish(prefix.state) if self._fusion and ended else 0.0
            return self._total(self._beams[prefix]) + prefix.score + end

        return max(self._beams, key=score)

    def _keep(self, found: Mapping[Prefix, Paths]) -> None:
        """Makes the best of the found texts the beam, at the end of a step."""
        self._beams = self._widest(found)
        self._steps += 1
        if self._steps % _PRUNE_EVERY == 0:
            self._prune()

    def _widest(self, found: Mapping[Prefix, Paths]) -> dict[Prefix, Paths]:
        """The best texts, as many as the beam is wide."""
        ranked = sorted(found, key=lambda p: self._total(found[p]) + p.score, reverse=True)
        return {prefix: found[prefix] for prefix in ranked[: self._width]}

    def _child(self, prefix: Prefix, symbol: int) -> Prefix:
        """The text with one more symbol."""
        child = prefix.children.get(symbol)
        if child is not None:
            return child
        state, score = None, prefix.score
        if self._fusion is not None:
            state, more = self._fusion.extend(prefix.state, symbol)
            score += more
        child = prefix.children[symbol] = type(prefix)(prefix, symbol, state, score)
        return child

    def _below(self, prefix: Prefix) -> list[int]:
        """The symbols from the root to a text."""
        symbols = []
        while prefix is not self._root:
            symbols.append(prefix.symbol)
            assert prefix.parent is not None
            prefix = prefix.parent
        return symbols[::-1]

    def _common(self) -> Prefix:
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


def log_add(a: float, b: float) -> float:
    """log(e^a + e^b)."""
    if a < b:
        a, b = b, a
    if b == NEVER:
        return a
    return a + math.log1p(math.exp(b - a))
