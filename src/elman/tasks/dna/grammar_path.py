"""The best path through an automaton (Viterbi 1967), for batches or for a sequence in pieces.

States, edges and costs are arrays from ``grammar_crf.py``.  ``PathSearch`` decides the path while
scores arrive and stores only the undecided part: the surviving paths of all states, traced back,
soon meet in one state, and the path before it is final (Forney 1973).  ``decode/viterbi.py`` is
the search for few tags with dense transitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int64
from torch import Tensor

Array = npt.NDArray[np.float64]
Path = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Automaton:
    """The classes of the states, symbol costs, edges with scores, and start and end scores."""

    state_classes: Path
    costs: Array  # symbol state
    edges: Path  # edge 2
    edge_scores: Array
    start: Array  # class
    end: Array  # class

    @cached_property
    def _ways(self) -> tuple[Path, Array]:
        """For each state, its predecessors and the scores of their edges, padded with -inf."""
        own = [np.flatnonzero(self.edges[:, 1] == k) for k in range(len(self.state_classes))]
        most = max(map(len, own))
        before = np.zeros((len(own), most), dtype=np.int64)
        weights = np.full((len(own), most), -np.inf)
        for state, edges in enumerate(own):
            before[state, : len(edges)] = self.edges[edges, 0]
            weights[state, : len(edges)] = self.edge_scores[edges]
        return before, weights

    def own(self, scores: Array, symbols: Path) -> Array:
        """The score of each state at each step."""
        found: Array = scores[..., self.state_classes] - self.costs[symbols]
        return found

    def begin(self, own: Array) -> Array:
        """The score of each state at the first step."""
        found: Array = own + self.start[self.state_classes]
        return found

    def advance(self, best: Array, own: Array) -> tuple[Array, npt.NDArray[np.uint8]]:
        """The best scores (row, state) after these steps, and the best edge into each state."""
        before, weights = self._ways
        edges = np.empty(own.shape, dtype=np.uint8)
        for t in range(len(own)):
            ways = best[:, before] + weights  # row state edge
            edges[t] = choice = ways.argmax(-1)
            best = np.take_along_axis(ways, choice[..., None], -1)[..., 0] + own[t]
        return best, edges

    def before(self, states: Path, edges: npt.NDArray[np.uint8]) -> Path:
        """The predecessor of each state by its best edge."""
        found: Path = self._ways[0][states, edges]
        return found


def best_paths(
    automaton: Automaton,
    scores: Float[Tensor, "time batch class"],
    symbols: Int64[Tensor, "time batch"],
    lengths: Int64[Tensor, " batch"],
) -> list[Path]:
    """The best path of each row, as states; a tie goes to the first edge.

    >>> import numpy as np, torch
    >>> edges, zeros = np.array([[0, 0], [0, 1], [1, 1]]), np.zeros(2)
    >>> automaton = Automaton(np.arange(2), np.zeros((1, 2)), edges, np.zeros(3), zeros, zeros)
    >>> scores = torch.tensor([[[0.0, 1.0]], [[3.0, 0.0]], [[0.0, 1.0]]])
    >>> best_paths(automaton, scores, torch.zeros(3, 1).long(), torch.tensor([3]))[0].tolist()
    [0, 0, 1]
    """
    sizes = lengths.numpy()
    time, rows = scores.shape[0], np.arange(len(sizes))
    if not time or not len(sizes):
        return [np.empty(0, dtype=np.int64) for _ in rows]
    own = automaton.own(scores.detach().double().numpy(), symbols.numpy())
    ends = automaton.end[automaton.state_classes]
    best = automaton.begin(own[0])
    last = (best + ends).argmax(-1)
    pieces = [np.zeros((1, *own.shape[1:]), dtype=np.uint8)]
    begin = 1
    # process the steps between two row ends at once
    for stop in sorted({int(size) for size in sizes if size > 1}):
        best, edges = automaton.advance(best, own[begin:stop])
        pieces.append(edges)
        last = np.where(sizes == stop, (best + ends).argmax(-1), last)
        begin = stop
    edges = np.concatenate(pieces)
    states = np.zeros((len(edges), len(rows)), dtype=np.int64)
    now = last
    for t in range(len(edges) - 1, -1, -1):
        now = np.where(t == sizes - 1, last, now)
        states[t] = now
        now = automaton.before(now, edges[t, rows, now])
    return [states[:size, row] for row, size in enumerate(sizes)]


class PathSearch:
    """Finds the best path of one sequence whose scores come in pieces.

    ``feed`` and ``finish`` together return the same states as ``best_paths`` on the whole.
    """

    def __init__(self, automaton: Automaton) -> None:
        self.automaton = automaton
        self._best: Array | None = None
        #: the best edges of the undecided steps
        self._edges: list[npt.NDArray[np.uint8]] = []

    def feed(self, scores: Float[Tensor, "time class"], symbols: Int64[Tensor, " time"]) -> Path:
        """Processes a piece; returns the states that are newly decided."""
        own = self.automaton.own(scores.detach().double().numpy(), symbols.numpy())[:, None]
        if not len(own):
            return np.empty(0, dtype=np.int64)
        if self._best is None:
            self._best = self.automaton.begin(own[0])
            self._edges.append(np.zeros((1, own.shape[-1]), dtype=np.uint8))
            own = own[1:]
        self._best, edges = self.automaton.advance(self._best, own)
        # scores grow without bound; only differences matter
        self._best -= self._best.max()
        self._edges.append(edges[:, 0])
        return self._settle(np.flatnonzero(np.isfinite(self._best[0])))

    def finish(self) -> Path:
        """Returns the remaining states."""
        if self._best is None:
            return np.empty(0, dtype=np.int64)
        automaton = self.automaton
        last = int((self._best[0] + automaton.end[automaton.state_classes]).argmax())
        settled = self._settle(np.array([last]))
        # with one survivor, all steps but the last are decided
        return np.append(settled, last)

    def _settle(self, survivors: Path) -> Path:
        """The states before the last step at which all surviving paths share a state."""
        edges = np.concatenate(self._edges)
        now, met = survivors, None
        for t in range(len(edges) - 1, -1, -1):
            if len(now) == 1:
                met = t
                break
            now = np.unique(self.automaton.before(now, edges[t, now]))
        if met is None:
            self._edges = [edges]
            return np.empty(0, dtype=np.int64)
        state, states = int(now[0]), np.empty(met, dtype=np.int64)
        for t in range(met, 0, -1):
            state = int(self.automaton.before(np.int64(state), edges[t, state]))  # type: ignore[arg-type]
            states[t - 1] = state
        self._edges = [edges[met:]]
        return states
