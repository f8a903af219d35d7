"""The probability that exactly these words are a name of this type.

It sums over all tags of the other words, in a conditional random field by its forward and backward
sums (Culotta and McCallum 2004), without one over each word by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from elman.nn.crf import LinearChainCRF
from elman.tasks.ner.tag_schemes import Span


def span_probabilities(
    scores: Float[Tensor, "time tag"],
    spans: Sequence[Span],
    labels: Sequence[str],
    crf: LinearChainCRF | None,
) -> list[float]:
    """The probability of each span of a sentence.

    >>> labels = ["O", "B-PER", "I-PER"]
    >>> scores = torch.tensor([[0.0, 3.0, 0.0], [0.0, 0.0, 2.0], [2.0, 0.0, 0.0]])
    >>> [found] = span_probabilities(scores, [Span(0, 2, "PER")], labels, None)
    >>> by_hand = scores.softmax(-1)
    >>> round(found, 6) == round(float(by_hand[0, 1] * by_hand[1, 2] * (1 - by_hand[2, 2])), 6)
    True
    """
    if not spans:
        return []
    with torch.no_grad():
        return [_probability(scores.double(), span, labels, crf) for span in spans]


def _probability(
    scores: Tensor, span: Span, labels: Sequence[str], crf: LinearChainCRF | None
) -> float:
    num_tags = len(labels)
    inside = labels.index(f"I-{span.type}") if f"I-{span.type}" in labels else None
    if crf is None:
        moves, start, end = scores.new_zeros(num_tags, num_tags), *scores.new_zeros(2, num_tags)
    else:
        moves, start, end = crf.transitions.double(), crf.start.double(), crf.end.double()
    allowed = torch.zeros_like(scores)
    for step in range(span.start, span.end):
        tag = labels.index(f"B-{span.type}") if step == span.start else inside
        allowed[step] = -torch.inf
        allowed[step, tag] = 0.0
    if inside is not None and span.end < len(scores):
        allowed[span.end, inside] = -torch.inf  # the name ends here
    within = _log_partition(scores + allowed, moves, start, end)
    return float((within - _log_partition(scores, moves, start, end)).exp())


def _log_partition(scores: Tensor, moves: Tensor, start: Tensor, end: Tensor) -> Tensor:
    forward = start + scores[0]
    for score in scores[1:]:
        forward = score + torch.logsumexp(forward[:, None] + moves, 0)
    return torch.logsumexp(forward + end, 0)
