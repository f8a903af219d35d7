"""Baselines of speech recognition: an empty transcript, and the most frequent sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from elman.tasks.speech.data import Utterance
from elman.tasks.speech.scores import error_rates
from elman.training.baselines import Baseline


def baselines(train: Sequence[Utterance], valid: Sequence[Utterance]) -> list[Baseline]:
    """The word error rates of writing nothing and of writing the most frequent sentence."""
    if not valid:
        return []
    [(common, _)] = Counter([str(each.text) for each in train]).most_common(1)
    return [
        Baseline("an empty transcript", error_rates(valid, [""] * len(valid))["wer"], True),
        Baseline(
            "always writing the most frequent sentence",
            min(1.0, error_rates(valid, [common] * len(valid))["wer"]),
            constant=True,
        ),
    ]
