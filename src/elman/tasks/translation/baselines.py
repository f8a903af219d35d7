"""Baselines of translation: copying the source, and the most frequent translation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from elman.tasks.translation.data import Pair
from elman.tasks.translation.parallel import tidy_source
from elman.tasks.translation.scores import translation_scores
from elman.training.baselines import Baseline

#: at most this many sentences are scored, as in a validation
MOST = 500


def baselines(train: Sequence[Pair], valid: Sequence[Pair]) -> list[Baseline]:
    """The BLEU of the most frequent training target, and of the source itself."""
    if not valid:
        return []
    references: dict[str, list[str]] = {}
    for pair in valid:
        references.setdefault(tidy_source(pair.source), []).append(str(pair.target))
    sources = list(references)[:MOST]
    wanted = [references[source] for source in sources]
    [(common, _)] = Counter([str(pair.target) for pair in train]).most_common(1)
    always = translation_scores([common] * len(sources), wanted).bleu
    return [
        Baseline("always answering the most frequent translation", always, constant=True),
        Baseline("copying the source", translation_scores(sources, wanted).bleu),
    ]
