"""Evaluates translation models: BLEU, chrF and the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from elman.tasks.inference import in_batches
from elman.tasks.task import Fitted
from elman.tasks.translation.confidence import CLOSE, FEWEST, MOST, logistic_curve
from elman.tasks.translation.data import Pair, TranslationSymbols, collate
from elman.tasks.translation.options import SearchOptions, TranslationOptions
from elman.tasks.translation.parallel import tidy_source
from elman.tasks.translation.scores import translation_scores
from elman.tasks.translation.search import mean_log_probability, text_of, translated
from elman.training.watch import ANSWERS

#: maximum number of sentences translated after an epoch; the final evaluation uses all
VALIDATED = 500


def validate(
    fitted: Fitted[TranslationSymbols, TranslationOptions], examples: Sequence[Pair]
) -> dict[str, Any]:
    """BLEU and chrF of greedy translations, the loss, and the number of distinct translations."""
    sources = _references(examples)
    names = list(sources)
    some = [names[k * len(names) // VALIDATED] for k in range(VALIDATED)]
    chosen = names if len(names) <= VALIDATED else some
    known = set(chosen)
    pairs = [example for example in examples if tidy_source(example.source) in known]
    texts = texts_of(chosen, fitted, SearchOptions(beam=1))
    scores = translation_scores(texts, [sources[name] for name in chosen])
    said = set(texts)
    return {
        "bleu": scores.bleu,
        "chrf": scores.chrf,
        "loss": _loss(fitted, pairs),
        **({ANSWERS: float(len(said))} if len(chosen) > 1 else {}),
    }


def score(
    fitted: Fitted[TranslationSymbols, TranslationOptions],
    examples: Sequence[Pair],
    wanted: SearchOptions,
) -> dict[str, Any]:
    """BLEU and chrF of the best translations against all references in the file."""
    sources = _references(examples)
    texts = texts_of(list(sources), fitted, wanted)
    scores = translation_scores(texts, list(sources.values()))
    return {
        "bleu": scores.bleu,
        "chrf": scores.chrf,
        "loss": _loss(fitted, examples),
        "examples": len(sources),
        "references": sum([len(found) for found in sources.values()]),
        "bleu_signature": scores.bleu_signature,
        "chrf_signature": scores.chrf_signature,
    }


def _references(examples: Sequence[Pair]) -> dict[str, list[str]]:
    """All references of each distinct source sentence."""
    found: dict[str, list[str]] = {}
    for example in examples:
        known = found.setdefault(tidy_source(example.source), [])
        if example.target is not None and example.target not in known:
            known.append(example.target)
    return found


def texts_of(
    sources: Sequence[str],
    fitted: Fitted[TranslationSymbols, TranslationOptions],
    wanted: SearchOptions,
) -> list[str]:
    """The best translation of each source."""
    found = translated(sources, fitted, replace(wanted, n_best=1))
    return [text_of(pieces, fitted) for pieces in found]


def fit_confidence(
    fitted: Fitted[TranslationSymbols, TranslationOptions], examples: Sequence[Pair]
) -> bool:
    """Fits the curve of the confidence on validation examples; whether there are enough."""
    references = _references(examples)
    if len(references) < FEWEST:
        return False
    sources = list(references)[:: -(-len(references) // MOST)]
    found = translated(sources, fitted, SearchOptions())
    means = [mean_log_probability(pieces) for pieces in found]
    texts = [text_of(pieces, fitted) for pieces in found]
    close = [
        translation_scores([text], [references[source]]).chrf >= CLOSE
        for source, text in zip(sources, texts, strict=True)
    ]
    curve = torch.tensor(logistic_curve(means, close))
    fitted.model.confidence.copy_(curve)  # type: ignore[operator]
    return True


def _loss(
    fitted: Fitted[TranslationSymbols, TranslationOptions], examples: Sequence[Pair]
) -> float:
    """The mean of -log p over all subwords."""

    def answer(batch: Sequence[Pair]) -> list[tuple[float, int]]:
        tensors = collate(batch, fitted.symbols, fitted.options)
        mean = float(fitted.model.loss(**tensors))  # type: ignore[operator]
        return [(mean, int(count)) for count in tensors["target_lengths"]]

    found = in_batches(fitted.model, examples, len, answer)
    return sum([loss for loss, _ in found]) / sum([count for _, count in found])
