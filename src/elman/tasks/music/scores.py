"""Evaluates music models: negative log-likelihood and frame accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elman.models import Generator
from elman.tasks.inference import in_batches
from elman.tasks.music.data import MusicSymbols, Tune, collate
from elman.tasks.music.options import ComposeOptions, MusicOptions
from elman.tasks.task import Fitted


def score(
    fitted: Fitted[MusicSymbols, MusicOptions], examples: Sequence[Tune], wanted: ComposeOptions
) -> dict[str, Any]:
    """The mean of -log p over all steps, in nats, and the frame accuracy.

    Every step of every piece counts once, and states run through whole pieces.  The accuracy is
    that of Bay, Ehmann and Downie (2009): over all steps, the number of correctly predicted pitches
    divided by the number of pitches that are in the data or predicted.  Predictions are the most
    likely choices.  An event counts as a set of one; a pitch of voices counts in its voice.
    """
    model = fitted.model
    assert isinstance(model, Generator)
    events = fitted.options.model == "events"

    def answer(batch: Sequence[Tune]) -> list[tuple[float, float, float]]:
        tensors = collate(batch, fitted.symbols, fitted.options)
        lengths, y = tensors["lengths"], tensors["y"]
        features, _ = model(tensors["x"], lengths)
        found = []
        for row, count in enumerate(lengths.tolist()):
            known, there = features[:count, row], y[:count, row]
            log_prob = model.prediction.log_prob(known, there).double().sum()
            guess = model.draw(known, lambda logits: logits.argmax(-1))
            if fitted.options.by_voices:
                right = float(((guess == there) & (there >= 0)).sum())
                union = float((there >= 0).sum() + (guess >= 0).sum()) - right
            elif events:
                right = float((guess == there).sum())
                union = 2 * count - right
            else:
                right = float((guess * there).sum())
                union = float((guess + there).clamp_max(1).sum())
            found.append((float(log_prob), right, union))
        return found

    sums = in_batches(model, examples, len, answer)
    steps = sum([len(example) for example in examples])
    right, union = sum([row[1] for row in sums]), sum([row[2] for row in sums])
    nll = -sum([row[0] for row in sums]) / max(steps, 1)
    return {
        "nll": nll,
        "frame_accuracy": right / union if union else 1.0,
        "loss": nll,
        "steps": steps,
        "examples": len(examples),
    }
