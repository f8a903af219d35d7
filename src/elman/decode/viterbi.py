"""The best sequence of tags (Viterbi 1967), with transitions that can be forbidden.

Where ``greedy`` takes the best tag at each step, this takes the best path: the sum of scores,
transitions, start and end is the largest of all paths that are allowed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from elman.errors import ShapeError


def viterbi(
    scores: Float[Tensor, "time batch tag"],
    lengths: Int64[Tensor, " batch"],
    *,
    transitions: Float[Tensor, "tag tag"] | None = None,
    start: Float[Tensor, " tag"] | None = None,
    end: Float[Tensor, " tag"] | None = None,
    allowed: Bool[Tensor, "tag tag"] | None = None,
    allowed_start: Bool[Tensor, " tag"] | None = None,
) -> tuple[list[list[int]], Float[Tensor, " batch"]]:
    """The best path of each row, and its score.

    ``transitions`` (before, after), ``start`` and ``end`` are added to the scores, as in a
    ``LinearChainCRF``; what ``allowed`` and ``allowed_start`` forbid is never taken.  Of two
    equal paths that with the smaller tag, seen from the end, is taken.  A row of length 0 has the
    empty path and the score 0.  Raises ``ShapeError`` when the tensors do not fit.

    >>> import torch
    >>> scores = torch.tensor([[[0.0, 2.0]], [[1.0, 0.0]]])
    >>> viterbi(scores, torch.tensor([2]))[0]
    [[1, 0]]
    >>> stay = torch.eye(2, dtype=torch.bool)
    >>> viterbi(scores, torch.tensor([2]), allowed=stay)
    ([[1, 1]], tensor([2.]))
    """
    if scores.dim() != 3 or lengths.shape != scores.shape[1:2]:
        raise ShapeError(
            f"viterbi: scores have the shape {tuple(scores.shape)} and lengths "
            f"{tuple(lengths.shape)}; they must be (time, batch, tag) and (batch,)."
        )
    scores = scores.detach()
    time, batch, num_tags = scores.shape
    moves = scores.new_zeros(num_tags, num_tags) if transitions is None else transitions.detach()
    if allowed is not None:
        moves = torch.where(allowed, moves, -torch.inf)
    order = torch.argsort(lengths, descending=True, stable=True)
    counts = (torch.arange(time)[:, None] < lengths.cpu()[None, :]).sum(1).tolist()
    scores = scores.index_select(1, order)
    best = scores[0] if time else scores.new_zeros(batch, num_tags)
    if start is not None:
        best = best + start.detach()
    if allowed_start is not None:
        best = torch.where(allowed_start, best, -torch.inf)
    pointers: list[Tensor] = []
    ended: list[Tensor] = []
    for t in range(1, time):
        count = counts[t]
        if count == 0:
            break
        if count < best.shape[0]:
            ended.append(best[count:])
            best = best[:count]
        values, before = (best[:, :, None] + moves).max(1)  # batch before after -> batch after
        pointers.append(before)
        best = scores[t, :count] + values
    ended.append(best)
    final = torch.cat(ended[::-1])
    if end is not None:
        final = final + end.detach()
    values, last = final.max(-1)
    return _follow(pointers, last, lengths[order], order, values)


def _follow(
    pointers: Sequence[Tensor], last: Tensor, lengths: Tensor, order: Tensor, values: Tensor
) -> tuple[list[list[int]], Tensor]:
    """The paths backwards along the pointers, all rows at once, in the caller's order."""
    tag = last.clone()
    steps = [tag.clone()]
    for before in reversed(pointers):
        count = before.shape[0]
        tag[:count] = before.gather(1, tag[:count, None]).squeeze(1)
        steps.append(tag.clone())
    # steps[k] has the tags of time len(pointers) - k; a row that has ended repeats its last
    table = torch.stack(steps[::-1], 1).tolist()
    paths: list[list[int]] = [[] for _ in table]
    for row, place, length in zip(table, order.tolist(), lengths.tolist(), strict=True):
        paths[place] = row[:length]
    scores = torch.empty_like(values)
    scores[order] = torch.where(lengths > 0, values, 0.0)
    return paths, scores


def bio_constraints(
    tags: Sequence[str],
) -> tuple[Bool[Tensor, "tag tag"], Bool[Tensor, " tag"]]:
    """Which tag may follow which, and which may begin: I-X only after B-X or I-X.

    "O" and every "B-X" may follow anything, so there is always a legal path.

    >>> allowed, allowed_start = bio_constraints(["O", "B-PER", "I-PER"])
    >>> allowed.int().tolist(), allowed_start.tolist()
    ([[1, 1, 0], [1, 1, 1], [1, 1, 1]], [True, True, False])
    """
    inside = [tag.startswith("I-") for tag in tags]
    allowed = [
        [not inside[k] or before in (f"B-{tag[2:]}", tag) for k, tag in enumerate(tags)]
        for before in tags
    ]
    return torch.tensor(allowed), ~torch.tensor(inside)
