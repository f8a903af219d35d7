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

from elman.tasks.dna.grammar_kernel import Kinds, compiled, lanes_for

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
    def kinds(self) -> Kinds:
        """The states in the form that the compiled kernel takes."""
        return Kinds.of(self.state_classes, self.costs, self.edges)

    @cached_property
    def _classes(self) -> Path:
        found: Path = self.state_classes[np.array(self.kinds.lattice.order)]
        return found

    @cached_property
    def ends(self) -> Array:
        """The score of ending in each state, in the lattice's order, like all states below."""
        return self.end[self._classes]

    def own(self, scores: Array, symbols: Path) -> Array:
        """The score of each kind of states at each step."""
        found: Array = scores[..., self.kinds.classes] - self.kinds.costs[symbols]
        return found

    def begin(self, own: Array) -> Array:
        """The score of each state at the first step."""
        found: Array = own[..., list(self.kinds.lattice.kinds)] + self.start[self._classes]
        return found

    def advance(self, best: Array, own: Array) -> tuple[Array, npt.NDArray[np.uint8]]:
        """The best scores (row, state) after these steps, and the best edge into each state."""
        lattice, rows = self.kinds.lattice, len(best)
        lanes = lanes_for(rows)
        weights = np.ascontiguousarray(self.edge_scores[np.array(lattice.edge_order)])
        found, edges = np.empty_like(best), np.empty((len(own), *best.shape), dtype=np.uint8)
        for first in range(0, rows, lanes):
            some = slice(first, min(first + lanes, rows))
            count = some.stop - first
            values = np.zeros((2, lattice.num_states, lanes))
            values[0, :, :count] = best[some].T
            steps = np.zeros((len(own), lattice.num_kinds, lanes))
            steps[..., :count] = own[:, some].transpose(0, 2, 1)
            choices = np.empty((len(own), lattice.num_states, lanes), dtype=np.uint8)
            compiled(lattice, lanes).best(steps, weights, values, choices)
            found[some] = values[len(own) % 2, :, :count].T
            edges[:, some] = choices[..., :count].transpose(0, 2, 1)
        return found, edges

    def before(self, states: Path, edges: npt.NDArray[np.uint8]) -> Path:
        """The predecessor of each state by its best edge."""
        found: Path = self.kinds.lattice.predecessors[0][states, edges]
        return found

    def given(self, states: Path) -> Path:
        """The states with the numbers that the automaton gives them."""
        found: Path = np.array(self.kinds.lattice.order)[states]
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
    ends = automaton.ends
    best = automaton.begin(own[0])
    last = (best + ends).argmax(-1)
    pieces = [np.zeros((1, *best.shape), dtype=np.uint8)]
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
    return [automaton.given(states[:size, row]) for row, size in enumerate(sizes)]


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
            self._edges.append(np.zeros((1, self._best.shape[-1]), dtype=np.uint8))
            own = own[1:]
        self._best, edges = self.automaton.advance(self._best, own)
        # scores grow without bound; only differences matter
        self._best -= self._best.max()
        self._edges.append(edges[:, 0])
        settled = self._settle(np.flatnonzero(np.isfinite(self._best[0])))
        return self.automaton.given(settled)

    def finish(self) -> Path:
        """Returns the remaining states."""
        if self._best is None:
            return np.empty(0, dtype=np.int64)
        automaton = self.automaton
        last = int((self._best[0] + automaton.ends).argmax())
        settled = self._settle(np.array([last]))
        # with one survivor, all steps but the last are decided
        return automaton.given(np.append(settled, last))

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
