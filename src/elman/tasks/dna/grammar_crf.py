"""A conditional random field over the states of a finite automaton, for long sequences.

``nn/crf.py`` has dense transitions between tags.  This automaton has many states and few edges;
states share the scores of their class and may be impossible for some symbols.  It can therefore
express a grammar, such as that of genes, in training.  The forward-backward algorithm uses scaled
probabilities (Rabiner 1989) in float64, without a torch graph, which would cost more than its
thousands of small steps.  ``grammar_path.py`` finds the best path.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import ShapeError

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
        self, scores: Scores, symbols: Steps, lengths: Lengths
    ) -> Float[Tensor, "time batch state"]:
        """The marginal probability of each state at each step; 0 in padding."""
        self._check(scores, symbols, lengths)
        run = _Run(self, scores, self.edge_scores(), self.start, self.end, symbols, lengths)
        states, _ = run.backward()
        found: Tensor = torch.from_numpy(states)[:, run.inverse].to(scores.dtype)
        return found

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


class _Run:
    """The forward-backward algorithm for one batch; rows are sorted by decreasing length."""

    def __init__(
        self,
        crf: GrammarCRF,
        scores: Tensor,
        edge_scores: Tensor,
        start: Tensor,
        end: Tensor,
        symbols: Tensor,
        lengths: Tensor,
    ) -> None:
        order = np.argsort(-lengths.numpy(), kind="stable")
        self.inverse = np.argsort(order)
        self.lengths = lengths.numpy()[order]
        time = int(self.lengths[0]) if len(order) else 0
        self.time, self.all_steps = time, scores.shape[0]
        self.counts = (np.arange(time)[:, None] < self.lengths).sum(1)
        states = crf.state_classes.numpy()
        self.edges = crf.edges.numpy()
        weights = edge_scores.detach().double().numpy()
        self.moves: Array = np.zeros((len(states), len(states)))
        self.moves[self.edges[:, 0], self.edges[:, 1]] = np.exp(weights)
        own = scores.detach()[:time].double().numpy()[:, order]
        # subtract the maximum of each step, so that exp cannot overflow
        self.tops = own.max(-1)
        own = np.exp(own - self.tops[..., None])
        stand = np.exp(-crf.costs.numpy())
        self.own: Array = own[..., states]  # time batch state
        self.own *= stand[symbols.numpy()[:time][:, order]]
        self.start: Array = np.exp(start.detach().double().numpy())[states]
        self.end: Array = np.exp(end.detach().double().numpy())[states]
        self.alphas: Array = np.zeros_like(self.own)
        self.scales: Array = np.ones(self.own.shape[:2])
        self._forward()

    def _forward(self) -> None:
        buffer = np.empty(self.own.shape[1:])
        for t in range(self.time):
            n = self.counts[t]
            now = buffer[:n]
            if t == 0:
                np.multiply(self.own[0, :n], self.start, out=now)
            else:
                np.matmul(self.alphas[t - 1, :n], self.moves, out=now)
                now *= self.own[t, :n]
            scale = now.sum(1)
            self.scales[t, :n] = scale
            np.divide(now, scale[:, None], out=self.alphas[t, :n])

    def log_z(self) -> Array:
        """log Z of each row, in the order of the batch."""
        if not self.time:
            return np.zeros(len(self.inverse))
        inside = np.arange(self.time)[:, None] < self.lengths
        steps = np.where(inside, np.log(self.scales) + self.tops, 0.0).sum(0)
        last = self.alphas[np.maximum(self.lengths - 1, 0), np.arange(len(self.lengths))]
        ends = np.log(np.where(self.lengths > 0, last @ self.end, 1.0))
        found: Array = (steps + ends)[self.inverse]
        return found

    def backward(self, weights: Array | None = None) -> tuple[Array, Array]:
        """The state probabilities (time, batch, state) and the expected counts of the edges.

        Rows are in sorted order.  ``weights`` are factors of the rows in the edge counts; without
        them, edges are not counted.
        """
        num_states = len(self.end)
        states = np.zeros((self.all_steps, len(self.inverse), num_states))
        taken: Array = np.zeros(len(self.edges))
        if not self.time:
            return states, taken
        beta = np.zeros(self.own.shape[1:])
        into = np.zeros_like(self.own)  # weight of entering each state
        back = np.ascontiguousarray(self.moves.T)
        for t in range(self.time - 1, -1, -1):
            n = self.counts[t]
            after = self.counts[t + 1] if t + 1 < self.time else 0
            if after:
                np.matmul(into[t + 1, :after], back, out=beta[:after])
            if n > after:
                ended = self.alphas[t, after:n] @ self.end
                beta[after:n] = self.end / ended[:, None]
            np.multiply(self.alphas[t, :n], beta[:n], out=states[t, :n])
            np.multiply(self.own[t, :n], beta[:n], out=into[t, :n])
            into[t, :n] /= self.scales[t, :n, None]
        if self.time > 1 and weights is not None:
            into *= weights[np.argsort(self.inverse)][:, None]
            flat = self.alphas[:-1].reshape(-1, num_states).T @ into[1:].reshape(-1, num_states)
            flat *= self.moves
            taken = flat[self.edges[:, 0], self.edges[:, 1]]
        return states, taken


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
        states, taken = run.backward(weights)
        by_row = weights[np.argsort(run.inverse)]
        kinds = crf.state_classes.numpy()
        membership = np.zeros((len(kinds), crf.num_classes))
        membership[np.arange(len(kinds)), kinds] = 1
        classes = (states @ membership) * by_row[:, None]
        start = classes[0].sum(0) if len(classes) else np.zeros(crf.num_classes)
        rows = np.flatnonzero(run.lengths > 0)
        end = classes[run.lengths[rows] - 1, rows].sum(0)
        found = (classes[:, run.inverse], taken, start, end)
        tensors = [torch.from_numpy(x).to(ctx.dtype) for x in found]
        return (*tensors, None, None, None)
