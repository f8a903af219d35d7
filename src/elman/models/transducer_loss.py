"""The loss of a recurrent transducer: -log of the sum over all alignments (Graves 2012).

A transducer reads T steps and emits U symbols.  An alignment is a path through a lattice of the
nodes (t, u): a blank moves from (t, u) to (t + 1, u), the next symbol to (t, u + 1), and a blank
at (T - 1, U) ends the path.  ``transducer_loss`` sums over all paths with exact gradients;
``joint_columns`` computes the two log probabilities of each node, the only ones that the loss
needs, in bounded memory.  ``transducer.py`` is the model, ``decode/transducer.py`` the search.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from elman.errors import ShapeError

Lengths = Int64[Tensor, " batch"]

#: values of the joint network's hidden layer that are in memory at once; small enough for a cache
_VALUES_AT_ONCE = 2**19


def transducer_loss(
    blank: Float[Tensor, "time batch position"],
    label: Float[Tensor, "time batch symbols"],
    lengths: Lengths,
    counts: Lengths,
) -> Float[Tensor, " batch"]:
    """-log p(symbols) of each row, summed over all its alignments.

    ``blank[t, :, u]`` is the log probability of a blank at step t after u symbols, u from 0 to the
    largest of ``counts``; ``label[t, :, u]`` that of symbol u + 1 there, so ``label`` has one
    column less.  ``lengths`` are the rows' steps, ``counts`` their symbols; what lies beyond them
    does not matter.  A row without steps has the loss 0 without symbols, and inf with some.

    The lattice is computed in float64, an anti-diagonal of all rows at a time: T + U operations
    instead of T · U.  The gradient with respect to each log probability is minus the probability
    that an alignment passes there; rows with an infinite loss have no gradient.

    Raises ``ShapeError`` for tensors that do not match.

    >>> import math, torch
    >>> half = torch.full((2, 1, 2), math.log(0.5))
    >>> loss = transducer_loss(half, half[:, :, 1:], torch.tensor([2]), torch.tensor([1]))
    >>> loss.neg().exp().item()  # two alignments, each of three choices
    0.25
    """
    _check(blank, label, lengths, counts)
    losses: Tensor = _Lattice.apply(blank, label, lengths, counts)  # type: ignore[no-untyped-call]
    return losses


def joint_columns(
    encoded: Float[Tensor, "time batch joint"],
    predicted: Float[Tensor, "position batch joint"],
    weight: Float[Tensor, "symbol joint"],
    bias: Float[Tensor, " symbol"],
    symbols: Int64[Tensor, "symbols batch"],
) -> tuple[Float[Tensor, "time batch position"], Float[Tensor, "time batch symbols"]]:
    """The ``blank`` and ``label`` of ``transducer_loss`` for a joint network.

    At each node the joint network computes log_softmax(weight · tanh(encoded + predicted) + bias);
    symbol 0 is the blank.  All nodes together need time · batch · position · (joint + symbol)
    values, several times over with their gradients.  Here a few steps are computed at a time, and
    again in the backward pass (Chen et al. 2016), so that the memory is that of the results,
    2 · time · batch · position values, plus a few MB.
    """
    blank, label = _Columns.apply(encoded, predicted, weight, bias, symbols)  # type: ignore[no-untyped-call]
    return blank, label


class _Lattice(torch.autograd.Function):
    """The sum over alignments.

    α(t, u), the log probability of reaching a node, and β(t, u), that of ending from there, follow
    Graves (2012), equations 16 to 19, with a node (T, U) at the end: log p = α(T, U), β(T, U) = 0.
    """

    @staticmethod
    def forward(ctx: Any, blank: Tensor, label: Tensor, lengths: Tensor, counts: Tensor) -> Tensor:
        lengths, counts = lengths.to(blank.device), counts.to(blank.device)
        moves, emits = _diagonals(blank, label, lengths, counts)
        alpha = torch.full_like(moves, -torch.inf)
        alpha[0, :, 0] = 0.0
        for n in range(1, len(alpha)):
            torch.add(alpha[n - 1], moves[n - 1], out=alpha[n])
            if alpha.shape[2] > 1:
                emitted = alpha[n - 1, :, :-1] + emits[n - 1, :, :-1]
                alpha[n, :, 1:] = torch.logaddexp(alpha[n, :, 1:], emitted)
        total = alpha[lengths + counts, torch.arange(len(counts), device=counts.device), counts]
        ctx.save_for_backward(alpha, moves, emits, total, lengths, counts)
        ctx.dtype = blank.dtype
        return -total.to(blank.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        alpha, moves, emits, total, lengths, counts = ctx.saved_tensors
        beta = torch.full_like(moves, -torch.inf)
        ends = lengths + counts
        rows = torch.arange(len(counts), device=counts.device)
        ending: dict[int, list[int]] = {}
        for row, end in enumerate(ends.tolist()):
            ending.setdefault(end, []).append(row)
        beta[ends, rows, counts] = 0.0
        for n in range(len(beta) - 2, -1, -1):
            torch.add(beta[n + 1], moves[n], out=beta[n])
            if beta.shape[2] > 1:
                emitted = beta[n + 1, :, 1:] + emits[n, :, :-1]
                beta[n, :, :-1] = torch.logaddexp(beta[n, :, :-1], emitted)
            if n in ending:  # no path leaves the end
                beta[n, ending[n], counts[ending[n]]] = 0.0
        # probability of each move, given the symbols
        scale = -gradient.to(alpha.dtype)
        total = torch.where(torch.isneginf(total), torch.inf, total)[:, None]
        alpha = alpha[:-1] - total
        moves = (alpha + moves[:-1] + beta[1:]).exp_().mul_(scale[:, None])
        emits = (alpha[..., :-1] + emits[:-1, :, :-1] + beta[1:, :, 1:]).exp_()
        emits = emits.mul_(scale[:, None])
        time = len(beta) - beta.shape[2]
        return _times(moves, time).to(ctx.dtype), _times(emits, time).to(ctx.dtype), None, None


def _diagonals(
    blank: Tensor, label: Tensor, lengths: Tensor, counts: Tensor
) -> tuple[Tensor, Tensor]:
    """Both log probabilities by anti-diagonal t + u, in float64; -inf where no path goes."""
    time, batch, positions = blank.shape
    found = []
    for x in (blank, label):
        skewed = blank.new_full(
            (time + positions, batch, positions), -torch.inf, dtype=torch.double
        )
        _times(skewed[..., : x.shape[2]], time).copy_(x)
        found.append(skewed)
    moves, emits = found
    steps = torch.arange(time, device=blank.device)[:, None, None]
    position = torch.arange(positions, device=blank.device)
    # a blank of the last step must follow the last symbol
    early = (steps >= lengths[:, None] - 1) & (position != counts[:, None])
    beyond = (steps >= lengths[:, None]) | (position > counts[:, None])
    _times(moves, time).masked_fill_(early | beyond, -torch.inf)
    last = (steps >= lengths[:, None]) | (position >= counts[:, None])
    _times(emits, time).masked_fill_(last, -torch.inf)
    return moves, emits


def _times(skewed: Tensor, time: int) -> Tensor:
    """A view by step of values by anti-diagonal: diagonal batch position -> time batch position."""
    diagonal, row, position = skewed.stride()
    shape = (time, *skewed.shape[1:])
    return skewed.as_strided(shape, (diagonal, row, position + diagonal), skewed.storage_offset())


class _Columns(torch.autograd.Function):
    """The joint network at all nodes, a few steps at a time, in both passes."""

    @staticmethod
    def forward(
        ctx: Any, encoded: Tensor, predicted: Tensor, weight: Tensor, bias: Tensor, symbols: Tensor
    ) -> tuple[Tensor, Tensor]:
        time, batch, _ = encoded.shape
        blank = encoded.new_empty(time, batch, len(predicted))
        label = encoded.new_empty(time, batch, len(symbols))
        ctx.save_for_backward(encoded, predicted, weight, bias, symbols)
        rows = predicted.transpose(0, 1).contiguous()  # batch position joint
        for part in _parts(encoded, rows):
            _, logits = _joint(encoded[part], rows, weight, bias)
            total = logits.logsumexp(-1)
            torch.sub(logits[..., 0], total, out=blank[part])
            own = logits[:, :, :-1].gather(-1, _chosen(symbols, len(total)))[..., 0]
            torch.sub(own, total[..., :-1], out=label[part])
        return blank, label

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_blank: Tensor, by_label: Tensor) -> tuple[Tensor | None, ...]:
        encoded, predicted, weight, bias, symbols = ctx.saved_tensors
        rows = predicted.transpose(0, 1).contiguous()
        by_encoded, by_rows = torch.empty_like(encoded), torch.zeros_like(rows)
        by_weight, by_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        for part in _parts(encoded, rows):
            hidden, logits = _joint(encoded[part], rows, weight, bias)
            # of log_softmax: what arrives at a symbol, minus its share of all that arrives
            arriving = by_blank[part].clone()
            arriving[..., :-1] += by_label[part]
            by_logits = logits.softmax(-1).mul_(arriving.neg_()[..., None])
            by_logits[..., 0] += by_blank[part]
            chosen = _chosen(symbols, len(hidden))
            by_logits[:, :, :-1].scatter_add_(-1, chosen, by_label[part][..., None])
            flat = by_logits.flatten(0, 2)
            by_weight.addmm_(flat.T, hidden.flatten(0, 2))
            by_bias += flat.sum(0)
            # 1 - tanh², in place: these values are not needed any more
            by_hidden = (by_logits @ weight).mul_(hidden.square_().neg_().add_(1.0))
            torch.sum(by_hidden, 2, out=by_encoded[part])
            by_rows += by_hidden.sum(0)
        return by_encoded, by_rows.transpose(0, 1), by_weight, by_bias, None


def _parts(encoded: Tensor, rows: Tensor) -> Iterator[slice]:
    """Slices of time that keep ``_VALUES_AT_ONCE``."""
    size = max(1, _VALUES_AT_ONCE // max(1, rows.numel()))
    for start in range(0, len(encoded), size):
        yield slice(start, min(start + size, len(encoded)))


def _joint(encoded: Tensor, rows: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden values and logits (time, batch, position, ...) of some steps."""
    hidden = torch.add(encoded[:, :, None], rows).tanh_()
    return hidden, torch.nn.functional.linear(hidden, weight, bias)


def _chosen(symbols: Tensor, time: int) -> Tensor:
    """The next symbol of each node: symbols batch -> time batch symbols 1."""
    return symbols.T[None, :, :, None].expand(time, -1, -1, -1)


def _check(blank: Tensor, label: Tensor, lengths: Tensor, counts: Tensor) -> None:
    time, batch, positions = blank.shape if blank.dim() == 3 else (0, 0, 0)
    if positions < 1 or label.shape != (time, batch, positions - 1):
        raise ShapeError(
            f"transducer_loss: blank has the shape {tuple(blank.shape)} and label "
            f"{tuple(label.shape)}; they must be (time, batch, symbols + 1) and (time, batch, "
            "symbols)."
        )
    for name, given, most in (("lengths", lengths, time), ("counts", counts, positions - 1)):
        if given.shape != (batch,) or (batch and not 0 <= given.min() <= given.max() <= most):
            raise ShapeError(
                f"transducer_loss: {name} must be {batch} numbers from 0 to {most}, but they are "
                f"{given.tolist()}."
            )
