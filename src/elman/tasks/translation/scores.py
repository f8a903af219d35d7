"""BLEU and chrF of translations, with any number of references (sacrebleu, Post 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from elman.errors import DataError, ShapeError
from elman.extras import extra


@dataclass(frozen=True)
class Bleu:
    """BLEU (Papineni et al. 2002) and chrF (Popović 2015), 0 to 100, with sacrebleu's signatures.

    Scores are comparable only if their signatures agree.
    """

    bleu: float
    chrf: float
    bleu_signature: str
    chrf_signature: str


def translation_scores(texts: Sequence[str], references: Sequence[Sequence[str]]) -> Bleu:
    """Corpus scores of ``texts``; ``references[k]`` are all references of text k.

    >>> scores = translation_scores(["Do you sing?"], [["Do you sing?", "Are you singing?"]])
    >>> round(scores.bleu), round(scores.chrf)
    (100, 100)
    """
    if len(texts) != len(references):
        raise ShapeError(
            f"translation_scores: there are {len(texts)} texts but {len(references)} lists of "
            "references; pass one list per text."
        )
    if not texts:
        raise DataError("translation_scores: there are no texts; pass at least one.")
    with extra("translation", "scoring translations"):
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    most = max(len(each) for each in references)
    # stream k has the k-th reference of each text, or None
    streams: list[Any] = [
        [each[k] if k < len(each) else None for each in references] for k in range(most)
    ]
    bleu, chrf = BLEU(), CHRF()
    found = (bleu.corpus_score(texts, streams), chrf.corpus_score(texts, streams))
    return Bleu(
        float(found[0].score),
        float(found[1].score),
        str(bleu.get_signature()),
        str(chrf.get_signature()),
    )
