"""The baseline of gene finding: one label for every base, which finds no exon."""

from __future__ import annotations

from collections.abc import Sequence

from elman.tasks.dna.data import Segment
from elman.training.baselines import Baseline


def baselines(train: Sequence[Segment], valid: Sequence[Segment]) -> list[Baseline]:
    """The exon F1 of one label for every base: no exon has the right ends, so it is 0."""
    return [Baseline("giving every base the same label", 0.0, constant=True)]
