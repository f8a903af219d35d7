"""The best path through an automaton (Viterbi 1967): whole batches, or a sequence without end.

The states, edges and costs are those of a ``grammar_crf.py``, handed over as arrays.
``PathSearch`` decides a path piece by piece while scores arrive, and keeps only what is undecided:
the survivors of all states, traced back, soon meet in one state, and what is before it is settled
whatever comes (Forney 1973).  ``decode/viterbi.py`` is for few tags that may follow each
other freely.
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
    """States with the scores of their classes, costs of symbols, scores of edges and ends."""

    state_classes: Path
    costs: Array  # symbol state
    edges: Path  # edge 2
    edge_scores: Array
    start: Array  # class
    end: Array  # class

    @cached_property
    def _ways(self) -> tuple[Path, Array]:
        """For each state the states before it and the scores of the edges, filled up with -inf."""
        own = [np.flatnonzero(self.edges[:, 1] == k) for k in range(len(self.state_classes))]
        most = max(map(len, own))
        before = np.zeros((len(own), most), dtype=np.int64)
        weights = np.full((len(own), most), -np.inf)
        for state, edges in enumerate(own):
            before[state, : len(edges)] = self.edges[edges, 0]
            weights[state, : len(edges)] = self.edge_scores[edges]
        return before, weights

    def own(self, scores: Array, symbols: Path) -> Array:
        """What each state gets at each step."""
        found: Array = scores[..., self.state_classes] - self.costs[symbols]
        return found

    def begin(self, own: Array) -> Array:
        """The best score of a path of one step, for each state."""
        found: Array = own + self.start[self.state_classes]
        return found

    def go_on(self, best: Array, own: Array) -> tuple[Array, npt.NDArray[np.uint8]]:
        """The best scores (row, state) after these steps, and at each the edge that led there."""
        before, weights = self._ways
        edges = np.empty(own.shape, dtype=np.uint8)
        for t in range(len(own)):
            ways = best[:, before] + weights  # row state edge
            edges[t] = choice = ways.argmax(-1)
            best = np.take_along_axis(ways, choice[..., None], -1)[..., 0] + own[t]
        return best, edges

    def before(self, states: Path, edges: npt.NDArray[np.uint8]) -> Path:
        """The state before each, by the edge that led there."""
        found: Path = self._ways[0][states, edges]
        return found


def best_paths(
    automaton: Automaton,
    scores: Float[Tensor, "time batch class"],
    symbols: Int64[Tensor, "time batch"],
    lengths: Int64[Tensor, " batch"],
) -> list[Path]:
    """The best path of each row, as states; of equal ones that whose edge comes first.

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
    # whole stretches at once, from one row's end to the next
    for stop in sorted({int(size) for size in sizes if size > 1}):
        best, edges = automaton.go_on(best, own[begin:stop])
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
    """The best path of one sequence whose scores come in pieces.

    Feeding pieces and then ``finish`` gives the same states as ``best_paths`` on the whole.
    """

    def __init__(self, automaton: Automaton) -> None:
        self.automaton = automaton
        self._best: Array | None = None
        #: the edges of the steps that are not settled
        self._edges: list[npt.NDArray[np.uint8]] = []

    def feed(self, scores: Float[Tensor, "time class"], symbols: Int64[Tensor, " time"]) -> Path:
        """Go on with a piece; the states that are settled now, behind those settled before."""
        own = self.automaton.own(scores.detach().double().numpy(), symbols.numpy())[:, None]
        if not len(own):
            return np.empty(0, dtype=np.int64)
        if self._best is None:
            self._best = self.automaton.begin(own[0])
            self._edges.append(np.zeros((1, own.shape[-1]), dtype=np.uint8))
            own = own[1:]
        self._best, edges = self.automaton.go_on(self._best, own)
        # the score grows without end; only differences count
        self._best -= self._best.max()
        self._edges.append(edges[:, 0])
        return self._settle(np.flatnonzero(np.isfinite(self._best[0])))

    def finish(self) -> Path:
        """The states that were not settled."""
        if self._best is None:
            return np.empty(0, dtype=np.int64)
        automaton = self.automaton
        last = int((self._best[0] + automaton.end[automaton.state_classes]).argmax())
        settled = self._settle(np.array([last]))
        # with one survivor all but the last state's own step is settled
        return np.append(settled, last)

    def _settle(self, survivors: Path) -> Path:
        """The states before the last place at which all survivors were in one state."""
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
