"""Baselines of gene finding: the most frequent label for every base, which finds no exon."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from elman.tasks.dna.data import Segment, judged_path
from elman.tasks.dna.genes import coding_parts
from elman.tasks.dna.grammar import LABELS
from elman.tasks.dna.symbols import GeneSymbols
from elman.training.baselines import Baseline
from elman.training.metrics import Score


def baselines(
    train: Sequence[Segment], valid: Sequence[Segment], symbols: GeneSymbols
) -> list[Baseline]:
    """The exon F1 of giving every base the most frequent label of the training bases."""
    if not valid:
        return []
    labels = np.array([LABELS.index(label) for label in symbols.grammar.labels])
    counts = np.zeros(len(LABELS), dtype=np.int64)
    for segment in train:
        counts += np.bincount(labels[judged_path(segment, symbols)], minlength=len(LABELS))
    common = LABELS[int(counts.argmax())]
    right = there = found = 0
    for segment in valid:
        path = "".join([LABELS[k] for k in labels[judged_path(segment, symbols)]])
        exons, guesses = set(coding_parts(path)), set(coding_parts(common * len(path)))
        right, there, found = right + len(exons & guesses), there + len(exons), found + len(guesses)
    score = Score.of(right, there, found).f1
    return [Baseline("giving every base the most frequent label", score, constant=True)]
