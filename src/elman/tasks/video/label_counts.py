"""The labels that a model knows, and how often each occurred in training."""

from __future__ import annotations

import json
from dataclasses import dataclass

from elman.errors import RunError


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
        try:
            counts = json.loads(text)["labels"]
            return cls({str(label): int(count) for label, count in counts.items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"symbols.json cannot be read ({error!r}); copy the run folder again."
            ) from error
