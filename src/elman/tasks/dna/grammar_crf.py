"""A conditional random field over the states of a finite automaton, for long sequences.

``nn/crf.py`` has dense transitions between tags.  This automaton has many states and few edges;
states share the scores of their class and may be impossible for some symbols.  It can therefore
express a grammar, such as that of genes, in training.  The forward-backward algorithm uses scaled
probabilities (Rabiner 1989) in float64, in kernels compiled for the automaton
(``grammar_kernel.py``).  ``grammar_path.py`` finds the best path.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import ShapeError
from elman.tasks.dna.grammar_kernel import Kinds, compiled, lanes_for

Scores = Float[Tensor, "time batch class"]
Steps = Int64[Tensor, "time batch"]
Lengths = Int64[Tensor, " batch"]
Rows = Float[Tensor, " batch"]
Array = npt.NDArray[np.float64]


class GrammarCRF(nn.Module):
    """Probabilities of paths through an automaton.

    A path of states y₁ … y_T over symbols x₁ … x_T has the score

        s(y) = start(y₁) + Σₜ (scoreₜ(class of yₜ) - cost(xₜ, yₜ)) + Σₜ edge(yₜ₋₁, yₜ) + end(y_T)

    and the probability exp(s(y)) / Z, where Z sums over all paths along ``edges``.  The parameters
    are ``weights``, one per group of edges, and ``start`` and ``end``, one per class.  The score of
    an edge is the weight of its group minus its fixed cost.

    - ``state_classes`` (state): the class of each state.
    - ``costs`` (symbol, state): infinite if a state is impossible for a symbol.
    - ``edges`` (edge, 2), ``edge_groups`` and ``edge_costs`` (edge).

    Each state that is possible at a step must have a successor that is possible at the next.

    >>> import torch
    >>> free = torch.tensor([[0, 0], [0, 1], [1, 1]])  # no edge from 1 to 0
    >>> crf = GrammarCRF([0, 1], torch.zeros(1, 2), free, [0, 1, 2], [0.0, 0.0, 0.0])
    >>> scores, symbols, lengths = torch.randn(2, 1, 2), torch.zeros(2, 1).long(), torch.tensor([2])
    >>> paths = [torch.tensor(path)[:, None] for path in ([0, 0], [0, 1], [1, 1])]
    >>> total = sum(crf.log_likelihood(scores, symbols, path, lengths).exp() for path in paths)
    >>> round(total.item(), 5)
    1.0
    """

    state_classes: Tensor
    costs: Tensor
    edges: Tensor
    edge_groups: Tensor
    edge_costs: Tensor

    def __init__(
        self,
        state_classes: Any,
        costs: Any,
        edges: Any,
        edge_groups: Any,
        edge_costs: Any,
    ) -> None:
        super().__init__()
        for name, value, kind in (
            ("state_classes", state_classes, torch.int64),
            ("costs", costs, torch.float64),
            ("edges", edges, torch.int64),
            ("edge_groups", edge_groups, torch.int64),
            ("edge_costs", edge_costs, torch.float64),
        ):
            # not saved with the weights: the grammar defines them
            self.register_buffer(name, torch.as_tensor(value, dtype=kind), persistent=False)
        num_states = self.state_classes.shape[0]
        self.num_classes = int(self.state_classes.max()) + 1
        self.weights = nn.Parameter(torch.zeros(int(self.edge_groups.max()) + 1))
        self.start = nn.Parameter(torch.zeros(self.num_classes))
        self.end = nn.Parameter(torch.zeros(self.num_classes))
        self._kinds: dict[tuple[int, ...] | None, Kinds] = {}
        number = torch.full((num_states, num_states), -1)
        number[self.edges[:, 0], self.edges[:, 1]] = torch.arange(len(self.edges))
        self._edge_number = number

    def edge_scores(self) -> Float[Tensor, " edge"]:
        """The score of each edge."""
        scores: Tensor = self.weights[self.edge_groups] - self.edge_costs.to(self.weights)
        return scores

    def log_likelihood(self, scores: Scores, symbols: Steps, path: Steps, lengths: Lengths) -> Rows:
        """log p(path | scores) of each row; padding is ignored.

        -inf for a path that uses a missing edge.  Raises ``ShapeError`` if the shapes do not match.
        """
        return self.score(scores, symbols, path, lengths) - self.log_partition(
            scores, symbols, lengths
        )

    def score(self, scores: Scores, symbols: Steps, path: Steps, lengths: Lengths) -> Rows:
        """s(path) of each row."""
        self._check(scores, symbols, lengths)
        inside = torch.arange(len(path))[:, None] < lengths
        states = torch.where(inside, path, 0)
        classes = self.state_classes[states]
        own = scores.gather(-1, classes[..., None]).squeeze(-1).double()
        own = own - self.costs[torch.where(inside, symbols, 0), states]
        total = torch.where(inside, own, 0.0).sum(0)
        number = self._edge_number[states[:-1], states[1:]]
        moves = self.edge_scores().double()[number.clamp_min(0)]
        moves = torch.where(number < 0, -torch.inf, moves)
        total = total + torch.where(inside[1:], moves, 0.0).sum(0)
        last = classes.gather(0, (lengths - 1).clamp_min(0)[None]).squeeze(0)
        ends = self.start[classes[0]] + self.end[last]
        return (total + torch.where(lengths > 0, ends, 0.0)).to(scores.dtype)

    def log_partition(self, scores: Scores, symbols: Steps, lengths: Lengths) -> Rows:
        """log Z of each row; its gradient with respect to a score is the marginal probability."""
        self._check(scores, symbols, lengths)
        log_z: Tensor = _LogPartition.apply(  # type: ignore[no-untyped-call]
            scores, self.edge_scores(), self.start, self.end, self, symbols, lengths
        )
        return log_z

    @torch.no_grad()
    def marginals(
        self,
        scores: Scores,
        symbols: Steps,
        lengths: Lengths,
        groups: Int64[Tensor, " state"] | None = None,
    ) -> Float[Tensor, "time batch group"]:
        """The marginal probability of each group of states at each step; 0 in padding.

        ``groups`` numbers the group of each state; by default, each state is a group.
        """
        self._check(scores, symbols, lengths)
        if groups is None:
            groups = torch.arange(len(self.state_classes))
        run = _Run(self, scores, self.edge_scores(), self.start, self.end, symbols, lengths, groups)
        members = _members(run.kinds.groups, int(groups.max()) + 1)
        found, _ = run.backward(np.ones(len(lengths)), members)
        return torch.from_numpy(found).to(scores.dtype)

    def kinds(self, groups: Tensor | None = None) -> Kinds:
        """The states in the form that the compiled kernels take."""
        key = None if groups is None else tuple(groups.tolist())
        if key not in self._kinds:
            own = None if groups is None else groups.numpy()
            self._kinds[key] = Kinds.of(
                self.state_classes.numpy(), self.costs.numpy(), self.edges.numpy(), own
            )
        return self._kinds[key]

    def _check(self, scores: Tensor, symbols: Tensor, lengths: Tensor) -> None:
        if scores.dim() != 3 or scores.shape[-1] != self.num_classes:
            raise ShapeError(
                f"GrammarCRF: scores have the shape {tuple(scores.shape)}, but they must be "
                f"(time, batch, {self.num_classes})."
            )
        if symbols.shape != scores.shape[:2] or lengths.shape != scores.shape[1:2]:
            raise ShapeError(
                f"GrammarCRF: scores have the shape {tuple(scores.shape)}, but symbols are "
                f"{tuple(symbols.shape)} and lengths {tuple(lengths.shape)}."
            )


#: buffers of finished batches: fresh memory costs more than the recursion that fills it
_SPARE: list[Array] = []
#: maximum size of a spare buffer, and maximum number of them
_LARGEST_SPARE, _MOST_SPARES = 40_000_000, 2


def _buffer(size: int) -> Array:
    """A flat buffer of at least this size, with arbitrary values."""
    for k, each in enumerate(_SPARE):
        if size <= len(each):
            return _SPARE.pop(k)
    return np.empty(size)


class _Block:
    """The forward-backward algorithm for some rows, one per lane of the compiled kernels."""

    def __init__(self, kinds: Kinds, lengths: npt.NDArray[np.int64], own: Array) -> None:
        self.kinds, self.lengths, self.own = kinds, lengths, own
        lattice = kinds.lattice
        self.kernel = compiled(lattice, len(lengths))
        shape = len(own), lattice.num_states, len(lengths)
        self._buffer = _buffer(math.prod(shape))
        self.alphas: Array = self._buffer[: math.prod(shape)].reshape(shape)
        self.scales: Array = np.ones((len(own), len(lengths)))
        self.ended: Array = np.ones(len(lengths))

    def __del__(self) -> None:
        """Keeps the buffer for the next batch."""
        if len(self._buffer) <= _LARGEST_SPARE:
            _SPARE.append(self._buffer)
            del _SPARE[:-_MOST_SPARES]

    def forward(self, moves: Array, start: Array, end: Array) -> None:
        """Fills ``alphas``, ``scales`` and the weight of the ends of each row."""
        self.kernel.forward(self.own, moves, start, self.alphas, self.scales)
        for lane, length in enumerate(self.lengths.tolist()):
            if length:
                # contiguous, so that the sum does not depend on the number of lanes
                last = np.ascontiguousarray(self.alphas[length - 1, :, lane]) @ end
                self.ended[lane] = last / self.scales[length - 1, lane]

    def backward(self, moves: Array, end: Array, steps: int) -> tuple[Array, Array]:
        """The marginals (time, kind, lane), with ``steps`` steps, and the counts of the edges."""
        lattice = self.kinds.lattice
        marginals = np.zeros((steps, lattice.num_kinds, len(self.lengths)))
        counts = np.zeros((len(lattice.edges), len(self.lengths)))
        by_source = np.array(lattice.by_source)
        with np.errstate(divide="ignore"):
            ended = 1 / self.ended
        self.kernel.backward(
            self.own,
            np.ascontiguousarray(moves[by_source]),
            end,
            self.alphas,
            self.scales,
            self.lengths,
            ended,
            marginals,
            counts,
        )
        found = np.empty_like(counts)
        found[np.array(lattice.edge_order)[by_source]] = counts
        return marginals, found


class _Run:
    """The forward-backward algorithm for one batch, in blocks of rows of similar length."""

    def __init__(
        self,
        crf: GrammarCRF,
        scores: Tensor,
        edge_scores: Tensor,
        start: Tensor,
        end: Tensor,
        symbols: Tensor,
        lengths: Tensor,
        groups: Tensor | None = None,
    ) -> None:
        self.kinds = crf.kinds(groups)
        lattice = self.kinds.lattice
        sizes = lengths.numpy()
        self.order = np.argsort(-sizes, kind="stable")
        self.sizes, self.shape = sizes, (scores.shape[0], len(sizes))
        order = np.array(lattice.order)
        states = crf.state_classes.numpy()[order]
        moves = np.exp(edge_scores.detach().double().numpy())
        self.moves: Array = np.ascontiguousarray(moves[np.array(lattice.edge_order)])
        begin, self.end = (
            np.ascontiguousarray(np.exp(x.detach().double().numpy())[states]) for x in (start, end)
        )
        lanes = lanes_for(len(sizes))
        factors = np.exp(-self.kinds.costs)
        own, signs = scores.detach().numpy(), symbols.numpy()
        self.log_sums = np.zeros(len(sizes))
        self.blocks: list[tuple[npt.NDArray[np.int64], _Block]] = []
        for first in range(0, len(sizes), lanes):
            rows = self.order[first : first + lanes]
            time = int(sizes[rows[0]])
            if not time:
                break
            block = np.ones((time, lattice.num_kinds, lanes))
            part = own[:time, rows].astype(np.float64)
            # subtract the maximum of each step, so that exp cannot overflow
            tops = part.max(-1)
            part = np.exp(part - tops[..., None])
            block[..., : len(rows)] = part[..., self.kinds.classes].transpose(0, 2, 1)
            block[..., : len(rows)] *= factors[signs[:time, rows]].transpose(0, 2, 1)
            inside = np.arange(time)[:, None] < sizes[rows]
            counts = np.zeros(lanes, dtype=np.int64)
            counts[: len(rows)] = sizes[rows]
            found = _Block(self.kinds, counts, block)
            found.forward(self.moves, begin, self.end)
            with np.errstate(divide="ignore", invalid="ignore"):
                steps = np.log(found.scales[:, : len(rows)]) + tops
                ends = np.log(found.ended[: len(rows)])
            self.log_sums[rows] = np.where(inside, steps, 0.0).sum(0) + ends
            self.blocks.append((rows, found))

    def log_z(self) -> Array:
        """log Z of each row."""
        return self.log_sums

    def backward(self, weights: Array, members: Array) -> tuple[Array, Array]:
        """The probabilities of kinds times ``members`` (kind, column), and the counts of the edges.

        Returns (time, batch, column) and (edge); ``weights`` are factors of the rows.
        """
        found = np.zeros((*self.shape, members.shape[1]))
        taken: Array = np.zeros(len(self.moves))
        for rows, block in self.blocks:
            marginals, counts = block.backward(self.moves, self.end, len(block.own))
            each = marginals.transpose(0, 2, 1)[:, : len(rows)] @ members
            found[: len(each), rows] = each * weights[rows][:, None]
            taken += counts[:, : len(rows)] @ weights[rows]
        return found, taken


def _members(columns: npt.NDArray[np.int64], size: int) -> Array:
    found = np.zeros((len(columns), size))
    found[np.arange(len(columns)), columns] = 1
    return found


class _LogPartition(torch.autograd.Function):
    """log Z; its gradients are expected counts."""

    @staticmethod
    def forward(
        ctx: Any,
        scores: Tensor,
        edge_scores: Tensor,
        start: Tensor,
        end: Tensor,
        crf: GrammarCRF,
        symbols: Tensor,
        lengths: Tensor,
    ) -> Tensor:
        run = _Run(crf, scores, edge_scores, start, end, symbols, lengths)
        ctx.run, ctx.crf, ctx.dtype = run, crf, scores.dtype
        return torch.from_numpy(run.log_z()).to(scores.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        run, crf = ctx.run, ctx.crf
        weights = gradients[0].double().numpy()
        classes, taken = run.backward(weights, _members(run.kinds.classes, crf.num_classes))
        start = classes[0].sum(0) if len(classes) else np.zeros(crf.num_classes)
        rows = np.flatnonzero(run.sizes > 0)
        end = classes[run.sizes[rows] - 1, rows].sum(0)
        found = (classes, taken, start, end)
        tensors = [torch.from_numpy(x).to(ctx.dtype) for x in found]
        return (*tensors, None, None, None)
