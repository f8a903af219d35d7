"""The best sequence of tags (Viterbi 1967), with forbidden transitions.

The best path maximises the sum of scores, transitions, start and end over all allowed paths.
``nn/crf.py`` computes path probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

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
    """Finds the best path of each row, and its score.

    ``transitions`` (from, to), ``start`` and ``end`` are added to the scores, as in a
    ``LinearChainCRF``.  ``allowed`` and ``allowed_start`` exclude transitions and first tags.  A
    tie goes to the smaller tag, from the end backwards.  A row of length 0 has the empty path and
    the score 0; a row without an allowed path has the score -inf and an arbitrary path (impossible
    with ``bio_constraints``).

    Raises ``ShapeError`` if the shapes do not match.

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
    time, batch, num_tags = scores.shape
    if ((lengths < 0) | (lengths > time)).any():
        raise ShapeError(
            f"viterbi: lengths range from {int(lengths.min())} to {int(lengths.max())}, but scores "
            f"have {time} steps."
        )
    moves = _exact(scores.new_zeros(num_tags, num_tags) if transitions is None else transitions)
    if allowed is not None:
        moves = torch.where(allowed.cpu(), moves, -torch.inf)
    lengths = lengths.cpu()
    # sort by decreasing length, so that finished rows are at the end
    order = torch.argsort(lengths, descending=True, stable=True)
    counts = (torch.arange(time)[:, None] < lengths[None, :]).sum(1).tolist()
    steps = _exact(scores).index_select(1, order)
    best = steps[0] if time else steps.new_zeros(batch, num_tags)
    if start is not None:
        best = best + _exact(start)
    if allowed_start is not None:
        best = torch.where(allowed_start.cpu(), best, -torch.inf)
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
        best = steps[t, :count] + values
    ended.append(best)
    final = torch.cat(ended[::-1])
    if end is not None:
        final = final + _exact(end)
    values, last = final.max(-1)
    paths: list[list[int]] = [[] for _ in range(batch)]
    for place, path in zip(order.tolist(), _follow(pointers, last, lengths[order]), strict=True):
        paths[place] = path
    found = torch.empty_like(values).index_copy_(0, order, values)
    return paths, torch.where(lengths > 0, found, 0.0).to(scores)


def _exact(x: Tensor) -> Tensor:
    # in float32, rounding over 100,000 steps exceeds the difference between tags; steps are small
    # and the result is plain lists, so no other device would be faster
    return x.detach().to("cpu", torch.float64)


def _follow(pointers: list[Tensor], last: Tensor, lengths: Tensor) -> list[list[int]]:
    """Traces each row's path back from its last tag, along the pointers (batch, tag) per step."""
    # plain lists, because a tensor operation per step costs far more
    before = torch.cat(pointers).tolist() if pointers else []
    begins = [0, *accumulate(len(step) for step in pointers)]
    paths = []
    for row, (tag, length) in enumerate(zip(last.tolist(), lengths.tolist(), strict=True)):
        path = [tag] if length else []
        for t in range(length - 1, 0, -1):
            path.append(before[begins[t - 1] + row][path[-1]])
        paths.append(path[::-1])
    return paths


def bio_constraints(
    tags: Sequence[str],
) -> tuple[Bool[Tensor, "tag tag"], Bool[Tensor, " tag"]]:
    """The allowed transitions and first tags of BIO: I-X may only follow B-X or I-X.

    "O" and every "B-X" may follow any tag, so there is always an allowed path.

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
