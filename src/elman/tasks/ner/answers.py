"""Predicts, evaluates and shows the names in texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.markup import escape
from torch import Tensor

from elman.decode import bio_constraints, viterbi
from elman.models import StandardTagger, Tagger, WindowTagger
from elman.tasks.inference import in_batches
from elman.tasks.ner.data import Sentence, collate
from elman.tasks.ner.options import NerOptions
from elman.tasks.ner.tag_schemes import Span, spans_of
from elman.tasks.task import Fitted, NoPredictOptions
from elman.tasks.word_model import TextSymbols
from elman.training.metrics import span_scores
from elman.training.watch import CHANCE


@dataclass(frozen=True)
class Names:
    """A text and the names in it."""

    text: str
    names: tuple[Name, ...]


@dataclass(frozen=True)
class Name:
    """A name of a type: characters ``start`` to ``end`` (exclusive) of a text."""

    text: str
    type: str
    start: int
    end: int


def predict(
    fitted: Fitted[TextSymbols, NerOptions], inputs: Sequence[Sentence], wanted: NoPredictOptions
) -> list[Names]:
    """Finds the names in each text."""

    def answer(batch: Sequence[Sentence]) -> list[list[Span]]:
        return _spans(fitted, collate(batch, fitted.symbols, fitted.options))

    found = in_batches(fitted.model, inputs, len, answer)
    return [_names(sentence, spans) for sentence, spans in zip(inputs, found, strict=True)]


def _names(sentence: Sentence, spans: Sequence[Span]) -> Names:
    names = []
    for span in spans:
        start, end = sentence.places[span.start][0], sentence.places[span.end - 1][1]
        names.append(Name(sentence.text[start:end], span.type, start, end))
    return Names(sentence.text, tuple(names))


def validate(
    fitted: Fitted[TextSymbols, NerOptions], examples: Sequence[Sentence]
) -> dict[str, Any]:
    """The metrics, and the F1 of a baseline that finds no names (zero)."""
    return {**score(fitted, examples, NoPredictOptions()), CHANCE: 0.0}


def score(
    fitted: Fitted[TextSymbols, NerOptions], examples: Sequence[Sentence], wanted: NoPredictOptions
) -> dict[str, Any]:
    """Precision, recall and F1 of exact spans, overall and per type, and the mean loss."""
    spans: list[list[Span]] = []
    losses: list[float] = []

    def answer(batch: Sequence[Sentence]) -> list[tuple[list[Span], float]]:
        tensors = collate(batch, fitted.symbols, fitted.options)
        loss = float(fitted.model.loss(**tensors))  # type: ignore[operator]
        return [(found, loss) for found in _spans(fitted, tensors)]

    for found, loss in in_batches(fitted.model, examples, len, answer):
        spans.append(found)
        losses.append(loss)
    scores = span_scores([spans_of(example.tags or ()) for example in examples], spans)
    return {
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "per_type": {
            name: {"precision": each.precision, "recall": each.recall, "f1": each.f1}
            for name, each in sorted(scores.per_type.items())
        },
        "loss": sum(losses) / len(losses),
        "examples": len(examples),
    }


def _spans(fitted: Fitted[TextSymbols, NerOptions], tensors: dict[str, Tensor]) -> list[list[Span]]:
    """Decodes the best valid tag sequence of each sentence into spans."""
    model, symbols = fitted.model, fitted.symbols
    inputs = {name: tensor for name, tensor in tensors.items() if name != "tags"}
    allowed, allowed_start = bio_constraints(symbols.labels)
    assert isinstance(model, Tagger | WindowTagger | StandardTagger)
    crf = model.crf
    penalty = torch.zeros(len(symbols.labels))
    penalty[symbols.labels.index("O")] = fitted.options.outside_penalty
    paths, _ = viterbi(
        model(**inputs) - penalty,
        tensors["lengths"],
        transitions=None if crf is None else crf.transitions,
        start=None if crf is None else crf.start,
        end=None if crf is None else crf.end,
        allowed=allowed,
        allowed_start=allowed_start,
    )
    return [spans_of([symbols.labels[k] for k in path]) for path in paths]


_COLOURS = {"PER": "magenta", "LOC": "green", "ORG": "blue"}


def show(prediction: Names) -> str:
    """The text, with names in colour and followed by their types."""
    parts, last = [], 0
    for name in prediction.names:
        colour = _COLOURS.get(name.type[:3].upper(), "cyan")
        parts.append(escape(prediction.text[last : name.start]))
        parts.append(f"[bold {colour}]{escape(name.text)}[/] [{colour}]({name.type})[/]")
        last = name.end
    return "".join([*parts, escape(prediction.text[last:])])


def record(prediction: Names) -> dict[str, Any]:
    """The text and its names as a JSON object."""
    names = [
        {"text": name.text, "type": name.type, "start": name.start, "end": name.end}
        for name in prediction.names
    ]
    return {"text": prediction.text, "names": names}
