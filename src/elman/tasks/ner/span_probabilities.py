"""The probability that exactly these words are a name of this type.

It sums over all tags of the other words, in a conditional random field by its forward and backward
sums (Culotta and McCallum 2004), without one over each word by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from elman.nn.crf import LinearChainCRF
from elman.tasks.ner.tag_schemes import Span


def span_probabilities(
    scores: Float[Tensor, "time batch tag"],
    lengths: Sequence[int],
    spans: Sequence[Sequence[Span]],
    labels: Sequence[str],
    crf: LinearChainCRF | None,
) -> list[list[float]]:
    """The probability of each span of each sentence; it does not depend on the other sentences.

    >>> import torch
    >>> labels = ["O", "B-PER", "I-PER"]
    >>> scores = torch.tensor([[0.0, 3.0, 0.0], [0.0, 0.0, 2.0], [2.0, 0.0, 0.0]])
    >>> [[found]] = span_probabilities(scores[:, None], [3], [[Span(0, 2, "PER")]], labels, None)
    >>> by_hand = scores.softmax(-1)
    >>> round(found, 6) == round(float(by_hand[0, 1] * by_hand[1, 2] * (1 - by_hand[2, 2])), 6)
    True
    """
    found: list[list[float]] = [[] for _ in spans]
    some = [k for k, own in enumerate(spans) if own]
    if not some:
        return found
    # float64: float32 would round a sum over a long sentence by more than a small probability
    chosen = scores.detach()[: max(lengths[k] for k in some), some].double().cpu().numpy()
    chain = _Chain(chosen, [lengths[k] for k in some], labels, crf)
    for row, k in enumerate(some):
        found[k] = [chain.probability(row, span) for span in spans[k]]
    return found


class _Chain:
    """The forward and backward sums of sentences, in log space."""

    def __init__(
        self,
        scores: NDArray[np.float64],
        lengths: Sequence[int],
        labels: Sequence[str],
        crf: LinearChainCRF | None,
    ) -> None:
        num_tags = len(labels)
        self.scores, self.lengths = scores, lengths
        self.tags = {label: k for k, label in enumerate(labels)}
        self.moves, self.start, self.end = np.zeros((num_tags, num_tags)), *np.zeros((2, num_tags))
        if crf is not None:
            parts = (crf.transitions, crf.start, crf.end)
            self.moves, self.start, self.end = [x.detach().double().cpu().numpy() for x in parts]
        # for each tag at a step, the log of the sum over all tags before it, and after it
        self.before, self.after = np.zeros_like(scores), np.zeros_like(scores)
        self.before[0] = self.start
        for t in range(1, len(scores)):
            forward = scores[t - 1] + self.before[t - 1]
            self.before[t] = np.logaddexp.reduce(forward[:, :, None] + self.moves, axis=1)
        last = np.array(lengths)[:, None] - 1
        self.after[-1] = self.end
        for t in reversed(range(len(scores) - 1)):
            backward = scores[t + 1] + self.after[t + 1]
            sums = np.logaddexp.reduce(self.moves + backward[:, None], axis=2)
            self.after[t] = np.where(t < last, sums, self.end)
        self.total = np.logaddexp.reduce(self.start + scores[0] + self.after[0], axis=1)

    def probability(self, row: int, span: Span) -> float:
        """The probability of a span in a sentence."""
        scores = self.scores[:, row]
        inside = self.tags.get(f"I-{span.type}")
        tag = self.tags[f"B-{span.type}"]
        within = self.before[span.start, row, tag] + scores[span.start, tag]
        for step in range(span.start + 1, span.end):
            assert inside is not None  # a span of several words has this tag
            within += self.moves[tag, inside] + scores[step, inside]
            tag = inside
        if span.end == self.lengths[row]:
            within += self.end[tag]
        else:
            rest = self.moves[tag] + scores[span.end] + self.after[span.end, row]
            if inside is not None:
                rest[inside] = -np.inf  # the name ends here
            within += np.logaddexp.reduce(rest)
        return float(np.exp(within - self.total[row]))
