"""Evaluates translation models: BLEU, chrF and the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from elman.decode import Hypothesis
from elman.tasks.inference import in_batches
from elman.tasks.task import Fitted
from elman.tasks.translation.data import Pair, TranslationSymbols, collate
from elman.tasks.translation.options import SearchOptions, TranslationOptions
from elman.tasks.translation.parallel import tidy_source
from elman.tasks.translation.scores import Bleu, translation_scores
from elman.tasks.translation.search import search
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
    answers = search(fitted, [Pair(name) for name in chosen], SearchOptions(beam=1))
    scores = _scores(fitted, answers, [sources[name] for name in chosen])
    said = {tuple(each[0].tokens) for each in answers}
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
    answers = search(fitted, [Pair(source) for source in sources], replace(wanted, n_best=1))
    scores = _scores(fitted, answers, list(sources.values()))
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


def _scores(
    fitted: Fitted[TranslationSymbols, TranslationOptions],
    answers: Sequence[Sequence[Hypothesis]],
    references: Sequence[Sequence[str]],
) -> Bleu:
    symbols: TranslationSymbols = fitted.symbols
    texts = [symbols.target.decode(each[0].tokens) for each in answers]
    return translation_scores(texts, references)


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
