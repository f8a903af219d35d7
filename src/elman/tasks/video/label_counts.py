"""The labels that a model knows, and how often each occurred in training."""

from __future__ import annotations

import json
from dataclasses import dataclass

from elman.saved import of_kind, parse_json, sentences


@dataclass(frozen=True)
class LabelCounts:
    """The number of training examples of each label, in the order of the labels' indices.

    >>> LabelCounts({"running": 1, "walking": 3}).labels
    ('running', 'walking')
    """

    counts: dict[str, int]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels by index."""
        return tuple(self.counts)

    def weights(self, balance: float) -> list[float]:
        """What an example of each label counts: 1 / count to the power of ``balance``.

        The mean over all examples is 1.

        >>> LabelCounts({"running": 1, "walking": 3}).weights(1.0)
        [2.0, 0.6666666666666666]
        """
        raw = [count**-balance for count in self.counts.values()]
        total = sum([w * n for w, n in zip(raw, self.counts.values(), strict=True)])
        return [w * sum(self.counts.values()) / total for w in raw]

    def to_json(self) -> str:
        """All of it as a JSON object."""
        return json.dumps({"labels": self.counts}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> LabelCounts:
        """What ``to_json`` wrote; ``RunError`` for anything else."""
        record = parse_json(text, "symbols.json")
        with sentences("symbols.json"):
            counts = of_kind(record, "labels", dict)
            for label in counts:
                if of_kind(counts, label, int) < 1:
                    raise ValueError(f'"{label}" was there {counts[label]} times')
            return cls(counts)
