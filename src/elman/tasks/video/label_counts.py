"""The labels of a model, with their number of training examples."""

from __future__ import annotations

import json
from dataclasses import dataclass

from elman.saved import of_kind, parse_json, sentences


@dataclass(frozen=True)
class LabelCounts:
    """The number of training examples of each label, in index order.

    >>> LabelCounts({"running": 1, "walking": 3}).labels
    ('running', 'walking')
    """

    counts: dict[str, int]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels by index."""
        return tuple(self.counts)

    def weights(self, balance: float) -> list[float]:
        """The class weights, proportional to count ** -balance, with mean 1 over all examples.

        >>> LabelCounts({"running": 1, "walking": 3}).weights(1.0)
        [2.0, 0.6666666666666666]
        """
        raw = [count**-balance for count in self.counts.values()]
        total = sum([w * n for w, n in zip(raw, self.counts.values(), strict=True)])
        return [w * sum(self.counts.values()) / total for w in raw]

    def to_json(self) -> str:
        """Serialises to JSON."""
        return json.dumps({"labels": self.counts}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> LabelCounts:
        """Loads the output of ``to_json``; ``RunError`` if it is invalid."""
        record = parse_json(text, "symbols.json")
        with sentences("symbols.json"):
            counts = of_kind(record, "labels", dict)
            for label in counts:
                if of_kind(counts, label, int) < 1:
                    raise ValueError(f'a count of {counts[label]} for the label "{label}"')
            return cls(counts)
