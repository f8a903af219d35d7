"""Baselines of named entity recognition: no names, and the most frequent tag of each known word."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from elman.tasks.ner.data import Sentence
from elman.tasks.ner.tag_schemes import spans_of
from elman.training.baselines import Baseline
from elman.training.metrics import span_scores


def baselines(train: Sequence[Sentence], valid: Sequence[Sentence]) -> list[Baseline]:
    """The F1 of finding no names, and of giving each word its most frequent tag in training."""
    tags: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sentence in train:
        for word, tag in zip(sentence.words, sentence.tags or (), strict=True):
            tags[word][tag] += 1
    known = {word: counts.most_common(1)[0][0] for word, counts in tags.items()}
    expected = [spans_of(sentence.tags or ()) for sentence in valid]
    found = [spans_of([known.get(word, "O") for word in s.words]) for s in valid]
    return [
        Baseline("finding no names", 0.0, constant=True),
        Baseline("the most frequent tag of each known word", span_scores(expected, found).f1),
    ]
